"""Prepare metrics in rows and columns, and importances as bars.

In: steps. Out: what they measured.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from e2i.report.steps import Step
from e2i.report.values import number, numbers

BARS = 15
"""Maximum number of features of an importance."""
SIDE_BY_SIDE = 6
"""Maximum number of matrix combinations whose metrics are shown in columns."""


class Label(Struct, frozen=True):
    """The name of a row or a column, and the step that it links to."""

    text: str
    step: Step | None = None


class Metrics(Struct, frozen=True):
    """The metrics of one step, or of all its matrix combinations. Rows have a text for each column, None: not measured.

    The combinations of a small matrix are the columns, those of a large one the rows. A single step is the only column.
    """

    title: Label
    columns: tuple[Label, ...]
    rows: tuple[tuple[Label, tuple[str | None, ...]], ...]


class Importance(Struct, frozen=True):
    """The greatest importances of a step, each with its percentage of the greatest. ``more`` are not shown."""

    step: Step
    bars: tuple[tuple[str, str, float], ...]
    more: int


def metrics(steps: Sequence[Step]) -> tuple[Metrics, ...]:
    """Returns the outputs named ``metrics``, one entry for all matrix combinations of a step."""
    groups: dict[str, list[tuple[Step, dict[str, float]]]] = {}
    for step in steps:
        if found := numbers(step.outputs.get("metrics")):
            groups.setdefault(step.group, []).append((step, found))
    return tuple(_metrics(group, measured) for group, measured in groups.items())


def importances(steps: Sequence[Step]) -> tuple[Importance, ...]:
    """Returns the outputs named ``importance``, the greatest first."""
    found = []
    for step in steps:
        if shares := numbers(step.outputs.get("importance")):
            ranked = sorted(shares.items(), key=lambda item: -abs(item[1]))
            greatest = abs(ranked[0][1]) or 1.0
            bars = tuple((name, number(value, 3), 100 * abs(value) / greatest) for name, value in ranked[:BARS])
            found.append(Importance(step, bars, max(len(ranked) - BARS, 0)))
    return tuple(found)


def _metrics(group: str, measured: Sequence[tuple[Step, dict[str, float]]]) -> Metrics:
    single = measured[0][0] if len(measured) == 1 else None
    names = list(dict.fromkeys(name for _, found in measured for name in found))
    labels = [Label(step.id.removeprefix(group)[1:-1] or group, step) for step, _ in measured]
    values = [[number(found[name], 4) if name in found else None for name in names] for _, found in measured]
    title = Label(single.id if single else group, single)
    if len(measured) > SIDE_BY_SIDE:
        rows = tuple((label, tuple(row)) for label, row in zip(labels, values, strict=True))
        return Metrics(title, tuple(map(Label, names)), rows)
    rows = tuple((Label(name), tuple(row[index] for row in values)) for index, name in enumerate(names))
    return Metrics(title, tuple(labels), rows)
