"""The rows B01 to B20 of the breaker's specification, those that concern one process."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from e2i.errors import ToolUnavailable
from e2i.resilience.breaker import Breaker, Circuit, CircuitOpen, Grant, LocalState, Outcome, Policy, State


class Clock:
    """A monotonic clock that stands still until it is told otherwise."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Backend:
    """Counts the calls that reach it; fails while it is down."""

    def __init__(self) -> None:
        self.down = True
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.down:
            raise ConnectionRefusedError("refused")
        return "ok"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker("mlflow", clock=clock)


def fail(breaker: Breaker, times: int = 1) -> None:
    for _ in range(times):
        breaker.settle(breaker.acquire().grant, Outcome.FAILED)


def half_open(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, breaker.policy.failures)
    clock.now += breaker.policy.recovery


def test_five_failures_reach_the_backend_and_the_next_calls_fail_fast(breaker: Breaker) -> None:  # B01
    backend = Backend()
    for _ in range(5):
        with pytest.raises(ConnectionRefusedError):
            breaker.call(backend)
    assert breaker.state is State.OPEN
    for _ in range(3):
        with pytest.raises(CircuitOpen) as caught:
            breaker.call(backend)
    assert backend.calls == 5
    assert isinstance(caught.value, ToolUnavailable)
    assert caught.value.tool == "mlflow"
    assert caught.value.retry_in == 30.0


def test_a_success_resets_the_count_of_failures(breaker: Breaker) -> None:  # B02
    fail(breaker, 4)
    assert breaker.call(lambda: 1) == 1
    fail(breaker, 4)
    assert breaker.state is State.CLOSED


@pytest.mark.parametrize("probes_fail", [False, True])
def test_exactly_three_of_64_threads_probe_in_one_process(
    breaker: Breaker, clock: Clock, probes_fail: bool
) -> None:  # B03, B05
    callers, rounds = 64, 15
    with ThreadPoolExecutor(callers) as pool:
        for _ in range(rounds):
            half_open(breaker, clock)
            race = Race(breaker, callers, probes_fail)
            ended = [pool.submit(race.run) for _ in range(callers)]
            for _ in range(callers - 3):  # the probes are out until everybody else was rejected
                assert race.rejected.acquire(timeout=60)
            race.finish.set()
            waits = [wait for wait in (call.result(timeout=60) for call in ended) if wait is not None]
            assert len(waits) == callers - 3
            assert max(waits) < 0.005
            if not probes_fail:
                assert breaker.state is State.CLOSED
                continue
            with pytest.raises(CircuitOpen) as caught:
                breaker.acquire()
            assert caught.value.retry_in == 30.0
            clock.now += 30
            for _ in range(3):
                breaker.call(lambda: None)


class Race:
    """Callers that start at the same instant; those that are let through end when ``finish`` is set."""

    def __init__(self, breaker: Breaker, callers: int, fail: bool) -> None:
        self.breaker = breaker
        self.fail = fail
        self.start = threading.Barrier(callers)
        self.rejected = threading.Semaphore(0)
        self.finish = threading.Event()

    def run(self) -> float | None:
        """CPU seconds until this caller was rejected, or None if it was let through."""
        self.start.wait()
        began = time.thread_time()
        try:
            self.breaker.call(self.probe)
        except CircuitOpen:
            took = time.thread_time() - began
            self.rejected.release()
            return took
        except ConnectionError:
            return None
        return None

    def probe(self) -> None:
        assert self.finish.wait(60)
        if self.fail:
            raise ConnectionError


def test_exactly_three_of_64_tasks_probe_in_one_process(breaker: Breaker, clock: Clock) -> None:  # B04
    half_open(breaker, clock)

    async def caller(gate: asyncio.Event) -> bool:
        try:
            with breaker.acquire():
                await gate.wait()
                return True
        except CircuitOpen:
            return False

    async def all_callers() -> list[bool]:
        gate = asyncio.Event()
        tasks = [asyncio.create_task(caller(gate)) for _ in range(64)]
        await asyncio.sleep(0)
        gate.set()
        return await asyncio.gather(*tasks)

    assert sum(asyncio.run(all_callers())) == 3
    assert breaker.state is State.CLOSED


def test_everything_is_rejected_until_the_third_probe_ends(breaker: Breaker, clock: Clock) -> None:  # B06
    half_open(breaker, clock)
    probes = [breaker.acquire().grant for _ in range(3)]
    for probe in probes[:2]:
        breaker.settle(probe, Outcome.OK)
    for _ in range(100):
        with pytest.raises(CircuitOpen):
            breaker.acquire()
    assert breaker.state is State.HALF_OPEN
    breaker.settle(probes[2], Outcome.OK)
    assert breaker.state is State.CLOSED


@pytest.mark.parametrize("kind", [asyncio.CancelledError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_a_cancelled_probe_gives_its_permit_back(
    breaker: Breaker, clock: Clock, kind: type[BaseException]
) -> None:  # B07
    half_open(breaker, clock)
    with pytest.raises(kind), breaker.acquire():
        raise kind
    assert breaker.state is State.HALF_OPEN
    assert (breaker.circuit.ok, breaker.circuit.failed, breaker.circuit.ignored) == (0, 5, 1)
    assert len([breaker.acquire() for _ in range(3)]) == 3


def test_a_vanished_probe_loses_its_lease_and_a_new_round_begins(breaker: Breaker, clock: Clock) -> None:  # B08
    half_open(breaker, clock)
    vanished = breaker.acquire(lease=10)
    for _ in range(2):
        breaker.call(lambda: None)
    with pytest.raises(CircuitOpen) as caught:
        breaker.acquire()
    assert caught.value.retry_in == 10
    clock.now += 10
    for _ in range(3):
        breaker.call(lambda: None)
    assert breaker.state is State.CLOSED
    breaker.settle(vanished.grant, Outcome.FAILED)
    assert breaker.circuit.failures == 0


def test_a_failure_of_an_earlier_state_is_ignored(breaker: Breaker, clock: Clock) -> None:  # B09
    late = [breaker.acquire().grant for _ in range(10)]
    half_open(breaker, clock)
    probes = [breaker.acquire().grant for _ in range(3)]
    for grant in late:
        breaker.settle(grant, Outcome.FAILED)
    assert breaker.state is State.HALF_OPEN
    for probe in probes:
        breaker.settle(probe, Outcome.OK)
    assert breaker.state is State.CLOSED


@pytest.mark.parametrize("opened", [False, True])
def test_the_callers_own_error_passes_unchanged_and_does_not_count(
    breaker: Breaker, clock: Clock, opened: bool
) -> None:  # B10
    if opened:
        half_open(breaker, clock)
    before = breaker.circuit
    error = ValueError("409")
    for _ in range(20):
        with pytest.raises(ValueError) as caught, breaker.acquire(lambda e: isinstance(e, ConnectionError)):
            raise error
        assert caught.value is error
        assert error.__cause__ is None
    after = breaker.circuit
    assert after.state is (State.HALF_OPEN if opened else State.CLOSED)
    assert (after.failed, after.ignored) == (before.failed, before.ignored + 20)


def test_only_the_monotonic_clock_matters(
    breaker: Breaker, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:  # B11
    fail(breaker, 5)
    for hour in (-3600, 3600):
        monkeypatch.setattr(time, "time", lambda hour=hour: hour)
        with pytest.raises(CircuitOpen):
            breaker.acquire()
    clock.now += 29.999
    with pytest.raises(CircuitOpen):
        breaker.acquire()
    clock.now += 0.001
    breaker.acquire()


def test_a_clock_that_began_anew_counts_as_elapsed(breaker: Breaker, clock: Clock) -> None:  # B11
    fail(breaker, 5)
    clock.now = 3.0
    breaker.acquire()
    assert breaker.state is State.HALF_OPEN


def test_calls_are_not_serialised(breaker: Breaker) -> None:  # B12
    together = threading.Barrier(16)
    with ThreadPoolExecutor(16) as pool:
        for ended in [pool.submit(breaker.call, together.wait, 60) for _ in range(16)]:
            ended.result()
    assert breaker.circuit.ok == 16


def test_a_listener_that_raises_changes_nothing(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:  # B14
    def listener(tool: str, old: State, new: State) -> None:
        raise RuntimeError("metrics are down too")

    breaker = Breaker("mlflow", clock=clock, listener=listener)
    cause = ConnectionError("refused")
    for _ in range(5):
        with pytest.raises(ConnectionError) as caught, breaker.acquire():
            raise cause
    assert caught.value is cause
    assert breaker.state is State.OPEN
    assert "a listener of the breaker of mlflow failed" in caplog.text


def test_a_log_that_raises_changes_nothing(breaker: Breaker) -> None:  # B14
    class Full(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise OSError("no space left on device")

    handler, cause = Full(), ConnectionError("refused")
    logger = logging.getLogger("e2i.resilience.breaker")
    logger.addHandler(handler)
    try:
        for _ in range(5):
            with pytest.raises(ConnectionError) as caught, breaker.acquire():
                raise cause
            assert caught.value is cause and cause.__context__ is None
    finally:
        logger.removeHandler(handler)
    assert breaker.state is State.OPEN


def test_a_fallback_that_raises_keeps_the_original_error_as_its_cause(breaker: Breaker) -> None:  # B14
    def with_fallback() -> None:
        try:
            breaker.call(Backend())
        except ConnectionError as error:
            raise RuntimeError("the fallback is down too") from error

    for _ in range(5):
        with pytest.raises(RuntimeError) as caught:
            with_fallback()
        assert isinstance(caught.value.__cause__, ConnectionRefusedError)
    assert (breaker.state, breaker.circuit.failed) == (State.OPEN, 5)


def test_a_rejection_takes_under_20_microseconds_and_says_nothing(
    breaker: Breaker, caplog: pytest.LogCaptureFixture
) -> None:  # B15
    caplog.set_level(logging.DEBUG)
    backend, calls = Backend(), 20_000
    for _ in range(5):
        with pytest.raises(ConnectionError):
            breaker.call(backend)
    began = time.process_time()
    for _ in range(calls):
        try:
            breaker.call(backend)
        except CircuitOpen:
            continue
    assert (time.process_time() - began) / calls < 20e-6
    assert backend.calls == 5
    assert [record.getMessage() for record in caplog.records if record.name.startswith("e2i")] == [
        "breaker of mlflow: open, was closed"
    ]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_breaker_works_in_a_child_process(method: str) -> None:  # B17
    breaker = Breaker("mlflow")
    context = multiprocessing.get_context(method)
    child = context.Process(target=breaker.call, args=(time.monotonic,))
    state = breaker._state
    assert isinstance(state, LocalState)
    with state._lock if method == "fork" else nullcontext():  # as if another thread were in the middle of a transition
        child.start()
    child.join(timeout=60)
    assert child.exitcode == 0
    assert breaker.call(lambda: 1) == 1


def test_counts_are_exact_after_a_scripted_run(breaker: Breaker, clock: Clock) -> None:  # B18
    for _ in range(100):
        for outcome in (Outcome.OK, Outcome.FAILED, Outcome.IGNORED):
            breaker.settle(breaker.acquire().grant, outcome)
    breaker.call(lambda: None)
    for _ in range(10):
        half_open(breaker, clock)
        for _ in range(3):
            breaker.call(lambda: None)
        fail(breaker, 5)
        for _ in range(57):
            with pytest.raises(CircuitOpen):
                breaker.acquire()
        clock.now += 30
        for _ in range(5):
            with pytest.raises(ValueError), breaker.acquire(lambda error: False):
                raise ValueError
        for _ in range(3):
            breaker.call(lambda: None)
    end = breaker.circuit
    assert (end.ok, end.failed, end.ignored, end.rejected) == (161, 200, 150, 570)
    assert end.changes == 10 * 6


def test_two_tools_share_nothing(clock: Clock) -> None:  # B20
    mlflow, opik = Breaker("mlflow", clock=clock), Breaker("opik", clock=clock)
    fail(mlflow, 5)
    assert (mlflow.state, opik.state) == (State.OPEN, State.CLOSED)
    assert opik.circuit == Circuit()


def test_a_breaker_survives_pickling_with_what_it_knows() -> None:
    breaker = Breaker("mlflow", Policy(failures=1))
    fail(breaker)
    assert pickle.loads(pickle.dumps(breaker)).circuit == breaker.circuit


class Interleavings(RuleBasedStateMachine):  # B19
    """Random interleavings of acquire, outcomes and time, against what must hold at every moment."""

    @initialize()
    def start(self) -> None:
        self.policy = Policy(failures=3, recovery=30, probes=3, lease=20)
        self.clock = Clock()
        self.breaker = Breaker("tool", self.policy, clock=self.clock)
        self.out: list[Grant] = []
        self.opened_at: float | None = None
        self.seen = State.CLOSED

    def note(self) -> None:
        state = self.breaker.state
        if state is not self.seen:
            if state is State.OPEN:
                self.opened_at = self.clock.now
            elif self.seen is State.OPEN:
                assert self.opened_at is not None
                assert self.clock.now - self.opened_at >= self.policy.recovery
            self.seen = state

    @rule()
    def acquire(self) -> None:
        try:
            self.out.append(self.breaker.acquire().grant)
        except CircuitOpen as error:
            assert self.breaker.state is not State.CLOSED
            assert error.retry_in >= 0
        self.note()

    @precondition(lambda self: self.out)
    @rule(data=st.data(), outcome=st.sampled_from(Outcome))
    def settle(self, data: st.DataObject, outcome: Outcome) -> None:
        grant = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
        before = self.breaker.circuit
        self.breaker.settle(grant, outcome)
        if grant.generation != before.generation:
            after = self.breaker.circuit
            assert (after.state, after.failures, after.successes, after.leases, after.generation) == (
                before.state, before.failures, before.successes, before.leases, before.generation,
            )  # fmt: skip
        self.note()

    @rule(seconds=st.sampled_from([0.1, 5.0, 19.9, 20.0, 30.0, 31.0]))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    @invariant()
    def probes_are_bounded(self) -> None:
        circuit = self.breaker.circuit
        assert len(circuit.leases) + circuit.successes <= self.policy.probes
        if circuit.state is not State.HALF_OPEN:
            assert circuit.leases == ()
        current = [grant for grant in self.out if grant.generation == circuit.generation]
        if circuit.state is State.HALF_OPEN:
            assert {grant.number for grant in current} == {lease.number for lease in circuit.leases}


Interleavings.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestInterleavings = Interleavings.TestCase
