"""Fit the operations on numbers and times, and those that remove columns. In: columns. Out: fitted steps."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import TYPE_CHECKING, Any

from e2i.estimators.recipes import (
    Bin,
    Clip,
    Dates,
    Impute,
    Operation,
    Scale,
    Select,
    Spline,
)

if TYPE_CHECKING:
    from e2i.estimators.preparation import Target
    from e2i.estimators.preparing import Columns, ColumnState, Step
    from e2i.estimators.scoring import Matrix

Fitting = Callable[[Any, "Columns", list[str], "Target"], "tuple[Step, Columns]"]
"""Takes an operation, all columns, those that it is for, and the target.

Returns the fitted step, and the columns that are other in training than ``preparing`` makes them.
"""
MOST_PAIRS = 2_000


def _impute(operation: Impute, columns: Columns, names: list[str], target: Target) -> tuple[Step, Columns]:
    states: list[ColumnState] = [
        {"name": name, "fill": _fill(operation, name, columns[name]), "indicator": operation.indicator}
        for name in names
    ]
    return {"op": "impute", "columns": states}, {}


def _fill(operation: Impute, name: str, values: Matrix) -> float | str:
    import numpy as np
    import pandas as pd

    from e2i.estimators.preparing import is_missing

    is_text = values.dtype.kind != "f"
    if operation.value is not None:
        if isinstance(operation.value, str) != is_text:
            raise ValueError(f"{name!r} has {'texts' if is_text else 'numbers'}, and `value` is {operation.value!r}")
        return operation.value
    present = values[~is_missing(values)]
    if not len(present):
        raise ValueError(f"{name!r} has no value to impute from; use strategy constant, or leave the column out")
    if operation.strategy == "mode":
        counts = pd.Series(present).value_counts()
        return min(counts.index[counts == counts.max()])  # type: ignore[no-any-return]  # a text or a number
    if is_text:
        raise ValueError(f"{name!r} has texts, which have no {operation.strategy}; use mode or constant")
    return float(np.mean(present) if operation.strategy == "mean" else np.median(present))


def _scale(operation: Scale, columns: Columns, names: list[str], target: Target) -> tuple[Step, Columns]:
    states = [_scaled(operation.method, name, _present(name, columns[name])) for name in names]
    return {"op": "scale", "columns": states, "method": operation.method}, {}


def _scaled(method: str, name: str, present: Matrix) -> ColumnState:
    from sklearn import preprocessing

    column = present[:, None]
    if method == "standard":
        standard = preprocessing.StandardScaler().fit(column)
        return {"name": name, "center": float(standard.mean_[0]), "scale": float(standard.scale_[0])}
    if method == "robust":
        robust = preprocessing.RobustScaler().fit(column)
        return {"name": name, "center": float(robust.center_[0]), "scale": float(robust.scale_[0])}
    if method == "quantile":
        number = min(1_000, len(column))
        quantiles = preprocessing.QuantileTransformer(n_quantiles=number, subsample=None).fit(column)
        return {"name": name, "quantiles": quantiles.quantiles_[:, 0].tolist()}
    power = preprocessing.PowerTransformer().fit(column)
    return {
        "name": name,
        "exponent": float(power.lambdas_[0]),
        "center": float(power._scaler.mean_[0]),
        "scale": float(power._scaler.scale_[0]),
    }


def _clip(operation: Clip, columns: Columns, names: list[str], target: Target) -> tuple[Step, Columns]:
    import numpy as np

    states: list[ColumnState] = []
    for name in names:
        low, high = operation.low, operation.high
        if operation.quantiles is not None:
            low, high = (float(value) for value in np.quantile(_present(name, columns[name]), operation.quantiles))
        states.append({"name": name, "low": low, "high": high})
    return {"op": "clip", "columns": states}, {}


def _bin(operation: Bin, columns: Columns, names: list[str], target: Target) -> tuple[Step, Columns]:
    import warnings

    from sklearn.preprocessing import KBinsDiscretizer

    states: list[ColumnState] = []
    for name in names:
        bins = KBinsDiscretizer(operation.bins, encode="ordinal", strategy=operation.method, subsample=None)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # equal edges are one: the column has few different values
            bins.fit(_present(name, columns[name])[:, None])
        states.append({"name": name, "edges": [float(edge) for edge in bins.bin_edges_[0][1:-1]]})
    return {"op": "bin", "columns": states}, {}


def _spline(operation: Spline, columns: Columns, names: list[str], target: Target) -> tuple[Step, Columns]:
    from sklearn.preprocessing import SplineTransformer

    states: list[ColumnState] = []
    for name in names:
        present = _present(name, columns[name])
        if present.min() == present.max():
            raise ValueError(f"{name!r} has one value, {present[0]:g}, and no splines")
        splines = SplineTransformer(operation.knots, degree=operation.degree, knots=operation.method)
        edges = splines.fit(present[:, None]).bsplines_[0].t.tolist()
        made = [f"{name}_spline_{number}" for number in range(len(edges) - operation.degree - 1)]
        states.append({"name": name, "edges": edges, "degree": operation.degree, "names": made})
    return {"op": "spline", "columns": states}, {}


def _log(operation: Operation, columns: Columns, names: list[str], target: Target) -> tuple[Step, Columns]:
    for name in names:
        if len(columns[name]) and (columns[name] <= -1).any():
            raise ValueError(f"{name!r} has values of -1 and below, which have no logarithm; use scale, method: power")
    return {"op": "log", "columns": [{"name": name} for name in names]}, {}


def _dates(operation: Dates, columns: Columns, names: list[str], target: Target) -> tuple[Step, Columns]:
    states: list[ColumnState] = [{"name": name} for name in names]
    parts = list(dict.fromkeys(operation.parts))
    return {"op": "dates", "columns": states, "names": [*parts], "cyclic": operation.cyclic}, {}


def _interact(operation: Operation, columns: Columns, names: list[str], target: Target) -> tuple[Step, Columns]:
    pairs = len(list(combinations(names, 2)))
    if len(names) < 2:
        raise ValueError("a product needs two columns")
    if pairs > MOST_PAIRS:
        raise ValueError(f"{len(names)} columns have {pairs:,} products, more than {MOST_PAIRS:,}")
    return {"op": "interact", "columns": [], "names": names}, {}


def _drop_constant(operation: Operation, columns: Columns, names: list[str], target: Target) -> tuple[Step, Columns]:
    import pandas as pd

    constant = [name for name in names if pd.Series(columns[name]).nunique(dropna=False) < 2]
    return {"op": "drop_constant", "columns": [], "names": constant}, {}


def _select(operation: Select, columns: Columns, names: list[str], target: Target) -> tuple[Step, Columns]:
    import warnings

    import numpy as np
    from sklearn import feature_selection

    matrix = np.column_stack([columns[name] for name in names]) if names else np.empty((len(target.labels), 0))
    missing = [name for name in names if np.isnan(columns[name]).any()]
    if missing:
        raise ValueError(f"{missing[0]!r} has missing values, so its score is not defined; impute them first")
    if len(names) <= operation.k:
        return {"op": "select", "columns": [], "names": []}, {}
    is_regression = target.classes is None
    if operation.score == "f":
        test = feature_selection.f_regression if is_regression else feature_selection.f_classif
        with np.errstate(divide="ignore", invalid="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of constant columns, which have no score
            scores = test(matrix, target.labels)[0]
    else:
        about = {"random_state": target.seed}
        own = feature_selection.mutual_info_regression if is_regression else feature_selection.mutual_info_classif
        scores = own(matrix, target.labels, **about)
    order = np.argsort(-np.nan_to_num(scores, nan=-1.0), kind="stable")  # of equal scores, the first columns
    kept = {names[place] for place in order[: operation.k]}
    return {"op": "select", "columns": [], "names": [name for name in names if name not in kept]}, {}


def _present(name: str, values: Matrix) -> Matrix:
    """Return the values that are not missing. Raises ValueError when there is none."""
    import numpy as np

    found: Matrix = values[~np.isnan(values)]
    if not len(found):
        raise ValueError(f"{name!r} has no value in the training rows; leave the column out")
    return found


FITTING: dict[str, Fitting] = {
    "impute": _impute,
    "scale": _scale,
    "clip": _clip,
    "bin": _bin,
    "spline": _spline,
    "log": _log,
    "dates": _dates,
    "interact": _interact,
    "drop_constant": _drop_constant,
    "select": _select,
}
