"""Trace an output of a step back to files and commits.

In: the document of a run, a step, its outputs. Out: the chain of steps. Pure. The chain is that of this run. A reused
step refers to the run that executed it, which has its own commit, host and versions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from e2i.errors import BadInput
from e2i.records import lineage
from e2i.records.lineage import Output, Step

Run = Mapping[str, Any]


class Provenance(Struct, frozen=True):
    """The provenance of an output. ``steps``: in the order of the plan; the last one produced the output."""

    run: Run
    outputs: tuple[Output, ...]
    steps: tuple[Step, ...]
    makers: Mapping[str, Run | None]
    """The runs that executed these steps, by id; None: no longer in the store."""

    @property
    def step(self) -> Step:
        return self.steps[-1]

    def to_json(self) -> dict[str, Any]:
        return {
            "schema_version": 1,
            "run": self.run["run"],
            "step": self.step.id,
            "outputs": [_output(output) for output in self.outputs],
            "steps": [_step(step) for step in self.steps],
            "files": [
                {"path": path, "digest": digest}
                for path, digest in sorted({(file.path, file.digest) for step in self.steps for file in step.files})
            ],
            "runs": {name: _maker(maker) for name, maker in sorted(self.makers.items())},
        }


def trace(run: Run, step: str, names: tuple[str, ...], makers: Mapping[str, Run]) -> Provenance:
    """Returns the provenance of these outputs of a step. ``makers``: the runs whose results this run reused, by id."""
    chain = lineage.behind(lineage.of(run), step)
    found = tuple(output for output in chain[-1].outputs if not names or output.name in names)
    known = {**makers, run["run"]: run}
    return Provenance(run, found, tuple(chain), {name: known.get(name) for name in {s.made_in for s in chain}})


def point(run: Run, text: str) -> tuple[str, tuple[str, ...]]:
    """Returns the step of ``STEP`` or ``STEP.OUTPUT``, and the output if one is named. Raises BadInput."""
    steps = lineage.of(run)
    if text in steps:
        return text, ()
    step, dot, name = text.rpartition(".")
    while dot and step not in steps:  # the name of an artifact within a mapping contains dots
        step, dot, rest = step.rpartition(".")
        name = f"{rest}.{name}"
    if step not in steps:
        known = ", ".join(steps) or "none"
        raise BadInput(
            f"run {run['run']} has no step or output {text!r}", code="unknown-output", hint=f"its steps: {known}"
        )
    names = [output.name for output in steps[step].outputs]
    if name not in names:
        raise BadInput(
            f"step {step!r} of run {run['run']} has no output {name!r}",
            code="unknown-output",
            hint=f"its outputs: {', '.join(names) or 'none'}",
        )
    return step, (name,)


def outputs_of(run: Run, step: str) -> tuple[Output, ...]:
    """Returns the outputs of a step of the run."""
    return next((lineage.outputs(step, row["outputs"]) for row in run["steps"] if row["step"] == step), ())


def _output(output: Output) -> dict[str, Any]:
    return {"step": output.step, "output": output.name, "type": output.type, "digest": output.digest}


def _step(step: Step) -> dict[str, Any]:
    components = step.components
    return {
        "step": step.id,
        "uses": step.uses,
        "version": components.get("version"),
        "status": step.row["status"],
        "run": step.made_in,
        "started_ms": step.row["started_ms"],
        "ended_ms": step.row["ended_ms"],
        "fingerprint": step.row["fingerprint"],
        "parameters": dict(step.parameters),
        "libraries": components.get("libraries") or {},
        "python": components.get("python"),
        "seed": components.get("seed"),
        "files": [{"path": file.path, "digest": file.digest} for file in step.files],
        "reads": [_output(output) for output in step.reads],
        "gave": [_output(output) for output in step.outputs],
    }


def _maker(run: Run | None) -> dict[str, Any] | None:
    if run is None:
        return None
    names = ("pipeline", "status", "started_ms", "ended_ms", "file", "profile", "params")
    return {**{name: run[name] for name in names}, **(run.get("provenance") or {})}
