"""Interface between the scheduler and the processes that execute steps. In: calls. Out: messages about them.

An executor knows nothing of the graph. Calls and messages are plain data, so they can be sent over any connection.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from msgspec import UNSET, Struct, field

from e2i.catalog.context import NO_LIMITS, QueryLimits, RunInfo
from e2i.catalog.step_error import ErrorDocument
from e2i.documents import OutputValues, ParamValues
from e2i.telemetry.bodies import Measurement

FULL_AFFINITY = 2
"""The highest value of ``Executor.affinity``."""


class StepCall(Struct, frozen=True):
    """One attempt of one step: the action, its resolved parameters, and the data of its context."""

    uses: str
    params: ParamValues
    info: RunInfo
    seed: int
    threads: int
    fingerprint: str
    timeout: float
    """Timeout of the attempt in seconds."""
    files: Mapping[str, str | None] | None = field(default_factory=dict)
    """The digest of every workspace file that the step may read; None: the file did not exist."""
    secrets: tuple[str, ...] = ()
    """Texts that must not appear in the step's output: secrets in its parameters, credentials."""
    scanned: tuple[str, ...] = ()
    """Those of them that must not appear in any data that leaves the step."""
    gone_after: bool = False
    """True when its worker must exit after it: it received a secret, which no other step may find."""
    environ: dict[str, str] = field(default_factory=dict)
    """Environment variables that its tool's client reads."""
    memory: int | None = None
    """Memory limit of the attempt's processes together, in bytes, beyond what its worker used before."""
    log: int = 64_000_000
    """Maximum size of the step's log in bytes. The beginning and the end of a longer log are kept."""
    processes: int = 512
    """Maximum number of concurrent processes of the attempt, its own included."""
    cpus: int | None = None
    """Number of cores that the attempt's processes may use."""
    gpus: int = 0
    """Number of GPUs that it uses alone."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Labels that its machine must have."""
    query_limits: QueryLimits = NO_LIMITS
    """What the attempt's queries may take."""
    withheld: tuple[str, ...] = ()
    """Permissions of the policy that the attempt does not have."""
    known: OutputValues | None = None
    """The outputs of a finished result, reused if the action's effect still exists; otherwise the action runs."""
    done: bool = False
    """True when the step had succeeded in this run before it was resumed: what has superseded its effect stays."""


class Failure(ErrorDocument, frozen=True):
    """Why an attempt failed, and whether another one may succeed."""

    unavailable: bool = False
    """The tool was unavailable."""
    lost: bool = False
    """The worker that executed the attempt has exited."""

    @property
    def document(self) -> ErrorDocument:
        """Returns the error without the facts that only the engine needs."""
        return ErrorDocument(self.code, self.message, self.hint, self.details, True if self.unavailable else UNSET)


class Measured(Struct, frozen=True):
    """A step recorded telemetry."""

    step: str
    body: Measurement


class Progressed(Struct, frozen=True):
    """A step reports its progress."""

    step: str
    done: int
    total: int
    note: str = ""


class Ended(Struct, frozen=True):
    """An attempt has ended: its outputs as plain data, or its failure."""

    step: str
    seconds: float
    outputs: OutputValues = field(default_factory=OutputValues)
    failure: Failure | None = None
    reused: bool = False
    """True when the outputs are the earlier ones, because their effect exists."""
    lost: str = ""
    """What was missing of the effect of the earlier outputs, so that the action ran."""
    cut: bool = False
    """True when its log exceeded the limit."""
    memory: int | None = None
    """Peak memory of its processes in bytes, beyond what its worker used before; None: not measured."""


Message = Measured | Progressed | Ended


class Executor(Protocol):
    """Executes calls concurrently, each with its own time limit."""

    def free(self) -> int:
        """Return how many calls could be accepted now."""

    def free_memory(self) -> int:
        """Return the memory in bytes that calls which start now may request together."""

    def is_idle(self) -> bool:
        """Return True when no call is running: one call may then request any amount."""

    def affinity(self, uses: str) -> int:
        """Return how ready an idle worker is for an action, from 0 to ``FULL_AFFINITY`` (it used the tool last)."""

    def submit(self, call: StepCall) -> None:
        """Accept a call. ``poll`` eventually returns its ``Ended``, whatever happens to the worker."""

    def preload(self, uses: Sequence[str], *, certain: bool = False) -> None:
        """Announce the actions that are likely next, so that idle workers can prepare.

        With ``certain`` they will be executed, so workers may be started.
        """

    def poll(self, seconds: float) -> list[Message]:
        """Wait up to ``seconds`` for messages and return the available ones."""

    def cancel(self, step: str) -> None:
        """End a call at once, with all processes it started."""

    def dismiss(self) -> None:
        """Ask all workers and services to end; no call is submitted after this."""

    def close(self) -> None:
        """End all workers and services. No process remains afterwards."""


class Wrapper:
    """An executor that passes everything on to another one; subclasses change some of it."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def free(self) -> int:
        return self._executor.free()

    def free_memory(self) -> int:
        return self._executor.free_memory()

    def is_idle(self) -> bool:
        return self._executor.is_idle()

    def affinity(self, uses: str) -> int:
        return self._executor.affinity(uses)

    def submit(self, call: StepCall) -> None:
        self._executor.submit(call)

    def preload(self, uses: Sequence[str], *, certain: bool = False) -> None:
        self._executor.preload(uses, certain=certain)

    def poll(self, seconds: float) -> list[Message]:
        return self._executor.poll(seconds)

    def cancel(self, step: str) -> None:
        self._executor.cancel(step)

    def dismiss(self) -> None:
        self._executor.dismiss()

    def close(self) -> None:
        self._executor.close()


class OnDemand:
    """An executor that is opened with the first call: a run that executes nothing starts no process."""

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
