"""Lay out a Gantt chart of a run, with its critical path.

In: steps. Out: bars, in percent of the width. Pure geometry: the template draws.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from msgspec import Struct

from e2i.report.steps import Step
from e2i.report.values import duration

TICKS = 8
"""Maximum number of labels on the axis."""
NARROWEST = 0.35
"""Width of the shortest bar in percent."""


class Bar(Struct, frozen=True):
    """One row: the position of its bar in percent, or of its mark when the step took no time (``width`` is None).

    ``side`` is the position of the text: after the bar, before it, or inside.
    """

    step: Step
    x: float
    width: float | None
    text: str
    side: Literal["after", "before", "inside"]


class Tick(Struct, frozen=True):
    x: float
    label: str


class Chain(Struct, frozen=True):
    """The critical path: the steps that the last one waited for, in order. Times are in seconds."""

    steps: tuple[Step, ...]
    busy: float
    waited: float


class Timeline(Struct, frozen=True):
    bars: tuple[Bar, ...]
    ticks: tuple[Tick, ...]
    chain: Chain | None


def build(steps: Sequence[Step], started_ms: int, ended_ms: int | None) -> Timeline | None:
    """Returns the chart, steps in the order of their start; None when no step has started."""
    moments = [moment for step in steps for moment in (step.started_ms, step.ended_ms) if moment is not None]
    if not moments:
        return None
    first, last = min(moments), max([*moments, *([ended_ms] if ended_ms else [])])
    # A resumed run keeps its first start, which may be days before the first recorded step.
    begin = started_ms if 0 <= first - started_ms <= max(last - first, 2_000) else first
    span = max(last - begin, 1)
    shown = [step for step in steps if step.started_ms is not None or step.ended_ms is not None]
    shown.sort(key=lambda step: step.started_ms or step.ended_ms or 0)
    return Timeline(
        bars=tuple(_bar(step, begin, span) for step in shown),
        ticks=tuple(Tick(100_000 * second / span, duration(second)) for second in _seconds(span / 1000)),
        chain=_chain(steps),
    )


def _bar(step: Step, begin: int, span: int) -> Bar:
    if step.started_ms is None:
        x = 100 * ((step.ended_ms or begin) - begin) / span
        return Bar(step, min(x, 99.5), None, step.status, "after" if x < 80 else "before")
    x = 100 * (step.started_ms - begin) / span
    end = 100 * ((step.ended_ms or begin + span) - begin) / span
    width = max(end - x, NARROWEST)
    x = min(x, 100 - width)
    text = "running" if step.seconds is None else duration(step.seconds)
    if step.attempts > 1:
        text += f" · {step.attempts} attempts"
    side: Literal["after", "before", "inside"] = "after" if x + width < 80 else "before" if x > 25 else "inside"
    return Bar(step, x, width, text, side)


def _seconds(span: float) -> list[float]:
    """Returns round moments from 0 to ``span`` seconds, evenly spaced."""
    steps = [base * 10.0**power for power in range(-3, 2) for base in (1, 2, 5)]
    steps += [60.0 * minutes for minutes in (1, 2, 5, 10, 15, 30)]
    steps += [3_600.0 * hours for hours in (1, 2, 3, 6, 12, 24)]
    apart = next((step for step in steps if span / step <= TICKS), 86_400.0 * math.ceil(span / TICKS / 86_400))
    return [index * apart for index in range(int(span / apart) + 1)]


def _chain(steps: Sequence[Step]) -> Chain | None:
    """Follows the critical path back from the step that ended last, always to the dependency that ended last. None for
    a single step.
    """
    done = {step.id: step for step in steps if step.seconds is not None}
    if not done:
        return None
    found = [max(done.values(), key=_end)]
    while earlier := [done[need] for need in found[-1].needs if need in done]:
        found.append(max(earlier, key=_end))
    if len(found) < 2:
        return None
    chain = tuple(reversed(found))
    waited = sum(max((later.started_ms or 0) - _end(earlier), 0) for earlier, later in pairwise(chain)) / 1000
    return Chain(chain, sum(step.seconds or 0.0 for step in chain), waited)


def _end(step: Step) -> int:
    return step.ended_ms or 0
