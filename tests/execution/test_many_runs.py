"""A long history (row F39): 1,000 runs with 100,000 steps are listed, shown and resumed in less than a second."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from e2i.resilience.checksum import checksum
from e2i.store.history import Reader
from e2i.store.runs import PUT_STEP, RunStore
from store.written import plan_text, run_row

STEPS = [f"step{number}" for number in range(100)]
PLAN = plan_text(*STEPS, detail="x" * 300)


def there(digest: str) -> bool:
    return True


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("long")
    run_store = RunStore(root, there)
    outputs = json.dumps({"value": "y" * 100})
    with run_store.together():
        for number in range(1000):
            run_store.start_run(run_row(f"r{number:04}", started_ms=number, spec="x" * 5_000, plan=PLAN))
            rows = [
                (f"r{number:04}", step, "succeeded", 1, 1, 2, f"f{number}{step}", outputs, None, "") for step in STEPS
            ]
            run_store._database.executemany(PUT_STEP, [(*row, checksum(row)) for row in rows])
            run_store.finish_run(f"r{number:04}", "succeeded", {}, number, [])
    run_store.close()
    return root


def cost(work: object) -> float:
    """Seconds of CPU of this process."""
    began = time.process_time()
    assert callable(work)
    work()
    return time.process_time() - began


def test_listing_showing_and_resuming_take_less_than_a_second(store: Path) -> None:
    def listed() -> None:
        with Reader(store, there) as reader:
            assert len(reader.runs(50)) == 50

    def shown() -> None:
        with Reader(store, there) as reader:
            assert (run := reader.run("r0500")) is not None and len(run.steps) == 100

    def resumed() -> None:
        run_store = RunStore(store, there)
        run_store.start_run(run_row("r0500", plan=PLAN))
        run_store.dead_runs()
        run_store.finish_run("r0500", "succeeded", {}, 2, [])
        run_store.close()

    for work in (listed, shown, resumed):
        assert max(cost(work) for _ in range(5)) < 0.5, work.__name__


@pytest.mark.slow
def test_looking_at_everything_takes_seconds_not_minutes(store: Path) -> None:
    def examined() -> None:
        with Reader(store, there) as reader:
            assert reader.corruption() == []

    assert cost(examined) < 20
