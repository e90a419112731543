from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from e2i.errors import BadInput, StepError, ToolUnavailable
from e2i.resilience import retry
from e2i.resilience.breaker import Breaker, State
from e2i.resilience.guard import Guard
from e2i.telemetry import dispatcher as dispatching
from e2i.telemetry.dispatcher import Dispatcher, deliver
from e2i.telemetry.entries import Entry, Sink
from e2i.telemetry.outbox import Outbox, Tally
from telemetry.dead import dead_letters

LONG = 60.0


class Tracker:
    """Remembers what it took. Down while ``down``; hangs until ``release`` when given more than ``fast``."""

    def __init__(self) -> None:
        self.down = False
        self.poison: set[str] = set()
        self.broken: set[str] = set()
        self.release: threading.Event | None = None
        self.fast = 0
        self.batches: list[list[str]] = []
        self.opened = 0
        self.closed = 0
        self.reached = threading.Event()

    def open(self, name: str) -> Sink:
        self.opened += 1
        return self

    def deliver(self, entries: Sequence[Entry]) -> None:
        keys = [entry.key for entry in entries]
        self.reached.set()
        if self.release is not None and len(entries) > self.fast:
            self.release.wait(LONG)
        if self.down:
            raise ToolUnavailable("opik", "opik is down")
        if bad := self.poison & set(keys):
            raise StepError(f"refused: {sorted(bad)}")
        if self.broken & set(keys):
            raise KeyError("name")
        self.batches.append(keys)

    def close(self) -> None:
        self.closed += 1

    @property
    def taken(self) -> list[str]:
        return [key for batch in self.batches for key in batch]


@pytest.fixture
def open_outbox(tmp_path: Path) -> Callable[[], Outbox]:
    return lambda: Outbox(tmp_path / "state.db")


@pytest.fixture
def tracker() -> Tracker:
    return Tracker()


def guard(tool: str = "opik", deadline: float = LONG) -> Guard:
    return Guard(tool, breaker=Breaker(tool), deadline=deadline)


def put(open_outbox: Callable[[], Outbox], keys: Sequence[str], sink: str = "opik", run: str = "r1") -> None:
    with open_outbox() as outbox:
        outbox.put(Entry(key, sink, run, "metric", {}) for key in keys)


def now() -> threading.Event:
    stop = threading.Event()
    stop.set()
    return stop


def test_everything_is_delivered_in_order_and_by_run(open_outbox: Callable[[], Outbox], tracker: Tracker) -> None:
    put(open_outbox, ["a", "b"], run="r1")
    put(open_outbox, ["c"], run="r2")
    put(open_outbox, ["d"], run="r1")
    assert deliver(open_outbox, tracker.open, [guard()], now()) == {"opik": Tally(delivered=4)}
    assert tracker.batches == [["a", "b"], ["c"], ["d"]]
    assert (tracker.opened, tracker.closed) == (1, 1)


def test_a_sink_with_nothing_to_take_is_never_opened(open_outbox: Callable[[], Outbox], tracker: Tracker) -> None:
    assert deliver(open_outbox, tracker.open, [guard()], now()) == {"opik": Tally()}
    assert tracker.opened == 0


def test_an_outage_keeps_the_entries_and_other_sinks_go_on(open_outbox: Callable[[], Outbox]) -> None:
    opik, mlflow = Tracker(), Tracker()
    opik.down = True
    put(open_outbox, ["a", "b"])
    put(open_outbox, ["a"], sink="mlflow")
    sinks = {"opik": opik, "mlflow": mlflow}
    tallies = deliver(open_outbox, sinks.__getitem__, [guard("opik"), guard("mlflow")], now())
    assert tallies == {"opik": Tally(left=2, problem="opik is down"), "mlflow": Tally(delivered=1)}
    opik.down = False
    assert deliver(open_outbox, lambda name: opik, [guard()], now()) == {"opik": Tally(delivered=2)}
    assert opik.taken == ["a", "b"]


def test_an_altered_entry_is_told_of_and_not_delivered(open_outbox: Callable[[], Outbox], tracker: Tracker) -> None:
    put(open_outbox, ["a", "b"])
    with open_outbox() as outbox, sqlite3.connect(outbox.path) as database:
        database.execute("UPDATE outbox SET body = '{\"value\":9}' WHERE key = 'a'")
    tally = deliver(open_outbox, tracker.open, [guard()], now())["opik"]
    assert tracker.taken == ["b"]
    assert (tally.delivered, tally.dead_lettered, tally.altered, tally.left) == (1, 1, 1, 0)
    assert tally.problem == "1 entries were altered on disk and are not delivered, see `e2i doctor`"


def test_a_long_outage_opens_the_breaker(open_outbox: Callable[[], Outbox], tracker: Tracker) -> None:
    tracker.down = True
    put(open_outbox, ["a"])
    opik = guard()
    with open_outbox() as outbox:
        dispatcher = Dispatcher(outbox, tracker.open, opik)
        for _ in range(5):
            with pytest.raises(ToolUnavailable):
                dispatcher.deliver_once()
        assert opik.breaker.state is State.OPEN
        assert outbox.depth() == {"opik": 1}


def test_a_poisoned_entry_is_set_aside_alone(open_outbox: Callable[[], Outbox], tracker: Tracker) -> None:
    tracker.poison, tracker.broken = {"3"}, {"17"}
    put(open_outbox, [str(number) for number in range(20)])
    assert deliver(open_outbox, tracker.open, [guard()], now()) == {"opik": Tally(delivered=18, dead_lettered=2)}
    assert tracker.taken == [str(number) for number in range(20) if number not in (3, 17)]
    with open_outbox() as outbox:
        assert dead_letters(outbox) == [("3", "opik", "refused: ['3']"), ("17", "opik", "KeyError: 'name'")]


def test_a_sink_that_cannot_be_opened_loses_nothing(open_outbox: Callable[[], Outbox]) -> None:
    def broken(name: str) -> Sink:
        raise BadInput("api_key is not set", code="bad-settings")

    put(open_outbox, ["a"])
    tally = deliver(open_outbox, broken, [guard()], now())["opik"]
    assert (tally.left, tally.dead_lettered) == (1, 0)
    assert tally.problem == "the sink of opik cannot be opened: BadInput: api_key is not set"


def test_a_hung_sink_ends_at_the_flush_deadline(open_outbox: Callable[[], Outbox], tracker: Tracker) -> None:
    tracker.release = threading.Event()
    put(open_outbox, ["a"])
    try:
        tally = deliver(open_outbox, tracker.open, [guard()], now(), flush=0.05)["opik"]
        with open_outbox() as outbox:
            dispatcher = Dispatcher(outbox, tracker.open, guard(), clock=lambda: 0.0)
            dispatcher._open(LONG)
            flushed = dispatcher.run(now(), poll=0.01, flush=0.05)
    finally:
        tracker.release.set()
    assert tally.left == flushed.left == 1
    assert tally.problem is not None  # whatever of it all took longest
    assert flushed.problem == "opik did not answer deliver within 0.05 s"


def test_a_slow_sink_gets_on_with_smaller_batches(open_outbox: Callable[[], Outbox], tracker: Tracker) -> None:
    tracker.release, tracker.fast = threading.Event(), 150
    put(open_outbox, [str(number) for number in range(400)])
    with open_outbox() as outbox:
        dispatcher = Dispatcher(outbox, tracker.open, guard(deadline=0.2))
        problems = [dispatcher.attempt()[1] for _ in range(2)]
        assert [problem and problem.startswith("opik did not answer") for problem in problems] == [True, True]
        tracker.fast = 400
        dispatcher._guard = guard()  # it has as long as it needs for what is not too much for it
        assert dispatcher.run(now(), poll=0.01, flush=LONG) == Tally(delivered=400)
    tracker.release.set()
    assert [len(batch) for batch in tracker.batches] == [100, 200, 100]


def checked(answers: Callable[[], None]) -> dispatching.Tracker:
    return dispatching.Tracker(address=("127.0.0.1", 9), check=answers)


def test_a_slow_server_that_answers_its_check_has_everything_before_the_flush_is_over(
    open_outbox: Callable[[], Outbox], tracker: Tracker
) -> None:
    tracker.release, tracker.fast = threading.Event(), 150
    put(open_outbox, [str(number) for number in range(400)])
    with open_outbox() as outbox:
        slow = Dispatcher(outbox, tracker.open, guard(deadline=0.3), checked(lambda: None))
        tally = slow.run(now(), poll=0.01, flush=LONG)
    tracker.release.set()
    assert (tally.delivered, tally.left, tally.problem) == (400, 0, None)
    assert [len(batch) for batch in tracker.batches] == [100, 100, 100, 100]
    assert tracker.opened == 3, "again after each of the two missed deadlines"


def test_a_slow_server_that_is_down_at_its_next_check_is_not_waited_for(
    open_outbox: Callable[[], Outbox], tracker: Tracker
) -> None:
    checks: list[int] = []

    def answer() -> None:
        checks.append(1)
        if len(checks) > 1:
            raise ToolUnavailable("opik", "opik is down")

    tracker.release = threading.Event()
    put(open_outbox, ["a", "b"])
    with open_outbox() as outbox:
        slow = Dispatcher(outbox, tracker.open, guard(deadline=0.3), checked(answer))
        tally = slow.run(now(), poll=0.01, flush=LONG)
    tracker.release.set()
    assert (tally.left, tally.problem, len(checks)) == (2, "opik is down", 2)


@pytest.mark.parametrize("hangs", [False, True])
def test_other_connections_to_the_tracker_end_with_a_hung_call_only(
    open_outbox: Callable[[], Outbox], tracker: Tracker, hangs: bool
) -> None:
    tracker.release, tracker.down = threading.Event(), True
    if not hangs:
        tracker.release.set()
    put(open_outbox, ["a"])
    with socket.create_server(("127.0.0.1", 0)) as server, open_outbox() as outbox:
        at = dispatching.Tracker(address=server.getsockname(), check=lambda: None)
        with socket.create_connection(server.getsockname(), timeout=LONG) as checking:
            Dispatcher(outbox, tracker.open, guard(deadline=0.3 if hangs else LONG), at).attempt()
            accepted, _ = server.accept()
            with accepted:
                if not hangs:
                    accepted.sendall(b"x")
                assert checking.recv(1) == (b"" if hangs else b"x")
    tracker.release.set()


def test_a_call_that_the_flush_cuts_short_is_no_outage(open_outbox: Callable[[], Outbox], tracker: Tracker) -> None:
    tracker.release = threading.Event()
    put(open_outbox, ["a"])
    opik = guard()
    with open_outbox() as outbox:
        dispatcher = Dispatcher(outbox, tracker.open, opik)
        dispatcher._open(LONG)
        for _ in range(6):
            _, problem = dispatcher.attempt(0.0123456)
            assert problem == "opik did not answer deliver within 0.0123 s"
    tracker.release.set()
    assert (opik.breaker.state, opik.breaker.circuit.failed) == (State.CLOSED, 0)


def test_it_delivers_in_the_background_until_told_to_stop(open_outbox: Callable[[], Outbox], tracker: Tracker) -> None:
    stop, tallies = threading.Event(), list[dict[str, Tally]]()
    thread = threading.Thread(
        target=lambda: tallies.append(deliver(open_outbox, tracker.open, [guard()], stop, poll=0.01))
    )
    thread.start()
    put(open_outbox, ["a"])
    assert tracker.reached.wait(LONG)
    put(open_outbox, ["b"])
    stop.set()
    thread.join(LONG)
    assert tallies == [{"opik": Tally(delivered=2)}]
    assert tracker.taken == ["a", "b"]


def test_two_couriers_do_not_deliver_the_same_sink(open_outbox: Callable[[], Outbox], tracker: Tracker) -> None:
    put(open_outbox, ["a"])
    with open_outbox() as outbox:
        assert outbox.lease("opik", "another", lambda holder: True)
        outbox.release("opik", "another")
        first, second = Dispatcher(outbox, tracker.open, guard()), Dispatcher(outbox, tracker.open, guard())
        assert first.attempt() == (True, None)
        put(open_outbox, ["b"])
        assert second.attempt() == (True, "another dispatcher delivers to opik")
        assert first.run(now(), poll=0.01, flush=LONG) == Tally(delivered=2)
        put(open_outbox, ["c"])
        assert second.run(now(), poll=0.01, flush=LONG) == Tally(delivered=1)


def test_a_crash_between_delivery_and_acknowledgement_delivers_again(
    open_outbox: Callable[[], Outbox], tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(open_outbox, ["a"])
    with open_outbox() as outbox:
        dispatcher = Dispatcher(outbox, tracker.open, guard())
        with monkeypatch.context() as patched:
            patched.setattr(outbox, "acknowledge", _locked)
            waiting, problem = dispatcher.attempt()
            assert waiting
            assert problem is not None
            assert problem.endswith("cannot be used: database is locked")
        assert dispatcher.attempt() == (True, None)
        assert tracker.taken == ["a", "a"]
        assert outbox.depth() == {}


def _locked(entries: Sequence[Entry]) -> None:
    raise sqlite3.OperationalError("database is locked")


def test_a_sink_that_lost_what_it_had_is_opened_anew_and_given_all_of_it(open_outbox: Callable[[], Outbox]) -> None:
    class Forgetful(Tracker):
        def deliver(self, entries: Sequence[Entry]) -> None:
            if self.batches and self.opened == 1:
                raise ToolUnavailable("opik", "the database was removed", code="history-lost")
            super().deliver(entries)

    tracker = Forgetful()
    put(open_outbox, ["r1/a", "r1/b"])
    with open_outbox() as outbox:
        dispatcher = Dispatcher(outbox, tracker.open, guard())
        assert dispatcher.deliver_once()
    put(open_outbox, ["r1/c"])
    with open_outbox() as outbox:
        dispatcher = Dispatcher(outbox, tracker.open, guard())
        tracker.opened = 0
        tally = dispatcher.run(now(), poll=0.01, flush=LONG)
    assert (tally.redelivered, tally.delivered, tally.left) == (2, 3, 0)
    assert tracker.batches == [["r1/a", "r1/b"], ["r1/a", "r1/b", "r1/c"]]


class Orderly(Tracker):
    """Takes nothing of a run whose beginning it does not have."""

    def deliver(self, entries: Sequence[Entry]) -> None:
        keys = [entry.key for entry in entries]
        if "r1/start" not in {*keys, *self.taken} and not self.poison & set(keys):
            raise StepError("no such run", code="run-unknown")
        super().deliver(entries)


def test_what_follows_a_refused_beginning_is_set_aside_with_it_and_comes_after_it_in_order(
    open_outbox: Callable[[], Outbox],
) -> None:
    tracker, keys = Orderly(), ["r1/start", "r1/a", "r1/b", "r1/c", "r1/end"]
    tracker.poison = {"r1/start"}
    put(open_outbox, keys)
    tally = deliver(open_outbox, tracker.open, [guard()], now())["opik"]
    assert (tally.delivered, tally.dead_lettered, tally.left) == (0, 5, 0)
    tracker.poison = set()
    with open_outbox() as outbox:
        assert len(outbox.restore(outbox.refused(sink="opik"))) == 5
    tally = deliver(open_outbox, tracker.open, [guard()], now())["opik"]
    assert (tally.delivered, tally.dead_lettered, tally.left) == (5, 0, 0)
    assert tracker.taken == keys


def test_a_tracker_that_forgot_the_run_is_given_its_beginning_again(open_outbox: Callable[[], Outbox]) -> None:
    tracker = Orderly()
    put(open_outbox, ["r1/start", "r1/a"])
    deliver(open_outbox, tracker.open, [guard()], now())
    tracker.batches.clear()
    put(open_outbox, ["r1/b"])
    tally = deliver(open_outbox, tracker.open, [guard()], now())["opik"]
    assert (tally.redelivered, tally.delivered, tally.dead_lettered, tally.left) == (2, 3, 0, 0)
    assert tracker.taken == ["r1/start", "r1/a", "r1/b"]


def test_the_entries_of_a_run_that_has_ended_leave_their_keys_only(
    open_outbox: Callable[[], Outbox], tracker: Tracker
) -> None:
    with open_outbox() as outbox:
        outbox.put([Entry("r1/a", "opik", "r1", "metric", {"x": 1}), Entry("r1/e", "opik", "r1", "run.finished", {})])
        outbox.put([Entry("r2/a", "opik", "r2", "metric", {"x": 2})])
    assert deliver(open_outbox, tracker.open, [guard()], now())["opik"].delivered == 3
    with open_outbox() as outbox:
        assert outbox.redeliver("opik") == 1


def test_a_sink_that_hangs_is_told_to_stop(open_outbox: Callable[[], Outbox], tracker: Tracker) -> None:
    tracker.release = threading.Event()
    put(open_outbox, ["a"])
    with open_outbox() as outbox:
        tally = Dispatcher(outbox, tracker.open, guard(deadline=0.2)).run(now(), poll=0.01, flush=LONG)
    tracker.release.set()
    assert tally.left == 1
    assert tracker.closed == 1


def test_what_a_killed_process_left_unsent_is_delivered_once_by_the_next(
    tmp_path: Path, open_outbox: Callable[[], Outbox], tracker: Tracker
) -> None:
    program = f"""
import os, pathlib, signal
from e2i.telemetry.entries import Entry
from e2i.telemetry.outbox import Outbox
outbox = Outbox(pathlib.Path({str(tmp_path / "state.db")!r}))
for start in range(0, 10_000, 500):
    outbox.put(Entry(f"r1/{{n}}", "opik", "r1", "metric", {{"value": n}}) for n in range(start, start + 500))
os.kill(os.getpid(), signal.SIGKILL)
"""
    engine = Path(retry.__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": str(engine)}, check=False)
    assert done.returncode == -signal.SIGKILL
    for _ in range(2):
        deliver(open_outbox, tracker.open, [guard()], now())
    assert tracker.taken == [f"r1/{n}" for n in range(10_000)]


def test_a_run_whose_start_was_refused_has_nothing_delivered_again(open_outbox: Callable[[], Outbox]) -> None:
    """Other open runs must not be delivered again, and again, because of it."""

    class Strict(Tracker):
        def deliver(self, entries: Sequence[Entry]) -> None:
            if entries[0].run == "bad":
                if any(entry.kind == "run.started" for entry in entries):
                    raise StepError("no such experiment")
                raise StepError("no such run", code="run-unknown")
            super().deliver(entries)

    tracker = Strict()
    good = [Entry(f"good/{number}", "opik", "good", kind, {}) for number, kind in enumerate(["run.started", "metric"])]
    bad = [
        Entry(f"bad/{number}", "opik", "bad", kind, {}) for number, kind in enumerate(["run.started", "run.finished"])
    ]
    with open_outbox() as outbox:
        outbox.put([*good, *bad])
    first = deliver(open_outbox, tracker.open, [guard()], now())["opik"]
    with open_outbox() as outbox:
        outbox.put([Entry("bad/2", "opik", "bad", "metric", {}), Entry("good/2", "opik", "good", "metric", {})])
    second = deliver(open_outbox, tracker.open, [guard()], now())["opik"]
    assert (first.delivered, first.dead_lettered, first.left, first.redelivered) == (2, 2, 0, 0)
    assert (second.delivered, second.dead_lettered, second.left, second.redelivered) == (1, 1, 0, 0)


def test_a_run_that_the_tracker_never_knows_is_delivered_again_once(open_outbox: Callable[[], Outbox]) -> None:
    class Deaf(Tracker):
        def deliver(self, entries: Sequence[Entry]) -> None:
            if entries[0].run == "bad":
                raise StepError("no such run", code="run-unknown")
            super().deliver(entries)

    tracker = Deaf()
    with open_outbox() as outbox:
        outbox.put([Entry("good/0", "opik", "good", "run.started", {})])
        dispatcher = Dispatcher(outbox, tracker.open, guard())
        assert dispatcher.deliver_once()
        outbox.put([Entry("bad/0", "opik", "bad", "metric", {})])
        tally = dispatcher.run(now(), poll=0.01, flush=LONG)
    assert (tally.left, tally.dead_lettered, tally.redelivered) == (0, 1, 1)
