"""A second run of the same command: nothing is done twice, and it is over at once."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from e2e.conftest import FLIGHTS
from e2e.sandbox import Run


def test_every_step_is_reused(flights: Run, flights_again: Run) -> None:
    assert {name: step["status"] for name, step in flights_again.end["steps"].items()} == dict.fromkeys(
        flights.record["steps"], "reused"
    )
    assert flights_again.end["status"] == "succeeded"


def test_it_gives_the_same_outputs(flights: Run, flights_again: Run) -> None:
    assert flights_again.end["outputs"] == flights.end["outputs"]
    assert {name: step["outputs"] for name, step in flights_again.record["steps"].items()} == {
        name: step["outputs"] for name, step in flights.record["steps"].items()
    }


def test_it_takes_less_than_a_tenth_of_the_work(flights: Run, flights_again: Run) -> None:
    # Not of the time, which is also about what else the machine does; and the better of two.
    if flights_again.cpu >= flights.cpu / 10:
        assert flights.sandbox.run(*FLIGHTS).cpu < flights.cpu / 10


def test_the_work_that_specs_share_is_done_once(conversion: Run, comparison: Run, volume: Run) -> None:
    for run in (comparison, volume):
        assert run.end["steps"]["data"]["status"] == "reused"
        assert run.outputs("data") == conversion.outputs("data")


def test_everything_was_delivered_and_nothing_waits(
    flights: Run, conversion: Run, comparison: Run, volume: Run
) -> None:
    for run in (flights, volume):
        with closing(sqlite3.connect(f"file:{run.store}/state.db?mode=ro", uri=True)) as database:
            states = {state for (state,) in database.execute("SELECT DISTINCT state FROM outbox")}
        assert states == {"delivered"}
    assert not [event for event in (*flights.events, *volume.events) if event["event"] == "tool.degraded"]
