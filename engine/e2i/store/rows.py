"""The rows that a run writes to the run store, one struct each. ``past`` has the structs of what was written."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from e2i.catalog.step_error import ErrorDocument
from e2i.documents import OutputValues
from e2i.planning.inputs import Components
from e2i.store.past import RecordedAttempt
from e2i.store.usage import Usage
from e2i.telemetry.bodies import Recorded


class RunRow(Struct, frozen=True, kw_only=True):
    """A row of the table ``runs``, column by column. Times are milliseconds since the epoch, documents are JSON."""

    run: str
    pipeline: str
    status: str
    started_ms: int
    ended_ms: int | None = None
    holder: str
    """The identity of the process that executes the run."""
    file: str
    spec: str
    profile: str
    params: str
    plan: str
    outputs: str | None = None
    host: str = ""
    included: str = "{}"
    options: str = "{}"
    provenance: str = "{}"


class StepEnd(Struct, frozen=True, kw_only=True):
    """The end of a step. Times are milliseconds since the epoch."""

    pipeline: str
    status: str
    started_ms: int | None = None
    """None: as recorded by ``RunStore.start_step``."""
    ended_ms: int
    fingerprint: str | None
    outputs: OutputValues | None
    error: ErrorDocument | None = None
    attempts: int
    note: str = ""
    tries: Sequence[RecordedAttempt] = ()
    """The finished attempts."""
    usage: Usage | None = None
    """What a step that succeeded took."""


class Result(Struct, frozen=True, kw_only=True):
    """A reusable result: the outputs and the telemetry of a finished step, with the inputs of its fingerprint."""

    fingerprint: str
    static_key: str
    uses: str
    components: Components
    outputs: OutputValues
    telemetry: Sequence[Recorded]
    run: str
    """The run that produced it."""
    created_ms: int
