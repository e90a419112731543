"""The seam between the scheduler and whatever carries steps out: a call goes in, messages about it come out.

An executor knows nothing of the graph. Calls and messages are plain data, so that they can cross any wire.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct, field

from e2i.catalog.context import RunInfo

FULL_AFFINITY = 2
"""The most that ``Executor.affinity`` says."""


class StepCall(Struct, frozen=True):
    """One attempt of one step: the action, its resolved parameters, and what its context needs to know."""

    uses: str
    params: dict[str, Any]
    info: RunInfo
    seed: int
    threads: int
    fingerprint: str
    timeout: float
    """Seconds that the attempt may take."""
    files: Mapping[str, str | None] | None = field(default_factory=dict)
    """The digest of every workspace file that the step may read; None: there was none."""
    secrets: tuple[str, ...] = ()
    """Texts that the step knows, and that nothing it prints may show: secrets of its parameters, credentials."""
    scanned: tuple[str, ...] = ()
    """Those of them that are not to be in anything that leaves the step."""
    gone_after: bool = False
    """Whether its worker is to end after it: it was given a secret, and no other step is to find it."""
    environ: dict[str, str] = field(default_factory=dict)
    """What its tool's client reads from the environment."""
    memory: int | None = None
    """Bytes that the attempt's processes may hold together, beyond what its worker held before."""
    log: int = 64_000_000
    """Bytes that the step's log may have; of more, the beginning and the end are kept."""
    processes: int = 512
    """Processes that the attempt may have at a time, its own counted."""
    cpus: int | None = None
    """Cores that the attempt's processes may use."""
    known: dict[str, Any] | None = None
    """The outputs of a finished result, which stand if the action's effect is still there; else the action runs."""


class Failure(Struct, frozen=True):
    """Why an attempt did not succeed, as data. ``unavailable``: the tool was out, and another try may help."""

    code: str
    message: str
    hint: str | None = None
    details: Any = None
    unavailable: bool = False
    lost: bool = False
    """The worker that carried the attempt out is gone."""

    def to_json(self) -> dict[str, Any]:
        return {"code": self.code, "message": self.message, "hint": self.hint, "details": self.details}


class Measured(Struct, frozen=True):
    """A step recorded telemetry: a kind and a body of ``e2i.telemetry.entries``."""

    step: str
    kind: str
    body: dict[str, Any]


class Progressed(Struct, frozen=True):
    """A step says how far it is."""

    step: str
    done: int
    total: int
    note: str = ""


class Ended(Struct, frozen=True):
    """An attempt is over: its outputs as plain data, or its failure."""

    step: str
    seconds: float
    outputs: dict[str, Any] = field(default_factory=dict)
    failure: Failure | None = None
    reused: bool = False
    """The outputs are those that were known: their effect is there."""
    lost: str = ""
    """What was missing of the effect of the known outputs, so that the action ran."""
    cut: bool = False
    """Whether its log was longer than it may be."""


Message = Measured | Progressed | Ended


class Executor(Protocol):
    """Carries out calls side by side, each with its own time limit."""

    def free(self) -> int:
        """How many calls could be taken at once now."""

    def free_memory(self) -> int:
        """Bytes that calls which start now may ask for together."""

    def is_idle(self) -> bool:
        """Whether nothing is carried out now: one call may then ask for whatever it wants."""

    def affinity(self, uses: str) -> int:
        """How ready a worker without a call is for an action: 0 not at all, ``FULL_AFFINITY`` when it
        had the tool last."""

    def submit(self, call: StepCall) -> None:
        """Takes a call. Its ``Ended`` comes out of ``poll`` sooner or later, whatever happens to the worker."""

    def preload(self, uses: Sequence[str], *, certain: bool = False) -> None:
        """Says which actions are likely next, so that idle workers can get ready for them; ``certain``: they will be
        carried out, so workers may be started.
        """

    def poll(self, seconds: float) -> list[Message]:
        """Waits up to ``seconds`` for messages and returns those that are there."""

    def cancel(self, step: str) -> None:
        """Ends a call at once, with everything it started."""

    def dismiss(self) -> None:
        """Asks all workers and services to end: nothing is submitted any more."""

    def close(self) -> None:
        """Ends all workers and services. Nothing is left of them afterwards."""


class OnDemand:
    """An executor that is opened with the first call: a run that carries nothing out starts nothing."""

    def __init__(self, size: int, open_executor: Callable[[], Executor]) -> None:
        self._size = size
        self._open = open_executor
        self._opened: Executor | None = None

    def free(self) -> int:
        return self._size if self._opened is None else self._opened.free()

    def free_memory(self) -> int:
        return self._executor().free_memory()

    def is_idle(self) -> bool:
        return self._opened is None or self._opened.is_idle()

    def affinity(self, uses: str) -> int:
        return 0 if self._opened is None else self._opened.affinity(uses)

    def submit(self, call: StepCall) -> None:
        self._executor().submit(call)

    def preload(self, uses: Sequence[str], *, certain: bool = False) -> None:
        if self._opened is not None or (certain and uses):
            self._executor().preload(uses)

    def poll(self, seconds: float) -> list[Message]:
        if self._opened is not None:
            return self._opened.poll(seconds)
        if seconds > 0:
            time.sleep(seconds)
        return []

    def cancel(self, step: str) -> None:
        if self._opened is not None:
            self._opened.cancel(step)

    def dismiss(self) -> None:
        if self._opened is not None:
            self._opened.dismiss()

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()

    def _executor(self) -> Executor:
        if self._opened is None:
            self._opened = self._open()
        return self._opened
