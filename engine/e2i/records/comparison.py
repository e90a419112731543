"""Compare two runs: their inputs, steps and results.

In: the documents of two runs. Out: the differences. Pure. Differences are pairs, first run A, then run B; ``None`` is a
value that one of them does not have.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict

from e2i.estimators.metrics import METRICS
from e2i.planning.diff import SpecDiff
from e2i.planning.fingerprint import difference, recorded
from e2i.planning.model import Reason
from e2i.records import lineage
from e2i.records.lineage import Step

Run = Mapping[str, Any]
Side = tuple[Run, Mapping[str, Step]]
"""A run, and its steps by their ids."""
_HEAD = ("run", "pipeline", "status", "started_ms", "ended_ms", "paused_ms", "resumed_ms", "file", "profile")


class Pair(Struct, frozen=True):
    """A named value that differs."""

    name: str
    before: Any
    after: Any


class Figure(Struct, frozen=True):
    """A number of both runs. ``better``: whether B's is better; None: unknown, or equal."""

    name: str
    before: float | None
    after: float | None
    better: bool | None

    @property
    def change(self) -> float | None:
        return None if self.before is None or self.after is None else self.after - self.before

    @property
    def relative(self) -> float | None:
        """Returns the change relative to the value before."""
        return self.change / abs(self.before) if self.change is not None and self.before else None

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "change": self.change, "relative": self.relative}


class StepPair(Struct, frozen=True):
    """A step in each run: ``status``, ``verdict``, ``seconds``, ``attempts``, ``error``. None: the run has no such
    step.
    """

    id: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    reason: Reason | None
    """The first cause of a different result, if recorded."""

    @property
    def differs(self) -> bool:
        """Returns whether action, status or error differ. Durations are ignored."""
        return bool(_outcome(self.before) != _outcome(self.after))


class RunDiff(Struct, frozen=True):
    """The differences of two runs."""

    runs: tuple[Run, Run]
    spec: SpecDiff | None
    """None when one of the specs can no longer be read."""
    same_text: bool
    params: tuple[Pair, ...]
    files: tuple[Pair, ...]
    """Digests of files that were read from the workspace."""
    versions: tuple[Pair, ...]
    """Libraries, Python, e2i, actions."""
    environment: tuple[Pair, ...]
    """Seed, commit, changed files, host, profile."""
    steps: tuple[StepPair, ...]
    figures: tuple[Figure, ...]
    """Every number: outputs of the pipeline, then metrics of steps, then the rest."""
    outputs: tuple[Pair, ...]
    """Other outputs of the pipeline that differ."""
    artifacts: tuple[Pair, ...]
    """Digests of the steps' outputs that differ."""

    @property
    def same_inputs(self) -> bool:
        """Returns whether there is no difference that can change a result."""
        spec = self.spec is not None and not self.spec.differences
        seeds = any(pair.name == "seed" for pair in self.environment)
        return (spec or self.same_text) and not (self.params or self.files or self.versions or seeds)

    @property
    def same_results(self) -> bool:
        return not self.outputs and not self.artifacts and all(f.before == f.after for f in self.figures)

    def to_json(self) -> dict[str, Any]:
        pairs = ("params", "files", "versions", "environment", "outputs", "artifacts")
        return {
            "schema_version": 1,
            "runs": [dict(run) for run in self.runs],
            "same_inputs": self.same_inputs,
            "same_results": self.same_results,
            "spec": self.spec.to_json() if self.spec else None,
            **{name: [asdict(pair) for pair in getattr(self, name)] for name in pairs},
            "figures": [figure.to_json() for figure in self.figures],
            "steps": [
                {**asdict(pair), "reason": asdict(pair.reason) if pair.reason else None, "differs": pair.differs}
                for pair in self.steps
            ],
        }


def compare(before: Run, after: Run, spec: SpecDiff | None) -> RunDiff:
    """Returns the differences of two runs, from their documents. ``spec``: those of the specs, if both are readable."""
    steps = (lineage.of(before), lineage.of(after))
    return RunDiff(
        runs=(_head(before), _head(after)),
        spec=spec,
        same_text=before["spec"] == after["spec"],
        params=_pairs(before["params"] or {}, after["params"] or {}),
        files=_pairs(*map(_files, steps)),
        versions=_pairs(_versions(before, steps[0]), _versions(after, steps[1])),
        environment=_pairs(_environment(before), _environment(after)),
        steps=tuple(_steps((before, steps[0]), (after, steps[1]))),
        figures=tuple(_figures((before, steps[0]), (after, steps[1]))),
        outputs=_pairs(_plain(before["outputs"]), _plain(after["outputs"])),
        artifacts=_pairs(*map(_artifacts, steps)),
    )


def numbers(name: str, value: Any) -> Iterator[tuple[str, float]]:
    """Yields every finite number in plain data with its path; artifacts are not searched."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if math.isfinite(value):
            yield name, value
    elif isinstance(value, Mapping) and not lineage.is_artifact(value):
        for key, item in value.items():
            yield from numbers(f"{name}.{key}", item)


def _head(run: Run) -> dict[str, Any]:
    provenance = run.get("provenance") or {}
    return {**{name: run[name] for name in _HEAD}, "commit": (provenance.get("git") or {}).get("commit")}


def _pairs(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Pair, ...]:
    names = dict.fromkeys((*before, *after))
    return tuple(Pair(name, before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name))


def _files(steps: Mapping[str, Step]) -> dict[str, str | None]:
    return {file.path: file.digest for step in steps.values() for file in step.files}


def _versions(run: Run, steps: Mapping[str, Step]) -> dict[str, Any]:
    """Returns the versions of the run, and those with which its reused results were produced."""
    provenance = run.get("provenance") or {}
    found = {name: provenance.get(name) for name in ("e2i", "python")} | dict(provenance.get("libraries") or {})
    for step in steps.values():
        if "version" in step.components:
            found[f"action {step.uses}"] = f"v{step.components['version']}"
    return {name: version for name, version in found.items() if version is not None}


def _environment(run: Run) -> dict[str, Any]:
    provenance = run.get("provenance") or {}
    git = provenance.get("git") or {}
    changed = list(git.get("changed") or ())
    found = {
        "seed": provenance.get("seed"),
        "profile": run["profile"],
        "commit": git.get("commit"),
        "branch": git.get("branch"),
        "changed files": ", ".join(changed) or None,
        "host": provenance.get("host"),
        "system": provenance.get("system"),
        "cores": provenance.get("cores"),
    }
    return {name: value for name, value in found.items() if value is not None}


def _steps(before: Side, after: Side) -> Iterator[StepPair]:
    sides = [_facts(run) for run, _ in (before, after)]
    for name in dict.fromkeys((*sides[0], *sides[1])):
        old, new = before[1].get(name), after[1].get(name)
        differ = old and new and _are_others(old, new)
        reason = difference(recorded(new.components), recorded(old.components)) if old and new and differ else None
        yield StepPair(name, sides[0].get(name), sides[1].get(name), reason)


def _are_others(before: Step, after: Step) -> bool:
    """Returns whether both results are known to come from different inputs."""
    known = before.components and after.components
    return bool(known) and before.row["fingerprint"] != after.row["fingerprint"]


def _facts(run: Run) -> dict[str, dict[str, Any]]:
    rows = {row["step"]: row for row in run["steps"]}
    found = {}
    for planned in run["plan"]["steps"]:
        row = rows.get(planned["id"], {})
        ended, started = row.get("ended_ms"), row.get("started_ms")
        found[planned["id"]] = {
            "uses": planned["uses"],
            "verdict": planned["verdict"],
            "reason": planned["reason"]["detail"],
            "status": row.get("status", "pending"),
            "seconds": (ended - started) / 1000 if ended is not None and started is not None else None,
            "attempts": row.get("attempts", 0),
            "error": (row.get("error") or {}).get("message"),
        }
    return found


def _outcome(step: Mapping[str, Any] | None) -> Any:
    """Returns how a step ended. Reused results count as succeeded."""
    if step is None:
        return None
    status = "succeeded" if step["status"] in lineage.GOOD else step["status"]
    return step["uses"], status, step["error"]


def _figures(before: Side, after: Side) -> Iterator[Figure]:
    sides = [_numbers(*before), _numbers(*after)]
    names = dict.fromkeys((*sides[0], *sides[1]))
    own = {*(before[0]["outputs"] or {}), *(after[0]["outputs"] or {})}

    def rank(name: str) -> int:
        return 0 if name.partition(".")[0] in own else 1 if ".metrics." in name else 2

    for name in sorted(names, key=rank):  # stable: within a step, in the order of its outputs
        old, new = sides[0].get(name), sides[1].get(name)
        yield Figure(name, old, new, _better(name, old, new))


def _numbers(run: Run, steps: Mapping[str, Step]) -> dict[str, float]:
    """Returns the numbers among the pipeline's outputs and those of its steps."""
    found = dict(pair for name, value in (run["outputs"] or {}).items() for pair in numbers(name, value))
    for step in steps.values():
        for name, value in (step.row["outputs"] or {}).items():
            found.update(numbers(f"{step.id}.{name}", value))
    return found


def _better(name: str, before: float | None, after: float | None) -> bool | None:
    metric = METRICS.get(name.rpartition(".")[2])
    if metric is None or name.endswith(".prevalence") or before is None or after is None or before == after:
        return None
    return (after > before) == (metric.direction == "maximize")


def _plain(outputs: Mapping[str, Any] | None) -> dict[str, Any]:
    """Returns the pipeline's outputs that are not numbers, artifacts as digests."""
    found = {name: value["digest"] if lineage.is_artifact(value) else value for name, value in (outputs or {}).items()}
    return {name: value for name, value in found.items() if not list(numbers(name, value))}


def _artifacts(steps: Mapping[str, Step]) -> dict[str, str]:
    return {
        output.address: output.digest for step in steps.values() for output in step.outputs if output.digest is not None
    }
