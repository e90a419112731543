"""Reads the outputs that a test case gives for steps, and checks them against the actions and the known columns.

In: ``given`` of a case, the steps of its spec. Out: outputs by node, as functions of a store; or problems.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from pydantic import TypeAdapter, ValidationError

from e2i.catalog.artifacts import ARTIFACTS, Stored, read_artifacts
from e2i.catalog.columns import KnownTable
from e2i.check import types
from e2i.check.type_environment import TypeEnvironment
from e2i.check.types import Types
from e2i.documents import OutputValues
from e2i.errors import Refused, StepError, ToolUnavailable
from e2i.spec import suggest
from e2i.spec.document import Document
from e2i.spec.expansion.expanded import Expanded
from e2i.spec.expansion.nodes import StepNode
from e2i.spec.problems import Problem
from e2i.spec.validation import Path as Keys
from e2i.spec.validation import mistakes
from e2i.spec.wording import wording
from e2i.testing.models import Row
from e2i.testing.named import NamedFiles
from e2i.testing.reading import TableError
from e2i.testing.tables import made

if TYPE_CHECKING:
    import pyarrow as pa

    from e2i.store.artifacts import ArtifactStore

SOURCES = ("rows", "csv", "file")
NO_DIGEST = f"sha256:{'0' * 64}"


class Fixture(Struct, frozen=True):
    """The given outputs of a step, with tables and files that are not in a store yet."""

    node: str
    outputs: Row

    def stored(self, store: ArtifactStore) -> OutputValues:
        """Returns the outputs as plain data, with the tables and files in the store."""
        keep = Keeper(store)
        return OutputValues({name: _plain(value, keep.table, keep.file) for name, value in self.outputs.items()})


class _Table(Struct, frozen=True):
    content: Any


class _File(Struct, frozen=True):
    files: NamedFiles
    name: str
    facts: Row


class Given:
    """Reads the given outputs of one case. ``at`` is the path of a step's outputs in the test file."""

    def __init__(
        self,
        expanded: Expanded,
        environment: TypeEnvironment,
        document: Document,
        files: NamedFiles,
        at: Callable[[str], Keys],
    ) -> None:
        self._expanded = expanded
        self._environment = environment
        self._document = document
        self._files = files
        self._at = at
        self.problems: list[Problem] = []
        self.fixtures: list[Fixture] = []

    def read(self, given: Mapping[str, Row]) -> None:
        """Reads all of them."""
        nodes = self._expanded.nodes
        for name, outputs in given.items():
            node = nodes.get(name)
            if node is None:
                hint = suggest.hint(name, nodes)
                message = f'the spec has no step "{name}"'
                if any(other.group == name for other in nodes.values()):
                    message = f'"{name}" is a matrix: give the outputs of each combination'
                    hint = f"write {', '.join(one.id for one in nodes.values() if one.group == name)}"
                self.problems.append(self._document.problem("unknown-step", self._at(name), message, hint, key=True))
                continue
            before = len(self.problems)
            read = {key: self._output(node, key, value) for key, value in outputs.items()}
            if len(self.problems) == before:
                self._check(node, read)
                self.fixtures.append(Fixture(name, read))

    def _output(self, node: StepNode, key: str, value: Any) -> Any:
        path = (*self._at(node.id), key)
        own = self._types(node)
        if key not in own:
            message = f'{node.step.uses} has no output "{key}"'
            self._report("unknown-output", path, message, suggest.hint(key, own, most=20), key=True)
            return None
        return self._value(value, own[key], path)

    def _types(self, node: StepNode) -> Mapping[str, Types]:
        """Returns the types of the outputs of a step, with the columns that are known of its tables."""
        known = self._environment.outputs.get(node.id)
        action = self._environment.registry.action(node.step.uses)
        assert action is not None, f"{node.step.uses} was checked"
        declared = types.of_model(action.outputs).inside
        found = {**declared, **(known.inside if known else {})}
        return {str(name): found[name] for name in declared}

    def _value(self, value: Any, kinds: Types, path: Keys) -> Any:
        names = {kind.name for kind in kinds}
        if isinstance(value, dict):
            if "table" in names and any(source in value for source in SOURCES):
                return self._table(value, kinds, path)
            stored = [name for name in names if issubclass(ARTIFACTS.get(name, int), Stored)]
            if stored and "file" in value:
                return self._file(value, path, stored)
            if names == {"table"} and value.get("type") != "table":
                return self._table(value, kinds, path)
            return {
                key: self._value(item, types.inside(kinds, key) or types.ANY, (*path, key))
                for key, item in value.items()
            }
        if isinstance(value, list):
            if "table" in names and value and all(isinstance(row, dict) for row in value):
                return self._table({"rows": value}, kinds, path, bare=True)
            return [
                self._value(item, types.inside(kinds, index) or types.ANY, (*path, index))
                for index, item in enumerate(value)
            ]
        return value

    def _table(self, value: Row, kinds: Types, path: Keys, *, bare: bool = False) -> Any:
        known = next((kind.known for kind in kinds if isinstance(kind.known, KnownTable)), None)
        if extra := [key for key in value if key not in (*SOURCES, "types")]:
            hint = suggest.hint(extra[0], (*SOURCES, "types"))
            self._report("unknown-key", (*path, extra[0]), f'unknown key "{extra[0]}"', hint, key=True)
            return None
        try:
            content = made(value, self._files, known.columns if known else {})
        except ModuleNotFoundError:  # test files can be checked without the tools
            return _Table(None)
        except TableError as error:
            inner = error.path[1:] if bare else error.path
            self._report("bad-fixture", (*path, *inner), str(error), error.hint)
            return None
        for name in content.column_names if known else ():
            if known is not None and name not in known.columns:
                hint = suggest.hint(name, known.names)
                self._report(
                    "unknown-column", _cell(path, value, name, bare), f'the table has no column "{name}"', hint
                )
        return _Table(content)

    def _file(self, value: Row, path: Keys, kinds: list[str]) -> Any:
        name = str(value["file"])
        try:
            size = self._files.size(name)
        except (Refused, StepError) as error:
            code = error.code if error.code in ("no-such-file", "policy-path") else "bad-fixture"
            self._report(code, (*path, "file"), error.message, error.hint)
            return None
        facts = {key: item for key, item in value.items() if key != "file"}
        facts.setdefault("type", kinds[0])
        if facts["type"] == "file":
            facts = {"name": PurePosixPath(name).name, "bytes": size, **facts}
        return _File(self._files, name, facts)

    def _check(self, node: StepNode, outputs: Row) -> None:
        """Reports outputs that the action's model does not accept."""
        action = self._environment.registry.action(node.step.uses)
        assert action is not None
        for name, value in outputs.items():
            plain = _plain(value, _no_table, _no_file)
            try:
                annotation: Any = action.outputs.model_fields[name].annotation
                TypeAdapter(annotation).validate_python(read_artifacts(plain))
            except ValidationError as error:
                path = (*self._at(node.id), name)
                for detail in mistakes(error, plain)[:1]:
                    said = wording({**detail}, (*path, *detail["loc"]))
                    self._report(
                        "bad-fixture", path, said, f"it is an output of {node.step.uses}: e2i catalog {node.step.uses}"
                    )

    def _report(self, code: str, path: Keys, message: str, hint: str | None = None, *, key: bool = False) -> None:
        self.problems.append(self._document.problem(code, path, message, hint, key=key))


def _cell(path: Keys, value: Row, name: str, bare: bool) -> Keys:
    """Returns the path of the first row that has a column, or of the table."""
    rows = value.get("rows") or ()
    index = next((index for index, row in enumerate(rows) if name in row), None)
    if index is None:
        return path
    return (*path, index, name) if bare else (*path, "rows", index, name)


def _plain(value: Any, table: Callable[[pa.Table | None], Any], file: Callable[[_File], Any]) -> Any:
    match value:
        case _Table(content):
            return table(content)
        case _File():
            return file(value)
        case dict():
            return {key: _plain(item, table, file) for key, item in value.items()}
        case list():
            return [_plain(item, table, file) for item in value]
    return value


def _no_table(content: pa.Table | None) -> Any:
    if content is None:
        return {"type": "table", "digest": NO_DIGEST, "columns": [], "rows": 0}
    columns = [{"name": field.name, "type": str(field.type)} for field in content.schema]
    return {"type": "table", "digest": NO_DIGEST, "columns": columns, "rows": content.num_rows}


def _no_file(file: _File) -> Any:
    return {**file.facts, "digest": NO_DIGEST}


class Keeper:
    """Puts tables and files into a store. Returns their documents."""

    def __init__(self, store: ArtifactStore) -> None:
        self._store = store

    def table(self, content: pa.Table | None) -> Any:
        from e2i.workers import tables

        if content is None:
            raise ToolUnavailable(
                "data", "given tables need pyarrow", code="tool-missing", hint='pip install "e2i[data]"'
            )

        with tempfile.NamedTemporaryFile(dir=self._folder(), suffix=".arrow", delete=False) as file:
            path = Path(file.name)
        rows = content.num_rows
        columns, digest = tables.write(content, path)
        listed = [column.model_dump(mode="json") for column in columns]
        return {"type": "table", "digest": self._store.put(path, digest), "columns": listed, "rows": rows}

    def file(self, file: _File) -> Any:
        copy = Path(tempfile.mkdtemp(dir=self._folder())) / hashlib.sha256(os.fsencode(file.name)).hexdigest()[:12]
        file.files.copy(file.name, copy)
        return {**file.facts, "digest": self._store.put(copy)}

    def _folder(self) -> Path:
        folder = self._store.root / "tmp"
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def references_missing(expanded: Expanded, fixtures: Mapping[str, Fixture], run: set[str]) -> Iterator[tuple[str, str]]:
    """Yields each step to run that reads what is neither given nor run, with what that is."""
    for name in sorted(run):
        node = expanded.nodes[name]
        for source, required in sorted(expanded.sources(node).steps.items()):
            if source not in run and source not in fixtures and required:
                yield name, source
        for unit in node.chain:
            for _, reference in unit.references:
                if reference.root != "steps" or len(reference.path) < 2 or reference.optional:
                    continue
                for feeding in expanded.feeding(unit, str(reference.path[0])):
                    given = fixtures.get(feeding.id)
                    output = reference.path[1] if expanded.is_one(unit, str(reference.path[0])) else None
                    if given is not None and output is not None and str(output) not in given.outputs:
                        yield name, f"{feeding.id}.{output}"
