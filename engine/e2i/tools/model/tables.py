"""Tables that judging models gives: their columns, for runs and plans. In: rows. Out: a table of those columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from e2i.catalog.columns import Columns

if TYPE_CHECKING:
    import pandas as pd

DIFFERENCES: Columns = {
    **dict.fromkeys(("model", "reference", "metric"), "string"),
    **dict.fromkeys(("value", "reference_value", "difference", "low", "high", "better_share"), "double"),
}
"""Columns of ``model.compare``: a row for each model and metric."""
CURVE: Columns = {
    "share": "double",
    "rows": "int64",
    "fits": "int64",
    "metric": "string",
    **dict.fromkeys(("train", "train_sd", "held_out", "held_out_sd"), "double"),
}
"""Columns of a learning curve: a row for each share of the training rows and metric."""
REGIONS: Columns = {
    "slice": "string",
    "rows": "int64",
    "share": "double",
    "judged": "int64",
    "metric": "string",
    **dict.fromkeys(("estimate", "low", "high", "rest"), "double"),
    "worse": "bool",
}
"""Columns of ``model.errors``: a row for each region of rows."""
SLICES: Columns = {
    "by": "string",
    "value": "string",
    "rows": "int64",
    "metric": "string",
    **dict.fromkeys(("estimate", "low", "high"), "double"),
}
"""Columns of a table of slices, with a row for each slice and metric."""
NESTED = ("list", "large_list", "fixed_size_list", "struct", "map")
"""Beginnings of the types of columns that cannot be cut into slices."""
CLASSES: Columns = {
    "class": "string",
    **dict.fromkeys(("rows", "decided"), "int64"),
    "metric": "string",
    **dict.fromkeys(("estimate", "low", "high"), "double"),
}
"""Columns of the metrics of each of more than two classes."""
VALIDATION: Columns = {
    **dict.fromkeys(("value", "metric"), "string"),
    **dict.fromkeys(("train", "held_out", "low", "high", "worse_share"), "double"),
}
"""Columns of a validation curve: a row for each value and metric."""
DISPARITIES: Columns = {
    **dict.fromkeys(("by", "metric"), "string"),
    **dict.fromkeys(("estimate", "low", "high"), "double"),
    **dict.fromkeys(("lowest", "highest"), "string"),
}
"""Columns of ``model.fairness``: a row for each column and disparity."""
_TYPES = {"string": "string", "double": "float64", "int64": "int64", "bool": "bool"}


def frame(rows: Iterable[Sequence[Any]], columns: Columns) -> pd.DataFrame:
    """Return a table of those rows, one value for each column, with the columns' types, also when there is no row."""
    import pandas as pd

    found = pd.DataFrame(list(rows), columns=list(columns))
    return found.astype({name: _TYPES[str(kind)] for name, kind in columns.items()})
