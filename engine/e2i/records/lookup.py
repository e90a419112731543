"""Find a run, a step or an artifact in a store.

In: a store and a name. Out: the run's document, with the results that it reused. Reads only. A run is named by its id,
a prefix of the id, ``last`` or ``last~1``; an artifact by its digest or a prefix of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from msgspec import Meta
from msgspec.structs import asdict

from e2i.catalog.registry import BUILT_IN
from e2i.documents import ParamValues, Version
from e2i.errors import BadInput
from e2i.records import lineage, provenance
from e2i.records.lineage import File, OutputName
from e2i.records.past import PastRun
from e2i.records.provenance import Provenance
from e2i.spec import suggest
from e2i.store.artifacts import ArtifactStore
from e2i.store.database import FILE
from e2i.store.history import Reader
from e2i.store.past import ListedRun, RecordedStep

_DIGEST = re.compile(r"(sha256:)?(?P<hex>[0-9a-f]{6,64})")


class StepDocument(RecordedStep, frozen=True, kw_only=True):
    """Output of `e2i show RUN --step ID --json`: a step with its parameters and what it read."""

    schema_version: Version = 1
    parameters: Annotated[ParamValues | None, Meta(description="Resolved; None: not known.")]
    files: Annotated[tuple[File, ...], Meta(description="Files of the workspace that the step read.")]
    reads: Annotated[tuple[OutputName, ...], Meta(description="Outputs of upstream steps that the step read.")]
    libraries: Annotated[dict[str, str | None], Meta(description="Versions of the libraries of the action.")]
    made_in: Annotated[str | None, Meta(description="The run that executed the step; None: its result is not kept.")]


def runs(store: Path, limit: int, pipeline: str | None = None, status: str | None = None) -> list[ListedRun]:
    """Returns the latest runs, newest first; none when there is no store yet."""
    if not (store / FILE).exists():
        return []
    with _reader(store) as reader:
        return reader.runs(limit, pipeline, status)


def run(store: Path, name: str) -> PastRun:
    """Returns everything recorded of one run, with the kept results of its steps. Raises BadInput."""
    with _reader(store) as reader:
        return _run(reader, _only(reader, store, name))


def id_of(store: Path, name: str) -> str:
    """Returns the id of the one run with that name. Raises BadInput."""
    with _reader(store) as reader:
        return _only(reader, store, name)


def step(past: PastRun, name: str) -> StepDocument:
    """Returns a step of a run, with its parameters and what it read. Raises BadInput when there is none."""
    steps = {step.id: step for step in past.run.steps}
    if name not in steps:
        hint = suggest.hint(name, steps)
        raise BadInput(f"run {past.run.id} has no step {name!r}", code="unknown-step", hint=hint)
    found = lineage.of(past)[name]
    return StepDocument(
        **asdict(steps[name]),
        parameters=found.parameters if found.components else None,
        files=found.files,
        reads=tuple(read.named for read in found.reads),
        libraries=found.libraries,
        made_in=found.made_in if found.components else None,
    )


def origin(store: Path, target: str) -> Provenance:
    """Returns the provenance of an artifact's digest, of ``RUN.STEP`` or of ``RUN.STEP.OUTPUT``. Raises BadInput."""
    with _reader(store) as reader:
        if (digest := _DIGEST.fullmatch(target)) is not None and not reader.named(target):
            found, step, names = _producer(reader, f"sha256:{digest['hex']}", store)
        else:
            name, _, rest = target.partition(".")
            found = _run(reader, _only(reader, store, name))
            if not rest:
                raise BadInput(
                    f"{target!r} names a run without a step",
                    code="bad-option",
                    hint=f"write {name}.STEP or {name}.STEP.OUTPUT; `e2i show {name}` lists them",
                )
            step, names = provenance.point(found, rest)
        ids = {result.run for result in found.results.values()} - {found.run.id}
        makers = {name: maker for name in sorted(ids) if (maker := reader.run(name)) is not None}
        return provenance.trace(found, step, names, makers)


@contextmanager
def _reader(store: Path) -> Iterator[Reader]:
    if not (store / FILE).exists():
        raise BadInput(
            f"no runs in the store {store}", code="unknown-run", hint="choose another store with --store DIR"
        )
    with Reader(store, ArtifactStore(store).has) as reader:
        yield reader


def _only(reader: Reader, store: Path, name: str) -> str:
    """Returns the id of the one run with that name."""
    found = reader.named(name) if name else []
    if len(found) == 1:
        return found[0]
    if found:
        raise BadInput(
            f"several runs begin with {name!r}: {', '.join(found)}",
            code="unknown-run",
            hint="use more characters of the id",
        )
    raise _unknown(name, store)


def _unknown(name: str, store: Path) -> BadInput:
    return BadInput(f"no run {name!r} in the store {store}", code="unknown-run", hint="`e2i runs` lists them")


def _run(reader: Reader, name: str) -> PastRun:
    found = reader.run(name)
    if found is None:  # a collection has just removed it
        raise _unknown(name, reader.path.parent)
    asked = {step.uses for step in found.steps if (action := BUILT_IN.action(step.uses)) and action.question}
    return PastRun(found, reader.results_of(name), reader.made_before(sorted(asked), name) if asked else ())


def _producer(reader: Reader, digest: str, store: Path) -> tuple[PastRun, str, tuple[str, ...]]:
    """Returns the latest run and step that produced the artifact. Raises BadInput for no match or several."""
    matches: dict[str, tuple[PastRun, str, str]] = {}
    for name, step in reader.giving(digest):
        past = _run(reader, name)
        outputs = provenance.outputs_of(past.run, step)
        for output in outputs:
            if (output.digest or "").startswith(digest):
                matches.setdefault(output.digest or "", (past, step, output.name))
        if len(digest) == 71 and matches:
            break
    if len(matches) == 1:
        found, step, name = next(iter(matches.values()))
        return found, step, (name,)
    if matches:
        raise BadInput(
            f"several artifacts begin with {digest}: {', '.join(sorted(matches))}",
            code="unknown-artifact",
            hint="use more characters of the digest",
        )
    raise BadInput(
        f"no recorded step in the store {store} has an artifact {digest}",
        code="unknown-artifact",
        hint="`e2i show RUN` prints the beginning of each digest",
    )
