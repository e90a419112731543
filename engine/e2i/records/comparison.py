"""The documents of two runs go in; what differs between them comes out: what went into them, how they went, what they
gave.

Pure. Everything is told as a pair, first run A, then run B; ``None`` stands for what one of them does not have.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict

from e2i.estimators.metrics import METRICS
from e2i.planning.diff import SpecDiff
from e2i.planning.fingerprint import difference
from e2i.planning.model import Reason
from e2i.records import lineage
from e2i.records.lineage import Step

Run = Mapping[str, Any]
Side = tuple[Run, Mapping[str, Step]]
"""A run, and its steps by their ids."""
_HEAD = ("run", "pipeline", "status", "started_ms", "ended_ms", "paused_ms", "resumed_ms", "file", "profile")


class Pair(Struct, frozen=True):
    """Something that differs, by its name."""

    name: str
    before: Any
    after: Any


class Figure(Struct, frozen=True):
    """A number that a run gave. ``better``: whether B's is; None: nobody knows, or they are equal."""

    name: str
    before: float | None
    after: float | None
    better: bool | None

    @property
    def change(self) -> float | None:
        return None if self.before is None or self.after is None else self.after - self.before

    @property
    def relative(self) -> float | None:
        """The change as a share of what it was."""
        return self.change / abs(self.before) if self.change is not None and self.before else None

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "change": self.change, "relative": self.relative}


class StepPair(Struct, frozen=True):
    """A step as it went in each run: ``status``, ``verdict``, ``seconds``, ``attempts``, ``error``; None: not there."""

    id: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    reason: Reason | None
    """The first thing that made its result another one, if that is recorded."""

    @property
    def differs(self) -> bool:
        """Whether it went otherwise; how long it took is no difference."""
        return bool(_went(self.before) != _went(self.after))


class RunDiff(Struct, frozen=True):
    """What two runs have and have not in common."""

    runs: tuple[Run, Run]
    spec: SpecDiff | None
    """None when one of the specs can no longer be read."""
    same_text: bool
    params: tuple[Pair, ...]
    files: tuple[Pair, ...]
    """Digests of what was read from the workspace."""
    versions: tuple[Pair, ...]
    """Libraries, Python, e2i, actions."""
    environment: tuple[Pair, ...]
    """Seed, commit, changed files, host, profile."""
    steps: tuple[StepPair, ...]
    figures: tuple[Figure, ...]
    """Every number that was given: by the pipeline, then metrics of steps, then the rest."""
    outputs: tuple[Pair, ...]
    """Other outputs of the pipeline that differ."""
    artifacts: tuple[Pair, ...]
    """Digests of what steps gave, where they differ."""

    @property
    def same_inputs(self) -> bool:
        """Whether nothing that can change a result differs."""
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
    """The differences of two runs, given as documents; ``spec``: of their specs, if both can be read."""
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
    """Every finite number in plain data, by its path; artifacts are not looked into."""
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
    """The versions that the run had, and those under which what it reused was made."""
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
        reason = difference(new.components, old.components) if old and new and _are_others(old, new) else None
        yield StepPair(name, sides[0].get(name), sides[1].get(name), reason)


def _are_others(before: Step, after: Step) -> bool:
    """Whether both have results that are known to come from something else."""
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


def _went(step: Mapping[str, Any] | None) -> Any:
    """How a step ended, whether its result was made or reused."""
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

    for name in sorted(names, key=rank):  # stable: within a step as it gave them
        old, new = sides[0].get(name), sides[1].get(name)
        yield Figure(name, old, new, _better(name, old, new))


def _numbers(run: Run, steps: Mapping[str, Step]) -> dict[str, float]:
    """The pipeline's own outputs, and those of its steps."""
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
    """The pipeline's outputs that are no numbers; an artifact is its digest."""
    found = {name: value["digest"] if lineage.is_artifact(value) else value for name, value in (outputs or {}).items()}
    return {name: value for name, value in found.items() if not list(numbers(name, value))}


def _artifacts(steps: Mapping[str, Step]) -> dict[str, str]:
    return {
        output.address: output.digest for step in steps.values() for output in step.outputs if output.digest is not None
    }
