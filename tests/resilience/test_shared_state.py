"""The rows B01 to B20 of the breaker's specification, those that concern a circuit shared by processes."""

from __future__ import annotations

import asyncio
import fcntl
import itertools
import json
import logging
import multiprocessing
import os
import pickle
import random
import signal
import statistics
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from e2i.resilience.breaker import Breaker, Circuit, CircuitOpen, Grant, Outcome, Policy, State, since_boot
from e2i.resilience.guard import Guard
from e2i.resilience.processes import boot_id
from e2i.resilience.shared_state import SharedState
from e2i.resilience.state_file import FOLDER, Record, file_of, peek
from project import Stopwatch, until

WITHIN = 60


class Clock:
    """The machine's clock, which a test may put forward."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return since_boot() + self.ahead


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return file_of(tmp_path, "mlflow", {})


@pytest.fixture
def clock() -> Clock:
    return Clock()


def breaker(file: Path, clock: Callable[[], float] = since_boot, **options: Any) -> Breaker:
    """That of a process: it shares nothing with another one but the file."""
    return Breaker("mlflow", clock=clock, state=SharedState(file), **options)


def fail(breaker: Breaker, times: int = 5) -> None:
    for _ in range(times):
        breaker.settle(breaker.acquire().grant, Outcome.FAILED)


def rejected(breaker: Breaker) -> float | None:
    """Seconds until the next attempt of a rejected call; None when it is let through."""
    try:
        breaker.acquire()
    except CircuitOpen as error:
        return error.retry_in
    return None


def test_failures_of_several_processes_add_up_and_open_the_circuit_for_all(file: Path) -> None:  # B01
    first, second, third = breaker(file), breaker(file), breaker(file)
    fail(first, 3)
    fail(second, 2)
    assert [one.circuit.state for one in (first, second, third)] == [State.OPEN] * 3
    for one in (first, second, third):
        with pytest.raises(CircuitOpen, match=r"mlflow is not called: circuit open, next attempt in \d+\.\d s"):
            one.acquire()


def test_a_rejected_call_waits_for_no_thread_and_is_counted(file: Path) -> None:
    state = SharedState(file)
    for one in (Breaker("mlflow", state=state), memory := Breaker("mlflow")):
        fail(one)
        held = state if one is not memory else memory._state
        with held._lock:  # type: ignore[attr-defined]  # as a thread that is suspended holds it
            assert None not in [rejected(one) for _ in range(100)]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _, one=one: rejected(one), range(800)))
        assert one.circuit.rejected == 900


def test_a_success_of_another_process_resets_the_count(file: Path) -> None:  # B02
    first, second = breaker(file), breaker(file)
    fail(first, 4)
    second.call(lambda: None)
    fail(first, 4)
    assert first.circuit.state is State.CLOSED


def test_a_change_is_known_to_other_processes_within_a_tenth_of_a_second(file: Path) -> None:
    now = 0.0
    state = SharedState(file, clock=lambda: now)
    other = Breaker("mlflow", state=state)
    other.call(lambda: None)
    fail(breaker(file))
    assert state.read().state is State.CLOSED
    now = 0.1
    assert state.read().state is State.OPEN


WORKER = """
import sys, threading
from pathlib import Path
from e2i.resilience.breaker import Breaker, CircuitOpen, since_boot
from e2i.resilience.shared_state import SharedState

def say(word):
    with talking:
        print(word, flush=True)

def call(ahead, fails):
    together.wait()
    try:
        with breaker.acquire():
            say("admitted")
            finish.wait()
            if fails:
                raise ConnectionError
    except CircuitOpen:
        say("rejected")
    except ConnectionError:
        pass

talking, threads = threading.Lock(), 8
ahead = 0.0
breaker = Breaker("mlflow", clock=lambda: since_boot() + ahead, state=SharedState(Path(sys.argv[1])))
say("ready")
for line in sys.stdin:
    ahead, fails = float(line.split()[0]), line.split()[1] == "fail"
    together, finish = threading.Barrier(threads), threading.Event()
    callers = [threading.Thread(target=call, args=(ahead, fails)) for _ in range(threads)]
    for caller in callers:
        caller.start()
    sys.stdin.readline()
    finish.set()
    for caller in callers:
        caller.join()
    say("done")
"""


class Crowd:
    """Processes of eight threads each, which call at the same instant."""

    def __init__(self, file: Path, processes: int) -> None:
        command = [sys.executable, "-c", WORKER, str(file)]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.members = [subprocess.Popen(command, **pipes) for _ in range(processes)]
        for member in self.members:
            assert self.hear(member) == "ready"

    def round(self, ahead: float, outcome: str) -> list[str]:
        """Return the results of the calls; permitted calls end when all others were rejected."""
        for member in self.members:
            self.say(member, f"{ahead} {outcome}")
        answers = [self.hear(member) for member in self.members for _ in range(8)]
        for member in self.members:
            self.say(member, "finish")
        for member in self.members:
            assert self.hear(member) == "done"
        return answers

    def close(self) -> None:
        for member in self.members:
            member.kill()
            member.communicate()

    @staticmethod
    def say(member: subprocess.Popen[str], text: str) -> None:
        assert member.stdin is not None
        member.stdin.write(f"{text}\n")
        member.stdin.flush()

    @staticmethod
    def hear(member: subprocess.Popen[str]) -> str:
        assert member.stdout is not None
        return member.stdout.readline().strip()


def race(file: Path, rounds: int) -> None:
    crowd, clock = Crowd(file, 8), Clock()
    own = breaker(file, clock)
    try:
        for number in range(rounds):
            outcome = "fail" if number % 3 == 1 else "succeed"
            if own.circuit.state is State.CLOSED:
                fail(own)
            clock.ahead += 31
            answers = crowd.round(clock.ahead, outcome)
            assert sorted(answers) == ["admitted"] * 3 + ["rejected"] * 61, number
            assert own.circuit.state is (State.OPEN if outcome == "fail" else State.CLOSED)
    finally:
        crowd.close()


def test_exactly_three_of_eight_processes_with_eight_threads_probe(file: Path) -> None:  # B03, B04, B05
    race(file, 12)


def test_a_locked_file_is_read_before_a_call_is_let_through(file: Path, clock: Clock) -> None:  # B03, B06
    ticks = itertools.count()
    late = Breaker("mlflow", clock=clock, state=SharedState(file, clock=lambda: next(ticks) / 1_000))
    late.call(lambda: None)
    first = breaker(file, clock)
    fail(first)
    clock.ahead += 31
    probes = [first.acquire() for _ in range(3)]
    with file.open() as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        assert late.state is State.CLOSED  # as its copy says, which is a few milliseconds old
        with pytest.raises(CircuitOpen):
            late.acquire()
    assert len(probes) == 3


@pytest.mark.sweep
def test_exactly_three_of_eight_processes_with_eight_threads_probe_a_thousand_times(file: Path) -> None:
    race(file, 1_000)


def rounds(few: int) -> Any:
    """A parameter ``rounds``: few by default, a thousand in the sweeps."""
    return pytest.mark.parametrize("rounds", [few, pytest.param(1_000, marks=pytest.mark.sweep)])


def begin_round(one: Breaker, clock: Clock) -> bool:
    """Brings a circuit to the instant when probes may pass. Returns whether its probes are to succeed."""
    if one.circuit.state is State.CLOSED:
        fail(one)
    clock.ahead += 31
    return one.circuit.generation % 3 > 0


def end_round(one: Breaker, succeeds: bool) -> None:
    """Checks the circuit after its three probes have ended."""
    assert one.circuit.state is (State.CLOSED if succeeds else State.OPEN)
    if not succeeds:
        assert 29 < (rejected(one) or 0) <= 30


@rounds(30)
def test_exactly_three_of_64_threads_probe(file: Path, clock: Clock, rounds: int) -> None:  # B03, B05
    one = breaker(file, clock)
    with ThreadPoolExecutor(64) as pool:
        for _ in range(rounds):
            succeeds = begin_round(one, clock)
            start, finish, left_out = threading.Barrier(64), threading.Event(), threading.Semaphore(0)

            def call(start: Any = start, finish: Any = finish, left_out: Any = left_out, ok: bool = succeeds) -> bool:
                start.wait()
                try:
                    with one.acquire():
                        assert finish.wait(WITHIN)
                        if not ok:
                            raise ConnectionError
                except CircuitOpen:
                    left_out.release()
                    return False
                except ConnectionError:
                    pass
                return True

            calls = [pool.submit(call) for _ in range(64)]
            for _ in range(61):
                assert left_out.acquire(timeout=WITHIN)
            finish.set()
            assert sum(ended.result(timeout=WITHIN) for ended in calls) == 3
            end_round(one, succeeds)


@rounds(30)
def test_exactly_three_of_64_tasks_probe(file: Path, clock: Clock, rounds: int) -> None:  # B04, B05
    one = breaker(file, clock)

    async def call(gate: asyncio.Event, ok: bool) -> bool:
        try:
            with one.acquire():
                await gate.wait()
                if not ok:
                    raise ConnectionError
        except CircuitOpen:
            return False
        except ConnectionError:
            pass
        return True

    async def calls(ok: bool) -> int:
        gate = asyncio.Event()
        tasks = [asyncio.create_task(call(gate, ok)) for _ in range(64)]
        await asyncio.sleep(0)
        gate.set()
        return sum(await asyncio.gather(*tasks))

    for _ in range(rounds):
        succeeds = begin_round(one, clock)
        assert asyncio.run(calls(succeeds)) == 3
        end_round(one, succeeds)


def test_everything_is_rejected_in_every_process_until_the_third_probe_ends(file: Path, clock: Clock) -> None:  # B06
    first, second = breaker(file, clock), breaker(file, clock)
    fail(first)
    clock.ahead += 31
    probes = [first.acquire().grant for _ in range(3)]
    for probe in probes[:2]:
        first.settle(probe, Outcome.OK)
    assert None not in [rejected(one) for one in (first, second) for _ in range(100)]
    first.settle(probes[2], Outcome.OK)
    assert second.circuit.state is State.CLOSED


@pytest.mark.parametrize("kind", [asyncio.CancelledError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_a_cancelled_probe_gives_its_permit_to_another_process(
    file: Path, clock: Clock, kind: type[BaseException]
) -> None:  # B07
    first, second = breaker(file, clock), breaker(file, clock)
    fail(first)
    clock.ahead += 31
    with pytest.raises(kind), first.acquire():
        raise kind
    assert second.circuit.state is State.HALF_OPEN
    assert [rejected(second) is None for _ in range(4)] == [True, True, True, False]


HOLDER = """
import sys, time
from pathlib import Path
from e2i.resilience.breaker import Breaker, since_boot
from e2i.resilience.shared_state import SharedState
breaker = Breaker("mlflow", clock=lambda: since_boot() + float(sys.argv[2]), state=SharedState(Path(sys.argv[1])))
for _ in range(int(sys.argv[3])):
    breaker.acquire(lease=600)
print("out", flush=True)
sys.stdin.read()
"""


def test_the_probes_of_a_killed_process_are_given_up_at_once(file: Path, clock: Clock) -> None:  # B08
    one = breaker(file, clock)
    fail(one)
    clock.ahead += 31
    command = [sys.executable, "-c", HOLDER, str(file), str(clock.ahead), "3"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "out\n"
        assert until(lambda: one.state is State.HALF_OPEN)
        assert rejected(one) is not None
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        assert until(lambda: rejected(one) is None, within=5)
    assert [rejected(one) is None for _ in range(3)] == [True, True, False]


def test_a_probe_that_hangs_in_another_process_loses_its_lease(file: Path, clock: Clock) -> None:  # B08
    first, second = breaker(file, clock), breaker(file, clock)
    fail(first)
    clock.ahead += 31
    hung = [first.acquire(lease=10).grant for _ in range(3)]
    assert 9 < (rejected(second) or 0) <= 10
    clock.ahead += 10
    for _ in range(3):
        second.call(lambda: None)
    assert second.circuit.state is State.CLOSED
    for grant in hung:
        first.settle(grant, Outcome.FAILED)
    assert (second.circuit.state, second.circuit.failures) == (State.CLOSED, 0)


def test_a_failure_of_an_earlier_state_is_ignored_in_whatever_process_it_arrives(file: Path) -> None:  # B09
    first, second = breaker(file), breaker(file)
    late = [first.acquire().grant for _ in range(10)]
    fail(second)
    before = second.circuit
    for grant in late:
        first.settle(grant, Outcome.FAILED)
    assert (second.circuit.generation, second.circuit.opened_at) == (before.generation, before.opened_at)


def test_the_callers_own_error_counts_in_no_process(file: Path) -> None:  # B10
    first, second = breaker(file), breaker(file)
    error = ValueError("409")
    for _ in range(20):
        with pytest.raises(ValueError) as caught, first.acquire(lambda error: isinstance(error, ConnectionError)):
            raise error
        assert caught.value is error
    assert (second.circuit.state, second.circuit.failed, second.circuit.ignored) == (State.CLOSED, 0, 20)


def test_the_wall_clock_changes_nothing(file: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:  # B11
    one = breaker(file, clock)
    fail(one)
    now = time.time()
    for hour in (-3600, 3600):
        monkeypatch.setattr(time, "time", lambda hour=hour: now + hour)
        assert 29 < (rejected(breaker(file, clock)) or 0) <= 30


def test_rejected_calls_are_known_to_others_although_nothing_else_changes(file: Path) -> None:  # B18
    now = 0.0
    state = SharedState(file, clock=lambda: now)
    one = Breaker("mlflow", state=state)
    fail(one)
    counts = []
    for _ in range(20):
        assert rejected(one) is not None
        now += 0.3
        found = peek(file)
        assert found is not None
        counts.append(found.rejected)
    assert counts[0] == 1
    assert counts[-1] >= 17


def test_what_was_open_before_the_machine_was_started_again_counts_as_recovered(file: Path) -> None:  # B11
    fail(breaker(file))
    earlier = Record("another boot", Circuit(State.OPEN, generation=4, opened_at=since_boot() - 1))
    body = msgspec.json.encode(earlier)
    file.write_bytes(b"%08x %s\n" % (zlib.crc32(body), body))
    one = breaker(file)
    assert [rejected(one) is None for _ in range(4)] == [True, True, True, False]
    assert one.circuit.generation == 5
    assert json.loads(file.read_text().partition(" ")[2])["boot"] == boot_id()


def test_calls_are_not_serialised(file: Path) -> None:  # B12
    together = threading.Barrier(16)
    one = breaker(file)
    with ThreadPoolExecutor(16) as pool:
        for ended in [pool.submit(one.call, together.wait, WITHIN) for _ in range(16)]:
            ended.result()
    assert one.circuit.ok == 16


def test_a_missed_deadline_counts_for_all_processes(file: Path) -> None:  # B13
    release = threading.Event()
    try:
        with pytest.raises(Exception, match="did not answer"):
            Guard("mlflow", breaker(file)).call(release.wait, WITHIN, deadline=0.02)
    finally:
        release.set()
    assert breaker(file).circuit.failed == 1


def test_a_listener_that_raises_changes_nothing(file: Path) -> None:  # B14
    def listener(tool: str, before: State, after: State) -> None:
        raise RuntimeError("metrics are down too")

    one = breaker(file, listener=listener)
    cause = ConnectionError("refused")
    for _ in range(5):
        with pytest.raises(ConnectionError) as caught, one.acquire():
            raise cause
        assert caught.value is cause and caught.value.__cause__ is None
    assert one.circuit.state is State.OPEN


def test_a_rejection_takes_under_20_microseconds_and_says_nothing(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:  # B15
    caplog.set_level(logging.DEBUG)
    one, calls, batch = breaker(file), 100_000, 1_000
    fail(one)
    reached: list[int] = []
    took = []
    for _ in range(calls // batch):
        began = time.thread_time()
        for number in range(batch):
            try:
                one.call(reached.append, number)
            except CircuitOpen:
                continue
        took.append((time.thread_time() - began) / batch)
    assert statistics.median(took) < 20e-6
    assert reached == []
    assert [record.getMessage() for record in caplog.records if record.name.startswith("e2i")] == [
        "breaker of mlflow: open, was closed"
    ]
    assert one.circuit.rejected == calls


def test_one_process_says_that_the_state_changed_and_no_other(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:  # B15
    processes = [breaker(file) for _ in range(4)]
    fail(processes[0])
    assert None not in [rejected(one) for one in processes for _ in range(10)]
    assert [record.getMessage() for record in caplog.records if record.name.startswith("e2i")] == [
        "breaker of mlflow: open, was closed"
    ]


# B16: the file cannot be used


@pytest.fixture(
    params=["locked", "corrupt", "removed", "emptied", "a folder", "a link", "no folder", "read-only", "huge"]
)
def spoilt(request: pytest.FixtureRequest, file: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """A function that makes the file unusable."""
    handles: list[int] = []

    def spoil() -> None:
        match request.param:
            case "locked":
                handles.append(os.open(file, os.O_RDWR))
                fcntl.flock(handles[0], fcntl.LOCK_EX)
            case "corrupt":
                file.write_bytes(b"0" + file.read_bytes()[1:])
            case "removed":
                file.unlink()
            case "emptied":
                os.truncate(file, 0)
            case "a folder":
                file.unlink()
                file.mkdir()
            case "a link":
                file.unlink()
                file.symlink_to("/dev/null")
            case "no folder":
                file.unlink()
                file.parent.rmdir()
                file.parent.write_text("")
            case "huge":
                os.truncate(file, 1 << 30)
            case "read-only":
                real = os.open

                def refuse(path: Any, flags: int, *args: Any, **kwargs: Any) -> int:  # root may write what is read-only
                    if Path(path) == file and flags & os.O_RDWR:
                        raise PermissionError(13, "Permission denied", str(path))
                    return real(path, flags, *args, **kwargs)

                monkeypatch.setattr(os, "open", refuse)

    yield spoil
    for handle in handles:
        os.close(handle)


def test_without_its_file_a_process_counts_for_itself_with_one_warning(
    file: Path, spoilt: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:  # B16
    one = breaker(file)
    one.call(lambda: None)
    caplog.clear()
    spoilt()
    waits = []
    for _ in range(5):
        with Stopwatch() as watch:
            permit = one.acquire()
        waits.append(watch.seconds)
        with pytest.raises(ConnectionError), permit:
            raise ConnectionError
    assert rejected(one) is not None
    assert statistics.median(waits) < 0.05, waits  # a busy machine adds to one or two of them
    warnings = [record.getMessage() for record in caplog.records if "shared breaker state" in record.getMessage()]
    assert len(warnings) == 1 and str(file) in warnings[0]


def test_an_open_circuit_stays_open_in_the_process_that_knows_it(file: Path, spoilt: Callable[[], None]) -> None:  # B16
    one = breaker(file)
    fail(one)
    spoilt()
    for _ in range(20):
        assert 25 < (rejected(one) or 0) <= 30


def test_the_file_is_used_again_once_it_can_be_and_has_what_happened_meanwhile(file: Path) -> None:  # B16
    now = 0.0
    state = SharedState(file, clock=lambda: now)
    one, other = Breaker("mlflow", state=state), breaker(file)
    one.call(lambda: None)
    handle = os.open(file, os.O_RDWR)
    fcntl.flock(handle, fcntl.LOCK_EX)
    state._without_until = 1.0  # not to wait for the lock
    fail(one, 4)
    os.close(handle)
    assert other.circuit.failures == 0
    fail(one, 1)
    assert other.circuit.state is State.OPEN


def test_no_probe_is_let_through_while_another_process_is_changing_the_circuit(file: Path, clock: Clock) -> None:
    one = breaker(file, clock)
    fail(one)
    clock.ahead += 31
    handle = os.open(file, os.O_RDWR)
    fcntl.flock(handle, fcntl.LOCK_EX)
    assert rejected(one) == pytest.approx(0.1)
    os.close(handle)
    assert rejected(one) is None


def test_a_process_that_is_stopped_with_the_lock_does_not_stop_the_others_for_good(file: Path, clock: Clock) -> None:
    now = 0.0
    one = Breaker("mlflow", clock=clock, state=SharedState(file, clock=lambda: now))
    fail(one)
    clock.ahead += 31
    handle = os.open(file, os.O_RDWR)
    fcntl.flock(handle, fcntl.LOCK_EX)
    state: Any = one._state
    state._without_until = 100.0  # not to wait for the lock
    assert rejected(one) is not None
    now += 9.9
    assert rejected(one) is not None
    now += 0.2
    assert [rejected(one) is None for _ in range(4)] == [True, True, True, False]
    os.close(handle)


def test_a_link_is_not_followed(file: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("precious")
    file.parent.mkdir()
    file.symlink_to(outside)
    fail(breaker(file))
    assert outside.read_text() == "precious"


def _use(one: Breaker) -> None:
    one.call(lambda: None)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_child_process_shares_the_circuit(file: Path, method: str) -> None:  # B17
    one = breaker(file)
    context = multiprocessing.get_context(method)
    child = context.Process(target=_use, args=(one,))
    state: Any = one._state
    if method == "fork":
        with state._lock:  # as if another thread were in the middle of a transition
            child.start()
    else:
        child.start()
    child.join(timeout=WITHIN)
    assert child.exitcode == 0
    assert one.circuit.ok == 1


def test_counts_of_several_processes_are_exact(file: Path, clock: Clock) -> None:  # B18
    processes = [breaker(file, clock) for _ in range(4)]
    for number in range(600):
        outcome = (Outcome.OK, Outcome.FAILED, Outcome.IGNORED)[number % 3]
        one = processes[number % 4]
        one.settle(one.acquire().grant, outcome)
    processes[0].call(lambda: None)
    fail(processes[1])
    for number in range(400):
        assert rejected(processes[number % 4]) is not None
    clock.ahead += 31
    for number in range(3):
        processes[number].call(lambda: None)
    end = [one.circuit for one in processes][-1]
    assert (end.granted, end.ok, end.failed, end.ignored) == (609, 204, 205, 200)
    assert (end.rejected, end.changes) == (400, 3)


def test_another_tool_and_another_server_have_breakers_of_their_own(tmp_path: Path) -> None:  # B20
    server = {"tracking_uri": "http://one"}
    files = [
        file_of(tmp_path, "mlflow", server),
        file_of(tmp_path, "mlflow", {"tracking_uri": "http://two"}),
        file_of(tmp_path, "mlflow", {}),
        file_of(tmp_path, "opik", server),
    ]
    assert len(set(files)) == 4
    assert file_of(tmp_path, "mlflow", dict(server)) == files[0]
    fail(breaker(files[0]))
    assert [peek(file) for file in files[1:]] == [None] * 3
    assert [rejected(breaker(file)) for file in files[1:]] == [None] * 3


def test_a_look_at_the_state_writes_nothing(file: Path) -> None:
    assert peek(file) is None
    assert not file.parent.exists()
    fail(breaker(file))
    found = peek(file)
    assert found is not None and found.state is State.OPEN


def test_a_shared_breaker_survives_pickling(file: Path) -> None:
    one = breaker(file, policy=Policy(failures=1))
    fail(one, 1)
    assert pickle.loads(pickle.dumps(one)).circuit == one.circuit


ACTIONS = st.one_of(
    st.tuples(st.just("acquire"), st.integers(0, 2)),
    st.tuples(st.sampled_from([Outcome.OK, Outcome.FAILED, Outcome.FAILED, Outcome.IGNORED]), st.integers(0, 40)),
    st.tuples(st.just("wait"), st.sampled_from([1, 19, 20, 29, 30, 31])),
)
"""Actions of processes: one of three acquires, a running call ends, time passes."""


def interleave(actions: list[tuple[Any, int]]) -> None:  # B19
    """Three processes share a circuit; the invariants hold at every moment, for every process."""
    file = Path(f"/dev/shm/e2i-{os.getpid()}/{FOLDER}/tool.json")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    policy, looks, now = Policy(failures=2, recovery=30, probes=3, lease=20), iter(range(1 << 30)), 1000.0
    processes = [
        Breaker("tool", policy, clock=lambda: now, state=SharedState(file, clock=lambda: next(looks))) for _ in range(3)
    ]
    out: list[tuple[Breaker, Grant]] = []
    opened_at = now
    for action, number in actions:
        before = processes[0].circuit
        if action == "wait":
            now += number
        elif action == "acquire":
            try:
                out.append((processes[number], processes[number].acquire().grant))
                assert before.state is not State.OPEN or now - opened_at >= 30
            except CircuitOpen:
                assert before.state is not State.CLOSED
        elif out:
            process, grant = out.pop(number % len(out))
            process.settle(grant, action)
            after = processes[1].circuit
            if grant.generation != before.generation:
                assert uncounted(after) == uncounted(before)
        circuit = processes[2].circuit
        assert [uncounted(one.circuit) for one in processes] == [uncounted(circuit)] * 3
        if circuit.state is State.OPEN and before.state is not State.OPEN:
            opened_at = now
        assert len(circuit.leases) + circuit.successes <= 3
        current = {grant.number for _, grant in out if grant.generation == circuit.generation}
        if circuit.state is State.HALF_OPEN:
            assert {lease.number for lease in circuit.leases} == current


def uncounted(circuit: Circuit) -> Circuit:
    return replace(circuit, ignored=0, rejected=0)


OPENS = [("acquire", 0), ("acquire", 1), (Outcome.FAILED, 0), (Outcome.FAILED, 0), ("wait", 30)]
"""Opens the circuit, and waits until probes may pass."""


@given(st.lists(ACTIONS, max_size=40))
@example([*OPENS, ("acquire", 0), ("acquire", 1), ("acquire", 2), ("acquire", 0), (Outcome.OK, 0), (Outcome.FAILED, 0)])
@settings(max_examples=150)
def test_whatever_three_processes_do_holds(actions: list[tuple[Any, int]]) -> None:
    interleave(actions)


def at_random(rng: random.Random) -> tuple[Any, int]:
    """One of ``ACTIONS``, ten times as fast as by Hypothesis."""
    match rng.randrange(3):
        case 0:
            return "acquire", rng.randrange(3)
        case 1:
            return rng.choice([Outcome.OK, Outcome.FAILED, Outcome.FAILED, Outcome.IGNORED]), rng.randint(0, 40)
        case _:
            return "wait", rng.choice([1, 19, 20, 29, 30, 31])


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_whatever_three_processes_do_holds_in_100_000_examples(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(int(os.environ.get("CHAOS_EXAMPLES", "10000"))):
        actions = [at_random(rng) for _ in range(rng.randint(0, 30))]
        actions = [*OPENS, *actions] if rng.random() < 0.5 else actions
        try:
            interleave(actions)
        except AssertionError as error:
            error.add_note(f"actions: {actions}")
            raise
