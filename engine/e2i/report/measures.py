"""Steps go in; what they measured comes out, ready to be compared: metrics as figures and tables, importances as bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from e2i.report.steps import Step
from e2i.report.values import number, numbers

BARS = 15
"""Features that are shown of an importance."""


@dataclass(frozen=True, slots=True)
class Metrics:
    """The metrics of one step, or of all cells of a matrix: a row a step, a cell for each name (None: not measured)."""

    title: str
    names: tuple[str, ...]
    rows: tuple[tuple[Step, tuple[str | None, ...]], ...]


@dataclass(frozen=True, slots=True)
class Importance:
    """The greatest importances of a step, each with its share of the greatest in percent. ``more`` are not shown."""

    step: Step
    bars: tuple[tuple[str, str, float], ...]
    more: int


def metrics(steps: Sequence[Step]) -> tuple[Metrics, ...]:
    """The outputs named ``metrics``, the cells of a matrix together."""
    groups: dict[str, list[tuple[Step, dict[str, float]]]] = {}
    for step in steps:
        if found := numbers(step.outputs.get("metrics")):
            groups.setdefault(step.group, []).append((step, found))
    return tuple(_metrics(group, measured) for group, measured in groups.items())


def importances(steps: Sequence[Step]) -> tuple[Importance, ...]:
    """The outputs named ``importance``, the greatest first."""
    found = []
    for step in steps:
        if shares := numbers(step.outputs.get("importance")):
            ranked = sorted(shares.items(), key=lambda item: -abs(item[1]))
            greatest = abs(ranked[0][1]) or 1.0
            bars = tuple((name, number(value, 3), 100 * abs(value) / greatest) for name, value in ranked[:BARS])
            found.append(Importance(step, bars, max(len(ranked) - BARS, 0)))
    return tuple(found)


def _metrics(group: str, measured: Sequence[tuple[Step, dict[str, float]]]) -> Metrics:
    names = tuple(dict.fromkeys(name for _, found in measured for name in found))
    return Metrics(
        group,
        names,
        tuple((step, tuple(number(found[name], 4) if name in found else None for name in names)) for step, found in measured),
    )
