"""An entry that hangs or kills its sink is found and dead-lettered; an outage dead-letters nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from e2i.errors import StepError, ToolUnavailable
from e2i.resilience import retry
from e2i.resilience.breaker import Breaker
from e2i.resilience.guard import Guard
from e2i.telemetry.attempts import witness
from e2i.telemetry.dispatcher import Dispatcher, deliver
from e2i.telemetry.entries import Entry, Sink
from e2i.telemetry.outbox import Outbox, Tally
from telemetry.dead import dead_letters

SHORT = 0.05
LONG = 60.0
SINKS = ("mlflow", "opik")
DYING = """
import os, pathlib, sys, threading
from e2i.resilience.breaker import Breaker
from e2i.resilience.guard import Guard
from e2i.telemetry.attempts import witness
from e2i.telemetry.dispatcher import deliver
from e2i.telemetry.outbox import Outbox

path, tool, poison = sys.argv[1:]

class Sink:
    def deliver(self, entries):
        if any(entry.key == poison for entry in entries):
            os.kill(os.getpid(), 9)
        with open(path + ".taken", "a") as taken:
            taken.writelines(entry.key + "\\n" for entry in entries)

    def close(self): ...

stop = threading.Event()
stop.set()
tallies = deliver(
    lambda: Outbox(pathlib.Path(path)), lambda name: Sink(), [Guard(tool, Breaker(tool), deadline=60)], stop, flush=60
)
print(tallies[tool].left, tallies[tool].dead_lettered)
"""


class Hanging:
    """Takes everything but what hangs, while it is up."""

    def __init__(self) -> None:
        self.hangs: set[str] = set()
        self.refuses: set[str] = set()
        self.is_up = True
        self.taken: list[str] = []
        self.ended = threading.Event()

    def open(self, name: str) -> Sink:
        return self

    def deliver(self, entries: Sequence[Entry]) -> None:
        keys = [entry.key for entry in entries]
        if not self.is_up or self.hangs & set(keys):
            self.ended.wait(LONG)
            raise ToolUnavailable("opik", "too late")
        if bad := self.refuses & set(keys):
            raise StepError(f"refused: {sorted(bad)}")
        self.taken += keys

    def close(self) -> None: ...


@pytest.fixture
def sink() -> Iterator[Hanging]:
    made = Hanging()
    yield made
    made.ended.set()


@pytest.fixture
def open_outbox(tmp_path: Path) -> Callable[[], Outbox]:
    return lambda: Outbox(tmp_path / "state.db")


def keys(count: int) -> list[str]:
    return [f"r1/{number}" for number in range(count)]


def put(open_outbox: Callable[[], Outbox], tool: str, count: int) -> None:
    with open_outbox() as outbox:
        outbox.put(Entry(key, tool, "r1", "metric", {}) for key in keys(count))


def impatient(tool: str) -> Guard:
    """A guard with a short deadline and a circuit of its own for each call, which stays closed."""
    return Guard(tool, Breaker(tool), deadline=SHORT)


def rounds(outbox: Outbox, sink: Hanging, tool: str, most: int) -> Dispatcher:
    """Delivers until nothing waits, at most so many rounds, each with a closed circuit."""
    dispatcher = Dispatcher(outbox, sink.open, impatient(tool))
    for _ in range(most):
        dispatcher._guard = impatient(tool)
        if not dispatcher.attempt()[0]:
            break
    dispatcher._close(LONG)
    return dispatcher


@pytest.mark.parametrize("tool", SINKS)
def test_one_refused_entry_among_a_thousand_holds_up_none(
    open_outbox: Callable[[], Outbox], sink: Hanging, tool: str
) -> None:
    sink.refuses = {"r1/617"}
    put(open_outbox, tool, 1000)
    stop = threading.Event()
    stop.set()
    guard = Guard(tool, Breaker(tool), deadline=LONG)
    assert deliver(open_outbox, sink.open, [guard], stop) == {tool: Tally(delivered=999, dead_lettered=1)}
    assert sink.taken == [key for key in keys(1000) if key != "r1/617"]
    with open_outbox() as outbox:
        assert dead_letters(outbox) == [("r1/617", tool, "refused: ['r1/617']")]


@pytest.mark.parametrize(("tool", "count", "poison"), [("mlflow", 1000, 617), ("opik", 1000, 617), ("opik", 9, 0)])
def test_one_hanging_entry_among_a_thousand_is_dead_lettered_by_name(
    open_outbox: Callable[[], Outbox], sink: Hanging, tool: str, count: int, poison: int
) -> None:
    sink.hangs = {f"r1/{poison}"}
    put(open_outbox, tool, count)
    with open_outbox() as outbox:
        dispatcher = rounds(outbox, sink, tool, 1200)
        assert dead_letters(outbox) == [(f"r1/{poison}", tool, "its delivery hung 3 times")]
        assert (dispatcher.tally().delivered, dispatcher.tally().dead_lettered) == (count - 1, 1)
    assert sorted(sink.taken) == sorted(key for key in keys(count) if key != f"r1/{poison}")


def test_an_outage_in_which_every_call_hangs_dead_letters_nothing(
    open_outbox: Callable[[], Outbox], sink: Hanging
) -> None:
    put(open_outbox, "opik", 20)
    sink.is_up = False
    with open_outbox() as outbox:
        rounds(outbox, sink, "opik", 30)
        sink.is_up = True
        rounds(outbox, sink, "opik", 100)
        assert dead_letters(outbox) == []
        assert outbox.depth() == {}
    assert sorted(sink.taken) == sorted(keys(20))


def test_the_last_entry_that_hangs_stays_since_none_behind_it_shows_that_the_tracker_answers(
    open_outbox: Callable[[], Outbox], sink: Hanging
) -> None:
    put(open_outbox, "opik", 1)
    sink.hangs = {"r1/0"}
    with open_outbox() as outbox:
        rounds(outbox, sink, "opik", 10)
        assert outbox.depth() == {"opik": 1}
        outbox.put([Entry(f"r2/{n}", "opik", "r2", "metric", {}) for n in range(9)])
        rounds(outbox, sink, "opik", 30)
        assert dead_letters(outbox) == [("r1/0", "opik", "its delivery hung 3 times")]


def die(path: Path, tool: str, poison: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", DYING, str(path), tool, poison],
        env={**os.environ, "PYTHONPATH": str(Path(retry.__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


@pytest.mark.parametrize(
    ("tool", "count", "poison"),
    [pytest.param("mlflow", 1000, 617, marks=pytest.mark.slow), ("opik", 1000, 617), ("opik", 1, 0)],
)
def test_an_entry_that_kills_the_delivery_process_is_dead_lettered_and_the_others_are_delivered_once(
    tmp_path: Path, open_outbox: Callable[[], Outbox], tool: str, count: int, poison: int
) -> None:
    put(open_outbox, tool, count)
    died = 0
    while (done := die(tmp_path / "state.db", tool, f"r1/{poison}")).returncode == -9:
        died += 1
        assert died < 10
    assert (done.returncode, done.stdout) == (0, "0 1\n"), done.stderr
    assert died == (4 if count > 1 else 3)  # with the batch, then alone
    with open_outbox() as outbox:
        reason = "the delivery process died 3 times while sending it"
        assert dead_letters(outbox) == [(f"r1/{poison}", tool, reason)]
    taken = (tmp_path / "state.db.taken").read_text().split() if count > 1 else []
    assert sorted(taken) == sorted(key for key in keys(count) if key != f"r1/{poison}")


def test_a_delivery_that_was_ended_on_purpose_is_no_strike(open_outbox: Callable[[], Outbox]) -> None:
    put(open_outbox, "opik", 2)
    with open_outbox() as outbox:
        for _ in range(5):
            attempts = outbox.attempts("opik")
            attempts.begin(1, 1)
            outbox.forgive()
            attempts.recover()
            assert (attempts.in_doubt(), attempts.poison()) == (set(), [])


def waiting(*kinds: str, run: str = "r1", first: int = 1) -> list[Entry]:
    return [Entry(f"{run}/{n}", "opik", run, kind, {}, n) for n, kind in enumerate(kinds, first)]


def test_an_entry_goes_ahead_of_a_doubtful_one_only_where_their_order_does_not_matter() -> None:
    one = waiting("run.started", "metric", "step.finished", "metric", "run.finished")
    assert witness(one, {1}) is None, "nothing is known of a run before its start"
    assert witness(one, {2}) == one[3], "a measurement, not the end of a step"
    assert witness(one, {2, 4}) is None
    other = waiting("run.started", "metric", run="r2", first=6)
    assert witness([*one, *other], {1}) == other[0]


def test_a_death_is_a_strike_at_once_and_leaves_the_order_as_it_is(open_outbox: Callable[[], Outbox]) -> None:
    put(open_outbox, "opik", 2)
    with open_outbox() as outbox:
        attempts = outbox.attempts("opik")
        for strikes in range(1, 4):
            attempts.begin(1, 1)
            attempts.recover()
            assert attempts.in_doubt() == set()
            assert len(attempts.poison()) == (strikes == 3)
