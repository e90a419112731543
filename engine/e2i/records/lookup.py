"""A store and what somebody calls a run go in; the run's document comes out, with the results that it reused.

Reads only. A run goes by its id, by the beginning of it, by ``last`` or ``last~1``; an artifact by its digest or the
beginning of that.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from e2i.errors import BadInput
from e2i.records import lineage, provenance
from e2i.records.provenance import Provenance
from e2i.spec import suggest
from e2i.store.artifacts import ArtifactStore
from e2i.store.database import FILE
from e2i.store.history import Reader

_DIGEST = re.compile(r"(sha256:)?(?P<hex>[0-9a-f]{6,64})")


def runs(store: Path, limit: int, pipeline: str | None = None, status: str | None = None) -> list[dict[str, Any]]:
    """The latest runs, newest first; none when there is no store yet."""
    if not (store / FILE).exists():
        return []
    with _reader(store) as reader:
        return reader.runs(limit, pipeline, status)


def run(store: Path, name: str) -> dict[str, Any]:
    """Everything recorded of one run, the kept results of its steps under ``results``. Raises BadInput."""
    with _reader(store) as reader:
        return _run(reader, _only(reader, store, name))


def id_of(store: Path, name: str) -> str:
    """The id of the one run that is called so. Raises BadInput."""
    with _reader(store) as reader:
        return _only(reader, store, name)


def public_document(run: Mapping[str, Any]) -> dict[str, Any]:
    """The document of a run as it is given away: without the kept results, which other documents draw on."""
    return {name: value for name, value in run.items() if name != "results"}


def step(run: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A step of a run's document, with what it was given and what it read. Raises BadInput when there is none."""
    rows = {row["step"]: row for row in run["steps"]}
    if name not in rows:
        hint = suggest.hint(name, rows)
        raise BadInput(f"run {run['run']} has no step {name!r}", code="unknown-step", hint=hint)
    found = lineage.of(run)[name]
    return {
        **rows[name],
        "parameters": dict(found.parameters) if found.components else None,
        "files": [{"path": file.path, "digest": file.digest} for file in found.files],
        "reads": [
            {"step": read.step, "output": read.name, "type": read.type, "digest": read.digest} for read in found.reads
        ],
        "libraries": dict(found.components.get("libraries") or {}),
        "made_in": found.made_in if found.components else None,
    }


def origin(store: Path, target: str) -> Provenance:
    """Where the target came from: an artifact's digest, or ``RUN.STEP`` or ``RUN.STEP.OUTPUT``. Raises BadInput."""
    with _reader(store) as reader:
        if (digest := _DIGEST.fullmatch(target)) is not None and not reader.named(target):
            found, step, names = _giver(reader, f"sha256:{digest['hex']}", store)
        else:
            name, _, rest = target.partition(".")
            found = _run(reader, _only(reader, store, name))
            if not rest:
                raise BadInput(
                    f"{target!r} names a run and no step",
                    code="bad-option",
                    hint=f"write {name}.STEP or {name}.STEP.OUTPUT; `e2i show {name}` lists them",
                )
            step, names = provenance.point(found, rest)
        ids = {result["run"] for result in found["results"].values()} - {found["run"]}
        makers = {name: maker for name in sorted(ids) if (maker := reader.run(name)) is not None}
        return provenance.trace(found, step, names, makers)


@contextmanager
def _reader(store: Path) -> Iterator[Reader]:
    if not (store / FILE).exists():
        raise BadInput(
            f"there are no runs in the store {store}", code="unknown-run", hint="choose another store by --store DIR"
        )
    with Reader(store, ArtifactStore(store).has) as reader:
        yield reader


def _only(reader: Reader, store: Path, name: str) -> str:
    """The id of the one run that is called so."""
    found = reader.named(name) if name else []
    if len(found) == 1:
        return found[0]
    if found:
        raise BadInput(
            f"several runs begin with {name!r}: {', '.join(found)}", code="unknown-run", hint="give more of its id"
        )
    raise _unknown(name, store)


def _unknown(name: str, store: Path) -> BadInput:
    return BadInput(f"there is no run {name!r} in the store {store}", code="unknown-run", hint="`e2i runs` lists them")


def _run(reader: Reader, name: str) -> dict[str, Any]:
    found = reader.run(name)
    if found is None:  # a collection has just taken it
        raise _unknown(name, reader.path.parent)
    over = found["status"] != "running"
    for step, planned in zip(found["steps"], found["plan"]["steps"], strict=True):
        step |= {name: planned[name] for name in ("needs", "verdict", "reason")}
        if over and step["status"] == "running":
            step["status"] = "interrupted"  # its process is gone
    return {**found, "provenance": found["provenance"] or {}, "results": reader.results_of(name)}


def _giver(reader: Reader, digest: str, store: Path) -> tuple[dict[str, Any], str, tuple[str, ...]]:
    """The latest run and step that gave the artifact. Raises BadInput when none did, or different ones begin so."""
    given: dict[str, tuple[dict[str, Any], str, str]] = {}
    for name, step in reader.giving(digest):
        run = _run(reader, name)
        outputs = provenance.outputs_of(run, step)
        for output in outputs:
            if (output.digest or "").startswith(digest):
                given.setdefault(output.digest or "", (run, step, output.name))
        if len(digest) == 71 and given:
            break
    if len(given) == 1:
        found, step, name = next(iter(given.values()))
        return found, step, (name,)
    if given:
        raise BadInput(
            f"several artifacts begin with {digest}: {', '.join(sorted(given))}",
            code="unknown-artifact",
            hint="give more of the digest",
        )
    raise BadInput(
        f"no step on record in the store {store} gave an artifact {digest}",
        code="unknown-artifact",
        hint="`e2i show RUN` shows the beginning of each digest",
    )
