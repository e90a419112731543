"""The chart of a run: bars where the steps were, the critical path, round numbers on the axis."""

from __future__ import annotations

from typing import Any

import pytest

from e2i.report import steps, timeline
from report.past import START, past_run, planned, recorded


def chart(**more: Any) -> timeline.Timeline:
    past = past_run(**more)
    found = timeline.build(steps.of(past, None), past.run.started_ms, past.run.ended_ms)
    assert found is not None
    return found


def test_bars_lie_where_the_steps_were() -> None:
    bars = {bar.step.id: bar for bar in chart().bars}
    assert bars["first"].x == 0
    assert bars["train[2]"].x == pytest.approx(100 / 6)
    assert bars["train[2]"].width == pytest.approx(50)


def test_every_bar_is_within_the_chart_even_the_shortest_at_the_end() -> None:
    found = [
        recorded("first"),
        recorded("last", at=5.999, seconds=0.001),
        recorded("train[1]", "reused", at=6, seconds=None),
    ]
    for bar in chart(steps=found).bars:
        assert bar.x >= 0 and bar.x + (bar.width or 0) <= 100 + 1e-9


def test_a_reused_step_is_a_mark_and_attempts_are_reported() -> None:
    found = [recorded("first", "reused", seconds=None), recorded("last", at=1, attempts=3)]
    reused, tried = chart(steps=found).bars
    assert (reused.width, reused.text) == (None, "reused")
    assert tried.text == "1 s · 3 attempts"


def test_the_chain_goes_back_by_the_need_that_ended_last() -> None:
    chain = chart().chain
    assert chain is not None
    assert [step.id for step in chain.steps] == ["first", "train[2]", "last"]
    assert (chain.busy, chain.waited) == (5, 0.5)


def test_a_single_step_is_no_chain() -> None:
    assert chart(plan=[planned("first")], steps=[recorded("first")]).chain is None


def test_a_resumed_run_is_charted_from_its_first_step() -> None:
    later = 3 * 86_400
    found = [recorded("first", at=later), recorded("last", at=later + 1)]
    assert chart(steps=found, ended_ms=START + (later + 2) * 1000).bars[0].x == 0


@pytest.mark.parametrize("seconds", [0.004, 0.3, 7, 59, 600, 9_000, 400_000])
def test_the_axis_has_a_few_round_labels(seconds: float) -> None:
    ticks = chart(
        plan=[planned("first")], steps=[recorded("first", seconds=seconds)], ended_ms=START + int(seconds * 1000)
    ).ticks
    assert 2 <= len(ticks) <= timeline.TICKS + 1
    assert ticks[0].x == 0 and ticks[-1].x <= 100


def test_a_run_in_which_nothing_happened_has_no_chart() -> None:
    assert timeline.build(steps.of(past_run(steps=[]), None), START, None) is None
