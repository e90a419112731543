"""Compare two runs: their inputs, steps and results.

In: two past runs. Out: the differences. Pure. Differences are pairs, first run A, then run B; ``None`` is a value that
one of them does not have.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from msgspec import UNSET, convert

from e2i.documents import OutputValues
from e2i.estimators.details import JUDGED
from e2i.planning.diff import SpecDiff
from e2i.planning.fingerprint import difference
from e2i.records import lineage
from e2i.records.differences import ComparedRun, ComparedStep, Figure, Pair, RunDiff, SpecChanges, StepPair
from e2i.records.lineage import Step
from e2i.records.past import PastRun
from e2i.store.past import RecordedReason, RecordedRun, RecordedStep, RunHead

Side = tuple[RecordedRun, Mapping[str, Step]]
"""A run, and its steps by their ids."""


def compare(before: PastRun, after: PastRun, spec: SpecDiff | None) -> RunDiff:
    """Returns the differences of two runs. ``spec``: those of the specs, if both are readable."""
    old, new = before.run, after.run
    old_steps, new_steps = lineage.of(before), lineage.of(after)
    same_text = old.spec == new.spec
    params = _pairs(old.params, new.params)
    files = _pairs(_files(old_steps), _files(new_steps))
    versions = _pairs(_versions(old, old_steps), _versions(new, new_steps))
    environment = _pairs(_environment(old), _environment(new))
    figures = tuple(_figures((old, old_steps), (new, new_steps)))
    outputs = _pairs(_plain(old.outputs), _plain(new.outputs))
    artifacts = _pairs(_artifacts(old_steps), _artifacts(new_steps))
    same_spec = same_text or (spec is not None and not spec.differences)
    other_seed = any(pair.name == "seed" for pair in environment)
    return RunDiff(
        runs=(_head(old), _head(new)),
        same_text=same_text,
        same_inputs=same_spec and not (params or files or versions or other_seed),
        same_results=not outputs and not artifacts and all(figure.before == figure.after for figure in figures),
        spec=convert(spec.to_json(), SpecChanges) if spec else None,
        params=params,
        files=files,
        versions=versions,
        environment=environment,
        figures=figures,
        outputs=outputs,
        artifacts=artifacts,
        steps=tuple(_steps((old, old_steps), (new, new_steps))),
    )


def numbers(name: str, value: Any) -> Iterator[tuple[str, float]]:
    """Yields every finite number in plain data with its path; artifacts are not searched."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if math.isfinite(value):
            yield name, value
    elif isinstance(value, Mapping) and not lineage.is_artifact(value):
        for key, item in value.items():
            yield from numbers(f"{name}.{key}", item)


def _head(run: RecordedRun) -> ComparedRun:
    shared = {name: getattr(run, name) for name in RunHead.__struct_fields__}
    return ComparedRun(**shared, commit=run.provenance.repository.commit or None)


V = TypeVar("V")


def _pairs(before: Mapping[str, V], after: Mapping[str, V]) -> tuple[Pair, ...]:
    names = dict.fromkeys((*before, *after))
    return tuple(
        Pair(name=name, before=before.get(name), after=after.get(name))
        for name in names
        if before.get(name) != after.get(name)
    )


def _files(steps: Mapping[str, Step]) -> dict[str, str | None]:
    return {file.path: file.digest for step in steps.values() for file in step.files}


def _versions(run: RecordedRun, steps: Mapping[str, Step]) -> dict[str, str]:
    """Returns the versions of the run, and those with which its reused results were produced."""
    origin = run.provenance
    found = {"e2i": origin.e2i or None, "python": origin.python or None, **(origin.libraries or {})}
    for step in steps.values():
        if step.version is not None:
            found[f"action {step.uses}"] = f"v{step.version}"
    return {name: version for name, version in found.items() if version is not None}


def _environment(run: RecordedRun) -> dict[str, str | int]:
    origin, git = run.provenance, run.provenance.repository
    found = {
        "seed": None if origin.seed is UNSET else origin.seed,
        "profile": run.profile,
        "commit": git.commit or None,
        "branch": git.branch or None,
        "changed files": ", ".join(git.changed or ()) or None,
        "host": origin.host or None,
        "system": origin.system or None,
        "cores": origin.cores or None,
    }
    return {name: value for name, value in found.items() if value is not None}


def _steps(before: Side, after: Side) -> Iterator[StepPair]:
    sides = [{step.id: _facts(step) for step in run.steps} for run, _ in (before, after)]
    for name in dict.fromkeys((*sides[0], *sides[1])):
        old, new = sides[0].get(name), sides[1].get(name)
        reason = _reason(before[1].get(name), after[1].get(name))
        yield StepPair(id=name, before=old, after=new, reason=reason, differs=_outcome(old) != _outcome(new))


def _reason(before: Step | None, after: Step | None) -> RecordedReason | None:
    """Returns the first cause of a different result, if both results are known to come from different inputs."""
    if before is None or after is None or not (before.components and after.components):
        return None
    if before.row.fingerprint == after.row.fingerprint:
        return None
    found = difference(after.components, before.components)
    return RecordedReason(code=found.code.value, detail=found.detail)


def _facts(step: RecordedStep) -> ComparedStep:
    ended, started = step.ended_ms, step.started_ms
    return ComparedStep(
        uses=step.uses,
        verdict=step.verdict,
        reason=step.reason.detail,
        status=step.status,
        seconds=(ended - started) / 1000 if ended is not None and started is not None else None,
        attempts=step.attempts,
        error=step.error.message if step.error else None,
    )


def _outcome(step: ComparedStep | None) -> tuple[str, str, str | None] | None:
    """Returns how a step ended. Reused results count as succeeded."""
    if step is None:
        return None
    status = "succeeded" if step.status in lineage.GOOD else step.status
    return step.uses, status, step.error


def _figures(before: Side, after: Side) -> Iterator[Figure]:
    sides = [_numbers(*before), _numbers(*after)]
    names = dict.fromkeys((*sides[0], *sides[1]))
    own = {*(before[0].outputs or {}), *(after[0].outputs or {})}

    def rank(name: str) -> int:
        return 0 if name.partition(".")[0] in own else 1 if ".metrics." in name else 2

    for name in sorted(names, key=rank):  # stable: within a step, in the order of its outputs
        old, new = sides[0].get(name), sides[1].get(name)
        change = None if old is None or new is None else new - old
        yield Figure(
            name=name,
            before=old,
            after=new,
            change=change,
            relative=change / abs(old) if change is not None and old else None,
            better=_better(name, old, new),
        )


def _numbers(run: RecordedRun, steps: Mapping[str, Step]) -> dict[str, float]:
    """Returns the numbers among the pipeline's outputs and those of its steps."""
    found = dict(pair for name, value in (run.outputs or {}).items() for pair in numbers(name, value))
    for step in steps.values():
        for name, value in (step.row.outputs or {}).items():
            found.update(numbers(f"{step.id}.{name}", value))
    return found


def _better(name: str, before: float | None, after: float | None) -> bool | None:
    metric = JUDGED.get(name.rpartition(".")[2])
    if metric is None or before is None or after is None or before == after:
        return None
    if name.endswith((".prevalence", ".share_below")):  # describe the rows, or are best at a level
        return None
    return (after > before) == (metric.direction == "maximize")


def _plain(outputs: OutputValues | None) -> OutputValues:
    """Returns the pipeline's outputs that are not numbers, artifacts as digests."""
    found = {name: value["digest"] if lineage.is_artifact(value) else value for name, value in (outputs or {}).items()}
    return OutputValues({name: value for name, value in found.items() if not list(numbers(name, value))})


def _artifacts(steps: Mapping[str, Step]) -> dict[str, str]:
    return {
        output.address: output.digest for step in steps.values() for output in step.outputs if output.digest is not None
    }
