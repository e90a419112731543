"""Cut rows into slices by a column, and measure each. In: rows with predictions, columns. Out: slices with intervals.

A number of more than ten values is cut at its quartiles, a time by the finest of day, month and year that gives at most
31 slices. Rows without a value are a slice of their own, and so are those of values beyond the most frequent ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from e2i.errors import StepError
from e2i.tools.model import evaluation, tables

if TYPE_CHECKING:
    import pandas as pd

    from e2i.estimators.intervals import Interval
    from e2i.estimators.scoring import Matrix
    from e2i.tools.model.evaluation import Judged

NULL, OTHER = "(null)", "(other)"
MOST = 30
"""Most slices of one column, besides those of nulls and other values."""
MOST_NUMBERS = 10
"""Distinct numbers up to which each is a slice of its own."""
FEWEST = 10
"""Rows, or groups, of a slice from which it has intervals: those of fewer are known to be too narrow."""


class Slice(Struct, frozen=True, eq=False):
    """Rows with the same value of a column, as positions."""

    by: str
    value: str
    places: Matrix


class Measured(Struct, frozen=True):
    """The metrics of a slice, and their intervals."""

    by: str
    value: str
    rows: int
    metrics: dict[str, float]
    intervals: dict[str, Interval]


def measure(
    rows: Judged, slices: Sequence[Slice], *, level: float | None, groups: Matrix | None, seed: int
) -> list[Measured]:
    """Return the metrics of each slice. ``level`` None: without intervals. ``groups``: as of ``bootstrap``."""
    return [_measured(rows, one, level, groups, seed) for one in slices]


def cut(frame: pd.DataFrame, by: Sequence[str]) -> list[Slice]:
    """Return the slices of each column: in the order of its values, or the most frequent first.

    Raises StepError for a column that is absent, or of lists.
    """
    import numpy as np

    check(frame, by)
    return [
        Slice(name, value, np.flatnonzero(inside)) for name in by for value, inside in _cut(frame[name]) if inside.any()
    ]


def check(frame: pd.DataFrame, names: Sequence[str]) -> None:
    """Raise StepError when a column is absent, or has values that no slice can be made of."""
    import pandas as pd

    for name in names:
        if name not in frame.columns:
            raise StepError(
                f"the table has no column {name!r}",
                code="unknown-column",
                hint=f"columns: {', '.join(str(known) for known in frame.columns[:40])}",
            )
        kind = frame[name].dtype
        if isinstance(kind, pd.ArrowDtype) and str(kind).startswith(tables.NESTED):
            raise StepError(f"{name!r} is of {kind}, and no slices can be made of it", code="bad-slice")


def table(found: Sequence[Measured]) -> pd.DataFrame:
    """Return the slices with a row for each metric: the columns of ``tables.SLICES``."""
    lines = [
        (one.by, one.value, one.rows, name, value, *one.intervals.get(name, (None, None)))
        for one in found
        for name, value in one.metrics.items()
    ]
    return tables.frame(lines, tables.SLICES)


def _measured(rows: Judged, one: Slice, level: float | None, groups: Matrix | None, seed: int) -> Measured:
    import numpy as np

    own = None if groups is None else np.unique(groups[one.places], return_inverse=True)[1]
    units = len(one.places) if own is None else int(own.max()) + 1
    able = level if units >= FEWEST else None
    found = evaluation.measure(rows.part(one.places), level=able, groups=own, seed=seed)
    return Measured(one.by, one.value, len(one.places), found.metrics, found.intervals)


def _cut(values: pd.Series[Any]) -> Iterator[tuple[str, Matrix]]:
    """Yield each slice's value and whether a row is inside (n,)."""
    import pandas as pd

    known = values.notna().to_numpy()
    if pd.api.types.is_datetime64_any_dtype(values):
        yield from _texts(_periods(values), known, in_order=True)
    elif is_number(values) and values.nunique() > MOST_NUMBERS:
        yield from _quartiles(values.to_numpy(dtype="float64", na_value=float("nan")), known)
    else:
        yield from _texts(values, known, in_order=is_number(values))
    yield NULL, ~known


def is_number(values: pd.Series[Any]) -> bool:
    import pandas as pd

    return pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)


def _quartiles(numbers: Matrix, known: Matrix) -> Iterator[tuple[str, Matrix]]:
    import numpy as np

    finite = numbers[known]
    edges = np.unique(np.quantile(finite, [0.25, 0.5, 0.75], method="inverted_cdf"))
    edges = edges[edges < finite.max()]
    places = np.searchsorted(edges, numbers, side="left")
    for index in range(len(edges) + 1):
        low = f"> {edges[index - 1]:g}" if index else ""
        high = f"≤ {edges[index]:g}" if index < len(edges) else ""
        yield " and ".join(filter(None, (low, high))) or "all", known & (places == index)


def _periods(times: pd.Series[Any]) -> pd.Series[Any]:
    """Return the day, month or year of each time, as text."""
    for form in ("%Y-%m-%d", "%Y-%m"):
        found: pd.Series[Any] = times.dt.strftime(form)
        if found.nunique() <= MOST + 1:
            return found
    years: pd.Series[Any] = times.dt.strftime("%Y")
    return years


def _texts(values: pd.Series[Any], known: Matrix, *, in_order: bool) -> Iterator[tuple[str, Matrix]]:
    import numpy as np

    counts = values[known].value_counts(sort=False)
    order = counts.sort_index() if in_order else counts.iloc[np.lexsort((counts.index.astype(str), -counts.to_numpy()))]
    shown = set(counts.iloc[np.argsort(-counts.to_numpy(), kind="stable")[:MOST]].index)
    rest = known.copy()
    for value in (value for value in order.index if value in shown):
        inside = known & (values == value).fillna(False).to_numpy(dtype=bool)
        rest &= ~inside
        yield text(value), inside
    yield OTHER, rest


def text(value: Any) -> str:
    """Return a value as a spec has it."""
    import numpy as np

    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value)
