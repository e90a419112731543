"""Trace an output of a step back to files and commits.

In: a past run, a step, its outputs. Out: the chain of steps. Pure. The chain is that of this run. A reused step refers
to the run that executed it, which has its own commit, host and versions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import asdict

from e2i.documents import Digest, Element, JsonDocument, Milliseconds, ParamValues
from e2i.errors import BadInput
from e2i.records import lineage
from e2i.records.lineage import File, Output, OutputName, Step
from e2i.records.past import PastRun
from e2i.store.past import RecordedRun, RunOrigin, RunStatus, StepStatus


class TracedStep(Element, frozen=True, kw_only=True):
    """A step in the history of a result."""

    step: Annotated[str, Meta(description="The step's id.")]
    uses: Annotated[str, Meta(description="The action.")]
    version: Annotated[int | None, Meta(description="The version of the action.")]
    status: StepStatus
    run: Annotated[str, Meta(description="The run that executed the step.")]
    started_ms: Milliseconds | None
    ended_ms: Milliseconds | None
    fingerprint: Annotated[Digest | None, Meta(description="Hash of all that the result depends on, if known.")]
    parameters: Annotated[ParamValues, Meta(description="Resolved; an artifact is {$artifact: DIGEST}.")]
    libraries: Annotated[dict[str, str | None], Meta(description="Versions of the libraries of the action.")]
    python: Annotated[str | None, Meta(description="Major and minor version of Python, if known.")]
    seed: Annotated[int | None, Meta(description="The seed, if known.")]
    files: Annotated[tuple[File, ...], Meta(description="Files of the workspace that the step read.")]
    reads: Annotated[tuple[OutputName, ...], Meta(description="Outputs of upstream steps that the step read.")]
    gave: Annotated[tuple[OutputName, ...], Meta(description="The outputs of the step.")]


class MakerRun(RunOrigin, frozen=True, kw_only=True):
    """A run that executed steps, with its origin."""

    pipeline: Annotated[str, Meta(description="The pipeline's name.")]
    status: RunStatus
    started_ms: Milliseconds
    ended_ms: Milliseconds | None
    file: Annotated[str, Meta(description="Path of the spec, as the user typed it.")]
    profile: Annotated[str, Meta(description="The profile of the run's settings.")]
    params: Annotated[ParamValues, Meta(description="The value of every parameter.")]


class ProvenanceDocument(JsonDocument, frozen=True, kw_only=True):
    """Output of `e2i provenance TARGET --json`."""

    run: Annotated[str, Meta(description="The id of the run that was asked about.")]
    step: Annotated[str, Meta(description="The step that produced the outputs.")]
    outputs: Annotated[tuple[OutputName, ...], Meta(description="The outputs that were asked about.")]
    steps: Annotated[tuple[TracedStep, ...], Meta(description="In order of execution.")]
    files: Annotated[tuple[File, ...], Meta(description="All files of the workspace that the steps read.")]
    runs: Annotated[
        dict[str, MakerRun | None],
        Meta(description="The runs that executed these steps, with their origin. None: no longer in the store."),
    ]


class Provenance(Struct, frozen=True):
    """The provenance of an output. ``steps``: in the order of the plan; the last one produced the output."""

    run: RecordedRun
    outputs: tuple[Output, ...]
    steps: tuple[Step, ...]
    makers: Mapping[str, RecordedRun | None]
    """The runs that executed these steps, by id; None: no longer in the store."""

    @property
    def step(self) -> Step:
        return self.steps[-1]

    @property
    def document(self) -> ProvenanceDocument:
        files = {(file.path, file.digest) for step in self.steps for file in step.files}
        return ProvenanceDocument(
            run=self.run.id,
            step=self.step.id,
            outputs=tuple(output.named for output in self.outputs),
            steps=tuple(map(_step, self.steps)),
            files=tuple(File(path, digest) for path, digest in sorted(files)),
            runs={name: _maker(maker) if maker else None for name, maker in sorted(self.makers.items())},
        )


def trace(past: PastRun, step: str, names: tuple[str, ...], makers: Mapping[str, RecordedRun]) -> Provenance:
    """Returns the provenance of these outputs of a step. ``makers``: the runs whose results this run reused, by id."""
    chain = lineage.behind(lineage.of(past), step)
    found = tuple(output for output in chain[-1].outputs if not names or output.name in names)
    known = {**makers, past.run.id: past.run}
    return Provenance(past.run, found, tuple(chain), {name: known.get(name) for name in {s.made_in for s in chain}})


def point(past: PastRun, text: str) -> tuple[str, tuple[str, ...]]:
    """Returns the step of ``STEP`` or ``STEP.OUTPUT``, and the output if one is named. Raises BadInput."""
    steps = lineage.of(past)
    if text in steps:
        return text, ()
    step, dot, name = text.rpartition(".")
    while dot and step not in steps:  # the name of an artifact within a mapping contains dots
        step, dot, rest = step.rpartition(".")
        name = f"{rest}.{name}"
    if step not in steps:
        known = ", ".join(steps) or "none"
        raise BadInput(
            f"run {past.run.id} has no step or output {text!r}", code="unknown-output", hint=f"its steps: {known}"
        )
    names = [output.name for output in steps[step].outputs]
    if name not in names:
        raise BadInput(
            f"step {step!r} of run {past.run.id} has no output {name!r}",
            code="unknown-output",
            hint=f"its outputs: {', '.join(names) or 'none'}",
        )
    return step, (name,)


def outputs_of(run: RecordedRun, step: str) -> tuple[Output, ...]:
    """Returns the outputs of a step of the run."""
    return next((lineage.outputs(step, row.outputs) for row in run.steps if row.id == step), ())


def _step(step: Step) -> TracedStep:
    return TracedStep(
        step=step.id,
        uses=step.uses,
        version=step.version,
        status=step.row.status,
        run=step.made_in,
        started_ms=step.row.started_ms,
        ended_ms=step.row.ended_ms,
        fingerprint=step.row.fingerprint,
        parameters=step.parameters,
        libraries=step.libraries,
        python=step.python,
        seed=step.seed,
        files=step.files,
        reads=tuple(read.named for read in step.reads),
        gave=tuple(output.named for output in step.outputs),
    )


def _maker(run: RecordedRun) -> MakerRun:
    return MakerRun(
        **asdict(run.provenance),
        pipeline=run.pipeline,
        status=run.status,
        started_ms=run.started_ms,
        ended_ms=run.ended_ms,
        file=run.file,
        profile=run.profile,
        params=run.params,
    )
