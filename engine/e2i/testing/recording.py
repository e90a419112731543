"""Makes a test case of a step of a past run: its inputs become fixtures, the expectation is left to write.

In: a run and a step. Out: files beside the test file, and the case in it.
"""

from __future__ import annotations

import errno
import os
import re
import tempfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta

from e2i import regular
from e2i.api import Workspace
from e2i.documents import JsonDocument, OutputValues
from e2i.errors import BadInput
from e2i.records import lookup
from e2i.records.past import PastRun
from e2i.spec import document
from e2i.spec.writing import written
from e2i.store.artifacts import ArtifactStore
from e2i.testing import tables
from e2i.testing.named import NamedFiles
from e2i.testing.reading import TableError
from e2i.workspace import paths
from e2i.workspace.paths import Roots

MOST_ROWS = 500
"""Rows up to which a table is kept as CSV, which people can read and edit."""


class RecordedCase(JsonDocument, frozen=True, kw_only=True):
    """Output of `e2i test --from RUN --step ID --json`."""

    file: Annotated[str, Meta(description="The test file.")]
    case: Annotated[str, Meta(description="The name of the case.")]
    added: Annotated[bool, Meta(description="False when the case must be added by hand, because of the file's style.")]
    text: Annotated[str, Meta(description="The case as YAML.")]
    fixtures: Annotated[list[str], Meta(description="The files that were written, relative to the test file.")]


def record(run: str, step: str, workspace: Workspace) -> RecordedCase:
    """Writes the case. Raises BadInput when there is no such run or step, or when its spec is not a file."""
    past = lookup.run(workspace.store, run)
    reads = lookup.step(past, step).reads
    spec = _spec(past, workspace)
    name = f"{step} as in {past.run.id}"
    keeper = _Keeper(ArtifactStore(workspace.store), spec.parent, f"{spec.stem}.fixtures")
    outputs = {one.id: one.outputs or OutputValues() for one in past.run.steps}
    lines = [f"  {written(name)}:", f"    params: {written(dict(past.run.plan.params))}", "    given:"]
    for source in dict.fromkeys(read.step for read in reads):
        lines.append(f"      {written(source)}:")
        for output in dict.fromkeys(read.output.partition(".")[0] for read in reads if read.step == source):
            value = keeper.kept(outputs[source].get(output), f"{source}.{output}")
            lines.append(f"        {output}: {written(value)}")
    if not reads:
        lines[-1] += " {}"
    lines += [f"    run: [{written(step)}]", "    expect:", "      status: succeeded # add what must hold", ""]
    text = "\n".join(lines)
    file = spec.with_name(f"{spec.stem}.test.yaml")
    added = _add(file, spec, name, text)
    return RecordedCase(file=str(file), case=name, added=added, text=text, fixtures=keeper.files)


def _spec(past: PastRun, workspace: Workspace) -> Path:
    for path in (Path(past.run.file), workspace.root / past.run.file):
        if path.is_file():
            return path
    message = f"the spec of run {past.run.id} is not a file here: {past.run.file}"
    raise BadInput(message, code="no-such-spec", hint="run the command in the folder of the run")


def _add(file: Path, spec: Path, name: str, text: str) -> bool:
    """Adds the case at the end of the file, if it can be read there. Makes the file when there is none."""
    try:
        old = _text(file).rstrip() if os.path.lexists(file) else f"tests: ./{spec.name}\ncases:"
        before = document.read(old, str(file))[0]
        new = document.read(f"{old}\n{text}", str(file))[0]
        cases = new.value(("cases",)) if new else None
        known = (before.value(("cases",)) if before else None) or {}
        if not isinstance(cases, dict) or [*cases] != [*known, name]:
            return False
        regular.write(file, f"{old}\n{text}".encode())
    except OSError as error:
        raise BadInput(f"cannot write {file}: {error.strerror}", code="bad-option") from error
    return True


def _text(file: Path) -> str:
    """Returns the text of a test file in its folder. Raises OSError."""
    try:
        return regular.read(file, regular.SPEC, within=[file.absolute().parent.resolve()]).decode("utf-8")
    except UnicodeDecodeError as error:
        raise OSError(errno.EILSEQ, "it is not UTF-8") from error


class _Keeper:
    """Writes fixtures."""

    def __init__(self, store: ArtifactStore, beside: Path, folder: str) -> None:
        self._store = store
        self._beside = beside
        self._roots = Roots(beside.resolve())
        self._folder = folder
        self.files: list[str] = []

    def kept(self, value: Any, name: str) -> Any:
        """Returns a recorded output as a test file gives it."""
        if isinstance(value, list):
            return [self.kept(item, f"{name}.{index}") for index, item in enumerate(value)]
        if not isinstance(value, dict):
            return value
        if "digest" not in value or "type" not in value:
            return {key: self.kept(item, f"{name}.{key}") for key, item in value.items()}
        path = self._store.object_path(value["digest"])
        if not Path(path).exists():
            return value
        if value["type"] == "table":
            return self._table(value["digest"], name)
        target = self._target(name)
        source = self._store.path(value["digest"])
        for file in sorted(source.rglob("*")) if source.is_dir() else [source]:
            if not file.is_dir():
                inner = file.relative_to(source).as_posix()
                paths.place(self._roots, target if inner == "." else f"{target}/{inner}", file)
        self.files.append(target)
        return {"file": target, **{key: item for key, item in value.items() if key != "digest"}}

    def _table(self, digest: str, name: str) -> Any:
        from pyarrow import csv

        from e2i.workers import tables as stored

        path = self._store.path(digest)
        content = stored.read(path)
        types = {field.name: str(field.type) for field in content.schema}
        if content.num_rows <= MOST_ROWS:
            target = self._target(f"{name}.csv")
            try:
                text = BytesIO()
                csv.write_csv(content, text)
                value = {"csv": text.getvalue().decode(), "types": types}
                if tables.made(value, NamedFiles(self._roots, "."), {}).equals(content):
                    self._place(text.getvalue(), target)
                    self.files.append(target)
                    return {"file": target, "types": types}
            except (TableError, ValueError, NotImplementedError):  # a type that CSV has no form for
                pass
        target = self._target(f"{name}.arrow")
        paths.place(self._roots, target, path)
        self.files.append(target)
        return {"file": target}

    def _place(self, content: bytes, target: str) -> None:
        with tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            paths.place(self._roots, target, Path(file.name))

    def _target(self, name: str) -> str:
        """Returns the path of a fixture, relative to the test file. An earlier one of that name is kept."""
        stem, dot, suffix = re.sub(r"[^\w.-]+", "_", name).rpartition(".")
        return next(
            path for path in _names(f"{self._folder}/{stem}", dot + suffix) if not os.path.lexists(self._beside / path)
        )


def _names(stem: str, suffix: str) -> Iterator[str]:
    yield stem + suffix
    for number in range(2, 10_000):
        yield f"{stem}-{number}{suffix}"
