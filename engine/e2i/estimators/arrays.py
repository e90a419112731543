"""Read a program's tables and labels. In: frames, Arrow tables, arrays, lists. Out: a frame or a matrix; an array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from e2i.errors import StepError
from e2i.spec.suggest import few

if TYPE_CHECKING:
    import pandas as pd

    from e2i.estimators.scoring import Matrix


def features(table: Any, name: str) -> pd.DataFrame | Matrix:
    """Return a pandas frame, or an array of shape (rows, features); ``name`` is the argument, for errors.

    Frames of Polars and tables of Arrow become pandas frames. Raises StepError for anything else than rows of features.
    """
    import numpy as np
    import pandas as pd

    if hasattr(table, "collect") and hasattr(table, "lazy"):  # a LazyFrame of Polars
        table = table.collect()
    if hasattr(table, "to_pandas"):
        table = table.to_pandas()
    if hasattr(table, "toarray"):  # a sparse matrix
        table = table.toarray()
    if not isinstance(table, pd.DataFrame):
        table = np.asarray(table)
    if table.ndim != 2 or not table.shape[1]:
        raise StepError(
            f"`{name}` has the shape {table.shape}, not (rows, features)",
            code="bad-features",
            hint="pass a frame, or an array with one row for each example; one row is `row.reshape(1, -1)`",
        )
    if not len(table):
        raise StepError(f"`{name}` has no rows", code="no-rows")
    found: pd.DataFrame | Matrix = table
    return found


def names(table: pd.DataFrame | Matrix, fitted: Sequence[str] | None = None) -> list[str]:
    """Return the names of the features: the frame's, else those that the model was fitted with, else f0, f1, …"""
    if hasattr(table, "columns"):
        return [str(column) for column in table.columns]
    return list(fitted) if fitted is not None else [f"f{number}" for number in range(table.shape[1])]


def same_columns(table: pd.DataFrame | Matrix, name: str, wanted: Sequence[str] | None, other: str) -> None:
    """Raise StepError when ``table`` has other columns than ``wanted``, or has them in another order.

    ``other`` says whose columns are wanted. Arrays have no names, and are compared by their number of columns alone.
    """
    if wanted is None or not hasattr(table, "columns"):
        return
    given, expected = names(table), list(wanted)
    if given == expected:
        return
    absent = [column for column in expected if column not in given]
    excess = [column for column in given if column not in expected]
    found = []
    if absent:
        found.append(f"lacks {few(absent, 5)}")
    if excess:
        found.append(f"has {few(excess, 5)} besides")
    order = "has the features in another order" if len(given) == len(expected) else "repeats a feature"
    what = " and ".join(found) or order
    some = f"{', '.join(map(repr, expected[:5]))}{', …' if len(expected) > 5 else ''}"
    raise StepError(f"`{name}` {what}, compared with {other}", code="bad-features", hint=f"pass {name}[[{some}]]")


def labels(values: Any, name: str, rows: int) -> Matrix:
    """Return an array of shape (rows,). Raises StepError for missing values, or another number of rows."""
    import numpy as np
    import pandas as pd

    if hasattr(values, "to_pandas"):
        values = values.to_pandas()
    found = np.asarray(values.to_numpy() if hasattr(values, "to_numpy") else values)
    if found.ndim == 2 and found.shape[1] == 1:
        found = found[:, 0]
    if found.ndim != 1 or len(found) != rows:
        raise StepError(
            f"`{name}` has the shape {found.shape}, and its table has {rows:,} rows",
            code="bad-target",
            hint="pass one label for each row",
        )
    missing = int(pd.isna(found).sum())
    if missing:
        raise StepError(
            f"`{name}` is missing in {missing:,} of {rows:,} rows", code="bad-target", hint="remove those rows"
        )
    return found


def classes_of(found: Matrix, name: str) -> Matrix:
    """Return the distinct labels in order; of two, the last is the positive class. Raises StepError for one class."""
    import numpy as np

    try:
        classes: Matrix = np.unique(found)
    except TypeError as error:
        raise StepError(f"`{name}` mixes labels of several types", code="bad-target") from error
    if len(classes) < 2:
        raise StepError(f"`{name}` has one class, {classes[0]!r}", code="bad-target", hint="check the split")
    if len(classes) > max(20, len(found) / 2):
        raise StepError(
            f"`{name}` has {len(classes):,} distinct values, too many for classes",
            code="bad-target",
            hint="choose a metric of regression, such as rmse",
        )
    return classes


def positions(found: Matrix, classes: Matrix, name: str) -> Matrix:
    """Return the position of each label in ``classes``. Raises StepError for a label that is none of them."""
    import numpy as np

    known = np.isin(found, classes)
    if not known.all():
        raise StepError(
            f"`{name}` has labels that the training labels lack: {', '.join(map(str, np.unique(found[~known])[:5]))}",
            code="unknown-class",
            hint=f"labels in training: {', '.join(map(str, classes[:10]))}",
        )
    place: Matrix = np.searchsorted(classes, found)
    return place


def numbers(found: Matrix, name: str) -> Matrix:
    """Return a target of regression as float64. Raises StepError when it is not numeric or not finite."""
    import numpy as np

    try:
        values: Matrix = found.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise StepError(f"`{name}` must be numeric for regression: {error}", code="bad-target") from error
    if not np.isfinite(values).all():
        raise StepError(f"`{name}` contains infinite values", code="bad-target", hint="remove those rows")
    return values
