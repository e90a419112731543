"""Judge each of more than two classes against the rest. In: rows with predictions. Out: metrics with intervals.

A row is decided as the class that is most probable. The interval of a class is drawn as that of two classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from e2i.estimators import intervals
from e2i.estimators.metrics import METRICS, Rows
from e2i.tools.model import pages, tables

if TYPE_CHECKING:
    import pandas as pd

    from e2i.estimators.scoring import Matrix
    from e2i.tools.model.evaluation import Judged

SHOWN = ("precision", "recall", "f1", "roc_auc", "average_precision")
"""Metrics of a class."""


class OfClass(Struct, frozen=True):
    """A metric of one class. ``rows``: how many are of the class, ``decided``: as how many it was decided."""

    label: str
    rows: int
    decided: int
    metric: str
    estimate: float
    low: float | None
    high: float | None


def measure(rows: Judged, *, level: float | None, groups: Matrix | None, seed: int) -> list[OfClass]:
    """Return the metrics of each class that are defined, in the order of the classes; none of two or of a regression.

    ``level`` None: without intervals. ``groups``: as of ``intervals.bootstrap``.
    """
    if rows.classes is None or rows.positive is not None:
        return []
    return [
        one
        for place, label in enumerate(rows.classes)
        for one in _of_class(rows.measurable(), place, str(label), level, groups, seed)
    ]


def _of_class(
    rows: Rows, place: int, label: str, level: float | None, groups: Matrix | None, seed: int
) -> list[OfClass]:
    import math

    own = Rows(
        (rows.labels == place).astype("int32"), rows.predicted[:, place], (rows.decided == place).astype("int32")
    )
    drawn = {} if level is None or len(own.labels) < 2 else intervals.draws(own, groups=groups, seed=seed)
    found = []
    for name in SHOWN:
        value = METRICS[name].compute(own)
        bounds = intervals.interval(drawn[name], level) if level is not None and name in drawn else None
        low, high = bounds or (None, None)
        if math.isfinite(value):
            found.append(OfClass(label, int(own.labels.sum()), int(own.decided.sum()), name, float(value), low, high))
    return found


def table(found: Sequence[OfClass]) -> pd.DataFrame:
    """Return the columns of ``tables.CLASSES``."""
    from msgspec.structs import astuple

    return tables.frame(map(astuple, found), tables.CLASSES)


def section(found: Sequence[OfClass]) -> str:
    """Return the part of the page with a line for each class; an empty text without classes."""
    if not found:
        return ""
    names = [name for name in SHOWN if any(one.metric == name for one in found)]
    lines = []
    for label in dict.fromkeys(one.label for one in found):
        own = {one.metric: one for one in found if one.label == label}
        first = next(iter(own.values()))
        lines.append((label, f"{first.rows:,}", f"{first.decided:,}", *(_cell(own.get(name)) for name in names)))
    text = "Each class against all others; a row is decided as its most probable class."
    return (
        pages.heading("Classes") + pages.paragraph(text) + pages.table(("class", "rows", "decided as", *names), lines)
    )


def _cell(one: OfClass | None) -> str:
    if one is None:
        return "–"
    bounds = "" if one.low is None or one.high is None else f" ({pages.between((one.low, one.high))})"
    return pages.number(one.estimate) + bounds
