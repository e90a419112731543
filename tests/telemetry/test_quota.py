"""The size of what waits is counted exactly, and limits how many values of metrics are recorded."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2i.telemetry.entries import Entry
from e2i.telemetry.outbox import Outbox
from e2i.telemetry.quota import LONGEST, PAUSE, Quota, thinned


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    with Outbox(tmp_path / "state.db") as opened:
        yield opened


def actual(outbox: Outbox) -> int:
    with sqlite3.connect(outbox.path) as database:
        query = "SELECT coalesce(sum(length(CAST(body AS BLOB)) + length(key)), 0) FROM outbox WHERE state = 'waiting'"
        return int(database.execute(query).fetchone()[0])


def test_the_size_is_exact_whatever_happens_to_entries(outbox: Outbox) -> None:
    chance = random.Random(7)
    for number in range(60):
        outbox.put([Entry(f"r/{n}", "opik", "r", "metric", {"text": "ü" * n}) for n in range(number, number + 3)])
        waiting = outbox.take("opik", 5)
        match chance.randrange(6):
            case 0:
                outbox.acknowledge(waiting)
            case 1:
                outbox.dead_letter(waiting, "refused")
            case 2:
                outbox.restore(outbox.refused())
            case 3:
                outbox.drop(waiting[:2])
            case 4:
                outbox.redeliver("opik")
            case _:
                outbox.settle("opik", "r")
        assert outbox.size() == actual(outbox)
    assert outbox.size() > 0


def test_a_put_that_is_rolled_back_counts_nothing(outbox: Outbox) -> None:
    with pytest.raises(ValueError, match="not JSON"):
        outbox.put([Entry("r/1", "opik", "r", "metric", {}), Entry("r/2", "opik", "r", "metric", {"x": float("nan")})])
    assert outbox.size() == 0


def test_an_outbox_of_an_earlier_version_is_counted_when_it_is_opened(tmp_path: Path) -> None:
    with Outbox(tmp_path / "state.db") as outbox:
        outbox.put([Entry("r/1", "opik", "r", "metric", {"x": 1})])
        size = outbox.size()
    with sqlite3.connect(tmp_path / "state.db") as database:
        for name in ("outbox_grows", "outbox_empties", "outbox_refills"):
            database.execute(f"DROP TRIGGER {name}")
        database.execute("DROP TABLE outbox_size")
    with Outbox(tmp_path / "state.db") as outbox:
        assert outbox.size() == size > 0


def test_below_the_limit_every_value_is_admitted() -> None:
    quota = Quota(10, lambda: 9)
    assert all(quota.admits("train", "loss") for _ in range(1000))
    assert (quota.thinned, quota.pause()) == (0, 0.0)


def test_at_the_limit_each_series_is_thinned_by_powers_of_two() -> None:
    quota = Quota(10, lambda: 10)
    admitted = [n for n in range(1, 1001) if quota.admits("train", "loss")]
    assert admitted == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]
    assert quota.admits("train", "auc"), "a single value is always kept"
    assert quota.admits("test", "loss"), "so is the first of each step"
    assert quota.thinned == 990


def test_one_step_causes_at_most_a_second_of_waits() -> None:
    quota = Quota(10, lambda: 10)
    waited = 0.0
    for _ in range(10_000):
        quota.admits("train", "loss")
        waited += quota.pause()
    assert waited == pytest.approx(LONGEST)
    assert quota.pause() == 0.0
    quota.admits("test", "loss")
    assert quota.pause() == PAUSE


def test_thinned_values_are_counted_by_run(outbox: Outbox) -> None:
    for run in ("b", "a", "b"):
        outbox.thin(run)
    with sqlite3.connect(outbox.path) as database:
        assert [(found.run, found.metrics) for found in thinned(database)] == [("a", 1), ("b", 2)]
