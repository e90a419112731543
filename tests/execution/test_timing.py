"""A wall clock that is set during a run changes no duration."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from e2i.execution import engine as engines
from e2i.execution import timing
from e2i.store import history
from project import Project

HOURS_72 = 72 * 3_600_000
SPEC = """
version: 1
name: clock
steps:
  first: {uses: python.call, timeout: 60s, with: {file: steps.py, function: work}}
  second: {uses: python.call, timeout: 60s, retry: {total: 60s}, needs: [first], with: {file: steps.py, function: work}}
"""


@pytest.mark.parametrize("jump", [-HOURS_72, HOURS_72], ids=["back", "forward"])
def test_differences_are_those_of_the_monotonic_clock(jump: int) -> None:
    wall: Iterator[int] = iter([1_000, 1_000 + jump])
    seconds = iter([5.0, 6.5, 7.0])
    now_ms = timing.steady(lambda: next(wall), lambda: next(seconds))
    assert (now_ms(), now_ms()) == (2_500, 3_000)


@pytest.mark.parametrize("jump", [-HOURS_72, HOURS_72], ids=["back", "forward"])
def test_a_clock_that_is_set_in_a_run_changes_no_duration_and_no_timeout(
    project: Project, monkeypatch: pytest.MonkeyPatch, jump: int
) -> None:
    plain, read = engines.Engine.__init__, [0]

    def now_ms() -> int:
        read[0] += 1
        return time.time_ns() // 1_000_000 + (jump if read[0] > 3 or read[0] % 2 == 0 else 0)

    def init(self: engines.Engine, *given: object, **named: object) -> None:
        plain(self, *given, **{**named, "now_ms": now_ms})  # type: ignore[arg-type]

    monkeypatch.setattr(engines.Engine, "__init__", init)
    project.write("steps.py", "def work():\n    return 1\n")
    began = time.monotonic()
    record = project.run(SPEC)
    took = time.monotonic() - began
    assert record.status == "succeeded"
    assert 0 < record.seconds <= took + 0.1
    with history.Reader(project.store, lambda _: True) as reader:
        run = reader.run(record.run)
    assert run is not None
    for item in (run, *run.steps):
        assert item.ended_ms is not None and item.started_ms is not None
        assert 0 <= item.ended_ms - item.started_ms <= took * 1000 + 100
