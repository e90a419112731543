"""Apply fitted preparation. In: columns of a table, and fitted steps. Out: the columns that the model was trained on.

This module is self-contained, and is copied unchanged beside ``scoring`` into every Bento and MLflow model. It needs
NumPy and pandas only. ``preparation`` fits the steps.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any, Literal, NotRequired, TypedDict

import numpy as np
import pandas as pd

Matrix = np.ndarray[Any, np.dtype[Any]]
Columns = dict[str, Matrix]
"""Column → its values: float64 with NaN, objects (texts) with None, or datetime64[ns] with NaT."""

WORD = re.compile(r"(?u)\b\w\w+\b")
"""A word of a text, as scikit-learn's vectorizers take it."""
PERIODS = {"quarter": 4, "month": 12, "week": 53, "day": 31, "weekday": 7, "day_of_year": 366, "hour": 24, "minute": 60}
"""Part of a time → how many there are before it begins again."""
FROM_ONE = ("quarter", "month", "week", "day", "day_of_year")
YEO_JOHNSON = 2.0


class ColumnState(TypedDict):
    """What was fitted for one column. Which entries there are depends on the operation."""

    name: str
    fill: NotRequired[float | str]
    indicator: NotRequired[bool]
    center: NotRequired[float]
    scale: NotRequired[float]
    exponent: NotRequired[float]
    quantiles: NotRequired[list[float]]
    low: NotRequired[float | None]
    high: NotRequired[float | None]
    edges: NotRequired[list[float]]
    values: NotRequired[list[str | float | None]]
    """The values of training; null, which is the last, stands for missing ones."""
    places: NotRequired[list[int]]
    """The new column of each value."""
    other: NotRequired[int | None]
    """The new column of rare and unseen values; null: there is none."""
    refuse: NotRequired[bool]
    names: NotRequired[list[str]]
    """The names of the new columns."""
    encodings: NotRequired[list[list[float]]]
    """For each new column, the number of each value."""
    means: NotRequired[list[float]]
    """For each new column, the number of an unseen value."""
    degree: NotRequired[int]
    words: NotRequired[list[str]]
    weights: NotRequired[list[float]]
    components: NotRequired[list[list[float]]]


class Step(TypedDict):
    """One fitted operation."""

    op: str
    columns: list[ColumnState]
    names: NotRequired[list[str]]
    """The columns that are multiplied or removed; the parts of a time."""
    method: NotRequired[Literal["standard", "robust", "quantile", "power"]]
    cyclic: NotRequired[bool]


class PreparationError(ValueError):
    """Rows that cannot be prepared as the training rows were."""


def apply(columns: Columns, steps: Sequence[Step]) -> Columns:
    """Return the columns after all steps. The given ones are not changed. Raises PreparationError."""
    found = dict(columns)
    for step in steps:
        found = _APPLY[step["op"]](found, step)
    return found


def is_missing(values: Matrix) -> Matrix:
    """Return True for each missing value."""
    found: Matrix = np.isnan(values) if values.dtype.kind == "f" else np.asarray(pd.isna(values))
    return found


def positions(values: Matrix, known: Sequence[str | float | None]) -> Matrix:
    """Return the position of each value among the known ones, -1 where it is none of them.

    A missing value has the position of null, which may only be the last.
    """
    has_null = bool(known) and known[-1] is None
    present = list(known[:-1] if has_null else known)
    kind: Any = np.float64 if values.dtype.kind == "f" else object
    found: Matrix = pd.Index(present, dtype=kind).get_indexer(pd.Index(values, dtype=kind))
    return np.where(is_missing(values), len(present) if has_null else -1, found)


def basis(values: Matrix, knots: Sequence[float], degree: int) -> Matrix:
    """Return the B-splines (n, k) of values, which are constant beyond the outer knots (recursion of Cox and de Boor).

    Rows of missing values are missing.
    """
    edges = np.asarray(knots, dtype=np.float64)
    clipped = np.clip(values, edges[degree], edges[-degree - 1])[:, None]
    found = ((clipped >= edges[:-1]) & (clipped < edges[1:])).astype(np.float64)
    for order in range(1, degree + 1):
        rising, falling = edges[order:-1] - edges[: -order - 1], edges[order + 1 :] - edges[1:-order]
        one = np.divide(clipped - edges[: -order - 1], rising, out=np.zeros_like(found[:, :-1]), where=rising > 0)
        two = np.divide(edges[order + 1 :] - clipped, falling, out=np.zeros_like(found[:, 1:]), where=falling > 0)
        found = one * found[:, :-1] + two * found[:, 1:]
    found[np.isnan(values)] = np.nan
    return found


def _each(change: Callable[[Matrix, ColumnState], Matrix]) -> Callable[[Columns, Step], Columns]:
    """Return the application of an operation that replaces each of its columns by one."""

    def applied(columns: Columns, step: Step) -> Columns:
        return {**columns, **{state["name"]: change(columns[state["name"]], state) for state in step["columns"]}}

    return applied


def _spread(change: Callable[[Matrix, ColumnState], Matrix]) -> Callable[[Columns, Step], Columns]:
    """Return the application of an operation that replaces each of its columns by the columns of a matrix."""

    def applied(columns: Columns, step: Step) -> Columns:
        found = dict(columns)
        for state in step["columns"]:
            matrix = change(found.pop(state["name"]), state)
            found |= {name: matrix[:, place] for place, name in enumerate(state["names"])}
        return found

    return applied


def _impute(columns: Columns, step: Step) -> Columns:
    found = dict(columns)
    for state in step["columns"]:
        values = columns[state["name"]]
        missing = is_missing(values)
        if missing.any():
            filled = values.copy()
            filled[missing] = state["fill"]
            found[state["name"]] = filled
        if state["indicator"]:
            found[f"{state['name']}_missing"] = missing.astype(np.float64)
    return found


def _scale(columns: Columns, step: Step) -> Columns:
    change = {"quantile": _to_quantiles, "power": _to_normal}.get(step["method"], _standardise)
    return _each(change)(columns, step)


def _standardise(values: Matrix, state: ColumnState) -> Matrix:
    found: Matrix = (values - state["center"]) / state["scale"]
    return found


def _to_quantiles(values: Matrix, state: ColumnState) -> Matrix:
    """Return the share of training values below each value; of equal quantiles, the middle of their shares."""
    quantiles = np.asarray(state["quantiles"])
    shares = np.linspace(0, 1, len(quantiles))
    rising = np.interp(values, quantiles, shares)
    falling = np.interp(-values, -quantiles[::-1], -shares[::-1])
    found = 0.5 * (rising - falling)
    found = np.where(values == quantiles[-1], 1.0, np.where(values == quantiles[0], 0.0, found))
    return np.where(np.isnan(values), np.nan, found)


def _to_normal(values: Matrix, state: ColumnState) -> Matrix:
    """Return values near a normal distribution (Yeo and Johnson 2000), standardised."""
    exponent = state["exponent"]
    with np.errstate(over="ignore", invalid="ignore"):
        logs = np.log1p(np.abs(values))
        above = logs if exponent == 0 else np.expm1(exponent * logs) / exponent
        rest = YEO_JOHNSON - exponent
        below = -logs if rest == 0 else -np.expm1(rest * logs) / rest
    return _standardise(np.where(values >= 0, above, below), state)


def _clip(values: Matrix, state: ColumnState) -> Matrix:
    return np.clip(values, state["low"], state["high"])


def _bin(values: Matrix, state: ColumnState) -> Matrix:
    found = np.searchsorted(np.asarray(state["edges"]), values, side="right").astype(np.float64)
    return np.where(np.isnan(values), np.nan, found)


def _one_hot(values: Matrix, state: ColumnState) -> Matrix:
    found = positions(values, state["values"])
    if state["refuse"] and (found < 0).any():
        strange = sorted({str(value)[:40] for value in values[found < 0][:1000]})[:3]
        raise PreparationError(f"{state['name']!r} has values that training did not see: {', '.join(strange)}")
    other = -1 if state["other"] is None else state["other"]
    places = np.append(np.asarray(state["places"], dtype=np.intp), other)[found]
    matrix: Matrix = (places[:, None] == np.arange(len(state["names"]))).astype(np.float64)
    return matrix


def _ordinal(values: Matrix, state: ColumnState) -> Matrix:
    found = positions(values, state["values"])
    return np.where(found < 0, np.nan, found).astype(np.float64)


def _encoded(values: Matrix, state: ColumnState) -> Matrix:
    found = positions(values, state["values"])
    table = [np.append(known, mean) for known, mean in zip(state["encodings"], state["means"], strict=True)]
    return np.column_stack([numbers[found] for numbers in table])


def _splines(values: Matrix, state: ColumnState) -> Matrix:
    return basis(values, state["edges"], state["degree"])


def _hash(values: Matrix, state: ColumnState) -> Matrix:
    """Return one column for each remainder of the values' CRC-32, which is that of zip files."""
    codes, distinct = pd.factorize(values)
    hashed = [zlib.crc32(str(value).encode()) % len(state["names"]) for value in distinct]
    places = np.append(np.asarray(hashed, dtype=np.intp), -1)[codes]
    found: Matrix = (places[:, None] == np.arange(len(state["names"]))).astype(np.float64)
    return found


def _texts(values: Matrix, state: ColumnState) -> Matrix:
    """Return the weights of words (tf-idf, each row of length 1), or their products with the components of an SVD."""
    place = {word: number for number, word in enumerate(state["words"])}
    components = np.asarray(state["components"]) if "components" in state else np.eye(len(place))
    weights = np.asarray(state["weights"])
    codes, distinct = pd.factorize(values)
    found = np.zeros((len(distinct) + 1, len(components)))  # the last is that of missing texts
    for row, text in enumerate(distinct):
        used, counts = np.unique(
            [place[word] for word in WORD.findall(text.lower()) if word in place], return_counts=True
        )
        if len(used):
            words = used.astype(np.intp)
            own = counts * weights[words]
            found[row] = components[:, words] @ (own / np.sqrt((own**2).sum()))
    matrix: Matrix = found[codes]
    return matrix


def _dates(columns: Columns, step: Step) -> Columns:
    found = dict(columns)
    for state in step["columns"]:
        times = pd.DatetimeIndex(found.pop(state["name"]))
        for part in step.get("names", ()):
            values = _part(times, part)
            name = f"{state['name']}_{part}"
            if step.get("cyclic") and part in PERIODS:
                angle = 2 * np.pi * (values - (part in FROM_ONE)) / PERIODS[part]
                found |= {f"{name}_sin": np.sin(angle), f"{name}_cos": np.cos(angle)}
            else:
                found[name] = values
    return found


def _part(times: pd.DatetimeIndex, part: str) -> Matrix:
    """Return a part of times as numbers. Days are counted from 1970, weekdays from 0 for Monday."""
    if part == "days":
        found = times.to_numpy().astype("datetime64[ns]").astype(np.int64) / 86_400e9
    elif part == "week":
        found = times.isocalendar()["week"].to_numpy(dtype=np.float64, na_value=np.nan)
    else:
        found = np.asarray(getattr(times, part), dtype=np.float64)
    return np.where(np.asarray(times.isna()), np.nan, found)


def _log(values: Matrix, state: ColumnState) -> Matrix:
    """Return the logarithm of one plus each value; missing where there is none."""
    return np.log1p(np.where(values > -1, values, np.nan))


def _interact(columns: Columns, step: Step) -> Columns:
    pairs = combinations(step.get("names", ()), 2)
    return {**columns, **{f"{one}_x_{other}": columns[one] * columns[other] for one, other in pairs}}


def _without(columns: Columns, step: Step) -> Columns:
    removed = set(step.get("names", ()))
    return {name: values for name, values in columns.items() if name not in removed}


_APPLY: dict[str, Callable[[Columns, Step], Columns]] = {
    "impute": _impute,
    "scale": _scale,
    "clip": _each(_clip),
    "bin": _each(_bin),
    "spline": _spread(_splines),
    "one_hot": _spread(_one_hot),
    "ordinal": _each(_ordinal),
    "target_encode": _spread(_encoded),
    "count_encode": _spread(_encoded),
    "hash": _spread(_hash),
    "tfidf": _spread(_texts),
    "dates": _dates,
    "log": _each(_log),
    "interact": _interact,
    "drop_constant": _without,
    "select": _without,
}
