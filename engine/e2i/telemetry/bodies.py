"""The bodies of telemetry entries: one struct for each kind. Times are milliseconds since the epoch.

A step records measurements, the engine the rest. An entry keeps its kind beside its body, so that the outbox can be
searched by kind.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType, convert

from e2i.catalog.step_error import ErrorDocument
from e2i.documents import Element, JsonObject, OutputValues, ParamValues, made, plain


class _Body(Element, frozen=True, kw_only=True, tag_field="kind"):
    pass


class _Measurement(_Body, frozen=True, kw_only=True):
    step: str


class Param(_Measurement, frozen=True, kw_only=True, tag="param"):
    """A parameter of the tracker's run."""

    name: str
    value: Any


class Metric(_Measurement, frozen=True, kw_only=True, tag="metric"):
    """One value of a metric."""

    name: str
    value: float
    index: int
    at_ms: int = 0
    """When the engine received it."""


class Child(_Measurement, frozen=True, kw_only=True, tag="child"):
    """A child of the tracker's run, such as a trial. Its entry also has ``index``: which child of the step, from 0."""

    name: str
    status: Literal["finished", "failed"]
    started_ms: int
    ended_ms: int
    params: ParamValues
    metrics: dict[str, int | float | None]


class Attachment(_Measurement, frozen=True, kw_only=True, tag="attachment"):
    """A stored artifact to show, as its document. A Model is logged as a model."""

    name: str
    artifact: JsonObject


class Warned(_Measurement, frozen=True, kw_only=True, tag="warning"):
    """What a user should know of a step's data or result, although the step succeeds."""

    message: str


class LLMCall(_Measurement, frozen=True, kw_only=True, tag="llm"):
    """A call of a language model by a function of the user's. It is not repeated for a reused step."""

    name: str
    model: str
    provider: str | None
    input: str
    output: str
    input_tokens: int | None
    output_tokens: int | None
    cost: float | None
    """US dollars; None: by the price of the model."""
    error: str | None
    started_ms: int
    ended_ms: int


class StartedRun(_Body, frozen=True, kw_only=True, tag="run.started"):
    """The start of a run. It follows an end when the run is resumed."""

    pipeline: str
    params: ParamValues
    started_ms: int
    spec: str | UnsetType = UNSET
    """The digest of the plan. Only sinks receive it and the profile."""
    profile: str | UnsetType = UNSET


class Attempt(Element, frozen=True, kw_only=True):
    """One finished attempt of a step."""

    started_ms: int
    ended_ms: int
    seconds: float
    error: ErrorDocument | None


class FinishedStep(_Body, frozen=True, kw_only=True, tag="step.finished"):
    """The end of a step, with its attempts."""

    step: str
    uses: str
    agent: str | None
    status: str
    attempts: tuple[Attempt, ...]
    started_ms: int
    ended_ms: int
    needs: tuple[str, ...]
    inputs: ParamValues | None
    outputs: OutputValues | None
    error: ErrorDocument | None
    group: str | None
    """The id of the matrix that the step is a combination of."""


class FinishedRun(_Body, frozen=True, kw_only=True, tag="run.finished"):
    """The end of a run."""

    status: Literal["succeeded", "failed", "interrupted"]
    ended_ms: int


class AbandonedRun(_Body, frozen=True, kw_only=True, tag="run.abandoned"):
    """The end of a run whose process exited."""

    ended_ms: int
    reason: str


Measurement = Param | Metric | Child | Attachment | Warned | LLMCall
"""What a step records."""
Body = Measurement | StartedRun | FinishedStep | FinishedRun | AbandonedRun
Recorded = tuple[str, JsonObject]
"""The kind and the body of a measurement, as they are stored."""
STARTS = ("run.started", "program.started")
"""Kinds without which a tracker does not know a run."""
ENDS = ("run.finished", "run.abandoned", "program.finished", "opik.finished")
"""Kinds after which a run sends nothing, unless it is resumed."""


class _Stored(Struct):
    """Holds a measurement: msgspec examines a struct once, and a union in every call of ``convert``."""

    body: Measurement


def recorded(body: Struct) -> Recorded:
    """Returns the kind and the body as plain data."""
    content = plain(body)
    return content.pop("kind"), content


def measurement(stored: Recorded) -> Measurement:
    """Returns a stored measurement as a struct. Raises ValueError when it is none."""
    kind, content = stored
    return convert({"body": {"kind": kind, **content}}, _Stored, dec_hook=made).body
