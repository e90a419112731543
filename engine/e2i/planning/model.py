"""The plan as data: each step with its verdict, reason and fingerprint. Frozen, ordered, serialisable as JSON.

In: the decisions of ``build``. Out: documents of the contract, and the plan's own digest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field
from msgspec.structs import asdict, replace

from e2i.documents import Digest, Documented, JsonDocument, JsonObject, OutputValues, ParamValues, Values
from e2i.planning.canonical import digest
from e2i.planning.estimates.model import PlanEstimate
from e2i.planning.inputs import BoundOptions, Components, Inputs, Part
from e2i.spec.problems import Problem


class Verdict(StrEnum):
    """The decision about a step."""

    RUN = "run"
    REUSE = "reuse"
    UNDECIDED = "undecided"
    """Unknown until an upstream step has run. Becomes run, reuse or skip."""
    ALWAYS = "always"
    SKIP = "skip"


class Why(StrEnum):
    """The codes of reasons."""

    NEVER_RUN = "never-run"
    UNCHANGED = "unchanged"
    PARAMETER_CHANGED = "parameter-changed"
    INPUT_CHANGED = "input-changed"
    FILE_CHANGED = "file-changed"
    LIBRARY_CHANGED = "library-changed"
    ACTION_CHANGED = "action-changed"
    SEED_CHANGED = "seed-changed"
    SERVER_CHANGED = "server-changed"
    RESULT_LOST = "result-lost"
    EFFECT_LOST = "effect-lost"
    FRESH = "fresh"
    UPSTREAM_RUNS = "upstream-runs"
    ALWAYS = "always"
    CACHE_OFF = "cache-off"
    NEEDED = "service-needed"
    NOT_NEEDED = "service-not-needed"
    WHEN_FALSE = "when-false"
    WHEN_UNKNOWN = "when-unknown"
    UPSTREAM_SKIPPED = "upstream-skipped"
    NOT_SELECTED = "not-selected"
    FINALLY = "finally"
    READS_RUN = "reads-run"


class Reason(Struct, frozen=True, forbid_unknown_fields=True):
    """The reason for a step's verdict."""

    code: Annotated[Why, Meta(description="Reason code, for programs.")]
    detail: Annotated[str, Meta(description="Description for people: the change, with old and new value.")]


class Undecided(Part, frozen=True, kw_only=True):
    """A parameter known only during the run that decides which file a step reads or which code it runs."""

    step: Annotated[str, Meta(description="The step's id.")]
    parameter: Annotated[str, Meta(description="Path to the parameter's value.")]
    kind: Annotated[Literal["file", "code"], Meta(description="A run that is bound to a plan refuses `code`.")]
    value: Annotated[str, Meta(description="The expression, as written in the spec.")]

    def __str__(self) -> str:
        what = "the code that it runs" if self.kind == "code" else "the file that it reads"
        return f"{self.step}: {what} is only known during the run ({self.parameter}: {self.value})"


class CoveredStep(Part, frozen=True, kw_only=True):
    """All that can affect a step's execution, as far as it is known before the run."""

    id: str
    uses: str
    needs: list[str]
    final: Literal[True] | UnsetType = field(default=UNSET, name="finally")
    inputs: Inputs
    options: BoundOptions


class StepOutline(Part, frozen=True, kw_only=True):
    """The planned execution of one step."""

    id: Annotated[str, Meta(description="The step's id; a matrix combination is `train[XGBoost]`.")]
    uses: Annotated[str, Meta(description="The action.")]
    needs: Annotated[list[str], Meta(description="The upstream steps.")]
    final: Annotated[Literal[True] | UnsetType, Meta(description="True if it runs after all others, else absent.")] = (
        field(default=UNSET, name="finally")
    )
    verdict: Annotated[Verdict, Meta(description="undecided: decided once an upstream step has run.")]
    reason: Reason
    fingerprint: Annotated[Digest | None, Meta(description="Hash of all that the result depends on, if known.")]


class StepDocument(StepOutline, frozen=True, kw_only=True):
    """The planned execution of one step, with all that the plan's digest covers."""

    inputs: Annotated[Inputs, Meta(description="Action, parameters, digests of files, libraries, seed.")]
    options: Annotated[BoundOptions, Meta(description="Conditions, retries, time limits and the like.")]

    @property
    def covered(self) -> CoveredStep:
        return CoveredStep(
            id=self.id,
            uses=self.uses,
            needs=self.needs,
            final=self.final,
            inputs=self.inputs,
            options=self.options,
        )


class Covered(Part, frozen=True, kw_only=True):
    """What the digest of a plan covers: all that can affect execution.

    Not covered: verdicts (they change as work gets done), descriptions, comments, the order of keys.
    """

    name: str
    profile: str
    params: ParamValues
    outputs: OutputValues
    environment: JsonObject
    undecided: list[Undecided]
    steps: dict[str, CoveredStep]


class PlanOutline(JsonDocument, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The plan as recorded in an unbound run, without what the record contains elsewhere."""

    digest: Annotated[
        Digest, Meta(description="Hash of all that can affect execution: all but verdicts, reasons and fingerprints.")
    ]
    name: Annotated[str, Meta(description="The pipeline's name.")]
    profile: Annotated[str, Meta(description="The profile of the settings.")]
    params: Annotated[ParamValues, Meta(description="The value of every parameter.")]
    steps: Annotated[Sequence[StepOutline], Meta(description="In topological order.")]
    summary: Annotated[dict[Verdict, int], Meta(description="Number of steps with each verdict.")]


class PlanDocument(PlanOutline, frozen=True, kw_only=True):
    """Output of `e2i plan --json` and `e2i plan -o`. A run can be bound to it."""

    steps: Annotated[Sequence[StepDocument], Meta(description="In topological order.")]
    outputs: Annotated[OutputValues, Meta(description="The pipeline's outputs; expressions for values still unknown.")]
    environment: Annotated[
        JsonObject, Meta(description="Settings that affect a run: policy, tools, sinks, names of secrets.")
    ]
    undecided: Annotated[list[Undecided], Meta(description="Files and code known only during the run.")]
    checksum: Annotated[Digest, Meta(description="Hash of this document without this field.")]
    estimate: Annotated[
        PlanEstimate | UnsetType, Meta(description="With `--estimate`, or where a budget limits the plan, else absent.")
    ] = UNSET

    @property
    def covered(self) -> Covered:
        """What the digest covers. All of it is in the document, so that the digest can be recomputed."""
        return Covered(
            name=self.name,
            profile=self.profile,
            params=self.params,
            outputs=self.outputs,
            environment=self.environment,
            undecided=self.undecided,
            steps={step.id: step.covered for step in self.steps},
        )

    @property
    def content_digest(self) -> str:
        """The checksum that the document must have."""
        content = {name: value for name, value in asdict(self).items() if name != "checksum" and value is not UNSET}
        return digest(content)


class PlanStep(Struct, frozen=True):
    """One step of a plan. ``components`` are the known inputs of its fingerprint."""

    id: str
    group: str
    uses: str
    needs: tuple[str, ...]
    verdict: Verdict
    reason: Reason
    fingerprint: str | None
    components: Components
    bound: BoundOptions
    final: bool = False
    """True when it runs after all others, whatever their status."""
    undecided: tuple[Undecided, ...] = ()
    """The files that it reads and the code that it runs, as far as they are only known in a run."""

    def outline(self) -> StepOutline:
        """Returns the step as recorded in a run."""
        return StepOutline(
            id=self.id,
            uses=self.uses,
            needs=list(self.needs),
            final=True if self.final else UNSET,
            verdict=self.verdict,
            reason=self.reason,
            fingerprint=self.fingerprint,
        )

    @property
    def document(self) -> StepDocument:
        return StepDocument(**asdict(self.outline()), inputs=self.components.inputs, options=self.bound)


class Plan(Documented, frozen=True, dict=True):
    """All steps in dependency order. Two plans with the same digest lead to the same work."""

    name: str
    steps: tuple[PlanStep, ...]
    params: ParamValues
    profile: str = "default"
    outputs: OutputValues = field(default_factory=OutputValues)
    """The outputs of a run, with expressions where they are only known in the run."""
    environment: Values = field(default_factory=dict)
    """The operator's settings that affect what the run does and where its outputs go."""
    warnings: tuple[Problem, ...] = ()
    """Problems of the spec that do not prevent a run. They are not part of the plan's document."""
    hints: tuple[str, ...] = ()
    """What people should know about the verdicts. Not part of the plan's document."""
    estimate: PlanEstimate | None = None

    @cached_property
    def digest(self) -> str:
        return digest(self.covered)

    @property
    def covered(self) -> Covered:
        return self._content.covered

    @property
    def undecided(self) -> tuple[Undecided, ...]:
        """The files that steps read and the code that they run, as far as they are only known in the run."""
        return tuple(item for step in self.steps for item in step.undecided)

    @property
    def summary(self) -> dict[Verdict, int]:
        """Returns the number of steps with each verdict, including zeros."""
        counts = Counter(step.verdict for step in self.steps)
        return {verdict: counts[verdict] for verdict in Verdict}

    @property
    def document(self) -> PlanDocument:
        """The document that a run can be bound to: complete, with a checksum over all of it."""
        document = replace(self._content, digest=self.digest)
        return replace(document, checksum=document.content_digest)

    @cached_property
    def _content(self) -> PlanDocument:
        """The document without digest and checksum."""
        return PlanDocument(
            digest="",
            name=self.name,
            profile=self.profile,
            params=self.params,
            steps=[step.document for step in self.steps],
            summary=self.summary,
            outputs=self.outputs,
            environment=dict(self.environment),
            undecided=list(self.undecided),
            checksum="",
            estimate=self.estimate or UNSET,
        )

    def outline(self) -> PlanOutline:
        """Returns the plan as recorded in an unbound run."""
        return PlanOutline(
            digest=self.digest,
            name=self.name,
            profile=self.profile,
            params=self.params,
            steps=[step.outline() for step in self.steps],
            summary=self.summary,
        )
