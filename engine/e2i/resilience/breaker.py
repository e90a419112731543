"""Circuit breaker for calls to one tool. In: results of calls. Out: permits for calls, or ``CircuitOpen``.

The state machine is ``Circuit``, a frozen value with two pure transitions. ``Breaker`` adds a clock, storage and a log.
Five consecutive failures open the circuit. 30 s later three probes may pass, and all three must succeed to close it.
``shared_state`` stores a circuit for all processes of a store.
"""

from __future__ import annotations

import logging
import math
import os
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from types import TracebackType
from typing import Any, ParamSpec, Protocol, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from e2i.errors import ToolUnavailable
from e2i.resilience.tally import Tally

P = ParamSpec("P")
T = TypeVar("T")
log = logging.getLogger(__name__)
AGAIN = 0.1
"""Seconds until the next try when other processes were busy with the circuit."""


class State(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Outcome(StrEnum):
    """Result of a permitted call. ``IGNORED``: a cancellation or the caller's mistake, no statement about the tool."""

    OK = "ok"
    FAILED = "failed"
    IGNORED = "ignored"


class CircuitOpen(ToolUnavailable):
    """The call was not made: the tool's circuit is open, or all its probes are in use. ``retry_in`` is in seconds."""

    def __init__(self, tool: str, retry_in: float) -> None:
        super().__init__(
            tool,
            f"{tool} is not called: circuit open, next attempt in {retry_in:.1f} s",
            code="circuit-open",
            hint=f"when {tool} is back, wait {math.ceil(retry_in)} s, or call `e2i doctor --ready` with the profile of "
            "this run: it closes the circuit if the service answers",
        )
        self.retry_in = retry_in
        self.details = {"retry_in": round(retry_in, 3)}


class Policy(Struct, frozen=True):
    """Thresholds of a circuit. Durations are seconds."""

    failures: int = 5
    """Consecutive failures that open it."""
    recovery: float = 30.0
    """Time that it stays open before probes may pass."""
    probes: int = 3
    """Probes that may pass while half-open; all of them must succeed to close it."""
    lease: float = 60.0
    """Time after which a running probe counts as lost."""


class Lease(Struct, frozen=True):
    """A running probe: the number of its grant, its expiry, and the process that makes the call."""

    number: int
    until: float
    holder: str = ""


class Grant(Struct, frozen=True):
    """One permitted call: the generation of its circuit, and its number."""

    generation: int
    number: int


class Circuit(Struct, frozen=True):
    """The state of a breaker, with counts. Times are seconds since boot."""

    state: State = State.CLOSED
    generation: int = 0
    """Incremented with every change of state and every new round of probes. Results of an older generation are ignored.
    """
    failures: int = 0
    opened_at: float = 0.0
    successes: int = 0
    leases: tuple[Lease, ...] = ()
    """The running probes."""
    granted: int = 0
    ok: int = 0
    failed: int = 0
    ignored: int = 0
    rejected: int = 0
    changes: int = 0

    def wait(self, policy: Policy, now: float) -> float | None:
        """Returns the seconds until another try makes sense; None when a call may be made now."""
        match self.state:
            case State.CLOSED:
                return None
            case State.OPEN:
                waited = now - self.opened_at
                return policy.recovery - waited if 0 <= waited < policy.recovery else None  # negative: another clock
            case State.HALF_OPEN:
                first = min((lease.until for lease in self.leases), default=now)
                return first - now if first > now and len(self.leases) + self.successes >= policy.probes else None

    def acquire(self, policy: Policy, now: float, lease: float, holder: str = "") -> tuple[Circuit, Grant | float]:
        """Returns the next circuit, and a grant or the seconds until another try makes sense.

        ``lease`` is the maximum duration of the call if it is a probe, ``holder`` the process that makes it.
        """
        if (seconds := self.wait(policy, now)) is not None:
            return replace(self, rejected=self.rejected + 1), seconds
        match self.state:
            case State.CLOSED:
                return self._grant()
            case State.OPEN:
                return replace(self, changes=self.changes + 1)._round()._grant(now + lease, holder)
            case State.HALF_OPEN:
                expired = any(lease.until <= now for lease in self.leases)
                return (self._round() if expired else self)._grant(now + lease, holder)

    def settle(self, policy: Policy, grant: Grant, outcome: Outcome, now: float) -> Circuit:
        """Returns the circuit after a permitted call has ended."""
        if grant.generation != self.generation:
            return replace(self, ignored=self.ignored + 1)
        circuit = replace(self, leases=tuple(lease for lease in self.leases if lease.number != grant.number))
        match outcome:
            case Outcome.IGNORED:
                return replace(circuit, ignored=circuit.ignored + 1)
            case Outcome.OK:
                circuit = replace(circuit, ok=circuit.ok + 1, failures=0)
                if circuit.state is State.CLOSED:
                    return circuit
                circuit = replace(circuit, successes=circuit.successes + 1)
                return circuit._become(State.CLOSED, now) if circuit.successes >= policy.probes else circuit
            case Outcome.FAILED:
                circuit = replace(circuit, failed=circuit.failed + 1, failures=circuit.failures + 1)
                opens = circuit.state is State.HALF_OPEN or circuit.failures >= policy.failures
                return circuit._become(State.OPEN, now) if opens else circuit

    def close(self, now: float) -> Circuit:
        """Returns the closed circuit: the service has answered somebody who asked it without a permit."""
        return self if self.state is State.CLOSED else self._become(State.CLOSED, now)

    def _grant(self, until: float | None = None, holder: str = "") -> tuple[Circuit, Grant]:
        number = self.granted + 1
        leases = self.leases if until is None else (*self.leases, Lease(number, until, holder))
        return replace(self, granted=number, leases=leases), Grant(self.generation, number)

    def _round(self) -> Circuit:
        """Starts a new round of probes; running probes of the last round are given up."""
        return replace(self, state=State.HALF_OPEN, generation=self.generation + 1, successes=0, leases=())

    def _become(self, state: State, now: float) -> Circuit:
        return replace(
            self,
            state=state,
            generation=self.generation + 1,
            failures=0,
            successes=0,
            leases=(),
            opened_at=now if state is State.OPEN else self.opened_at,
            changes=self.changes + 1,
        )


class Contended(Exception):
    """The circuit could not be changed, because another process was changing it."""


class BreakerState(Protocol):
    """Storage of a circuit. Never blocks a caller for more than 50 ms."""

    @property
    def holder(self) -> str:
        """Name of this process for a lease."""

    def read(self) -> Circuit:
        """Returns the circuit as it was at most 100 ms ago."""

    def update(self, change: Callable[[Circuit], tuple[Circuit, T]], *, later: bool = False) -> T:
        """Replaces the circuit atomically by the result of ``change``, and returns the second result of ``change``.

        Raises Contended when that is impossible in time, unless it may be done ``later``.
        """

    def reject(self) -> None:
        """Counts a call that was rejected."""


class LocalState:
    """A circuit in this process's memory. Survives fork (with its own lock) and pickling (for spawn)."""

    holder = ""

    def __init__(self, circuit: Circuit | None = None) -> None:
        self._circuit = circuit or Circuit()
        self._rejected = Tally()
        self._lock = threading.Lock()
        renew_lock_after_fork(self)

    def read(self) -> Circuit:
        return self._circuit

    def update(self, change: Callable[[Circuit], tuple[Circuit, T]], *, later: bool = False) -> T:
        with self._lock:
            self._rejected.take(rejected := self._rejected.waiting())
            self._circuit, result = change(replace(self._circuit, rejected=self._circuit.rejected + rejected))
            return result

    def reject(self) -> None:
        self._rejected.add()

    def __reduce__(self) -> tuple[type[LocalState], tuple[Circuit]]:
        return LocalState, (self.update(lambda circuit: (circuit, circuit)),)


class _Locked(Protocol):
    _lock: threading.Lock


def renew_lock_after_fork(state: _Locked) -> None:
    """Creates a new lock in a forked child: another thread may have held the parent's lock during the fork."""
    reference = weakref.ref(state)
    os.register_at_fork(after_in_child=lambda: _renew_lock(reference))


def _renew_lock(reference: weakref.ref[_Locked]) -> None:
    state = reference()
    if state is not None:
        state._lock = threading.Lock()


def since_boot() -> float:
    """Returns the seconds since boot, including sleep: equal for all processes, and independent of the wall clock."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


Listener = Callable[[str, State, State], object]
"""Called with the tool, its breaker's old state and the new one, after each change and outside the lock."""


class Breaker:
    """Lets calls to ``tool`` through, or rejects them at once. Thread-safe; no lock is held during a call."""

    def __init__(
        self,
        tool: str,
        policy: Policy = Policy(),
        *,
        clock: Callable[[], float] = since_boot,
        state: BreakerState | None = None,
        listener: Listener | None = None,
    ) -> None:
        self.tool = tool
        self.policy = policy
        self._clock = clock
        self._state = state if state is not None else LocalState()
        self._listener = listener

    @property
    def state(self) -> State:
        return self._state.read().state

    @property
    def circuit(self) -> Circuit:
        """Returns the current circuit, with its counts."""
        return self._state.update(lambda circuit: (circuit, circuit), later=True)

    def acquire(
        self, counts: Callable[[BaseException], bool] = lambda error: True, *, lease: float | None = None
    ) -> Permit:
        """Returns a permit to call the tool once, for use in a ``with`` statement. Raises CircuitOpen.

        ``counts`` returns True for an exception that means that the tool is down. ``lease`` is the maximum duration
        (seconds) of the call if it is a probe.
        """
        now = self._clock()
        if (seconds := self._state.read().wait(self.policy, now)) is not None:
            self._state.reject()
            raise CircuitOpen(self.tool, seconds)
        ends = self.policy.lease if lease is None else lease

        def change(old: Circuit) -> tuple[Circuit, tuple[State, State, Grant | float]]:
            new, answer = old.acquire(self.policy, now, ends, self._state.holder)
            return new, (old.state, new.state, answer)

        try:
            before, after, answer = self._state.update(change)
        except Contended as error:
            self._state.reject()
            raise CircuitOpen(self.tool, AGAIN) from error
        if before is not after:
            self._notify(before, after)
        if isinstance(answer, Grant):
            return Permit(self, answer, counts)
        raise CircuitOpen(self.tool, answer)

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Calls ``function`` with a permit. Every Exception counts as a failure, and is raised unchanged."""
        with self.acquire():
            return function(*args, **kwargs)

    def settle(self, grant: Grant, outcome: Outcome) -> None:
        """Records the result of a permitted call."""
        now = self._clock()
        self._change(lambda old: old.settle(self.policy, grant, outcome, now))

    def close(self) -> bool:
        """Closes the circuit for all processes. Returns whether it was not closed."""
        now = self._clock()
        return self._change(lambda old: old.close(now))

    def _change(self, change: Callable[[Circuit], Circuit]) -> bool:
        """Changes the circuit. Returns whether its state is another one now, of which the listener is notified."""

        def changed(old: Circuit) -> tuple[Circuit, tuple[State, State]]:
            new = change(old)
            return new, (old.state, new.state)

        before, after = self._state.update(changed, later=True)
        if before is not after:
            self._notify(before, after)
        return before is not after

    def _notify(self, before: State, after: State) -> None:
        with suppress(Exception):  # an exception of a log handler or a listener must not affect the call
            log.warning("breaker of %s: %s, was %s", self.tool, after, before)
        if self._listener is None:
            return
        try:
            self._listener(self.tool, before, after)
        except Exception:  # as above
            with suppress(Exception):
                log.exception("a listener of the breaker of %s failed", self.tool)

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (self.tool, self.policy, self._clock, self._state, self._listener)


def _restore(
    tool: str, policy: Policy, clock: Callable[[], float], state: BreakerState, listener: Listener | None
) -> Breaker:
    return Breaker(tool, policy, clock=clock, state=state, listener=listener)


class Permit:
    """Permit for one call. Left without an exception: a success. Left with an exception that counts: a failure.

    Anything else returns the permit without a result: the caller's own errors, cancellation, KeyboardInterrupt.
    """

    __slots__ = ("_breaker", "_counts", "grant")

    def __init__(self, breaker: Breaker, grant: Grant, counts: Callable[[BaseException], bool]) -> None:
        self._breaker = breaker
        self.grant = grant
        self._counts = counts

    def __enter__(self) -> Permit:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            outcome = Outcome.OK
        elif isinstance(error, Exception) and self._counts(error):
            outcome = Outcome.FAILED
        else:
            outcome = Outcome.IGNORED
        self._breaker.settle(self.grant, outcome)
