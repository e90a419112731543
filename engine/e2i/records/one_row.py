"""Return the values of a table that has one row, to be shown instead of the table: counts, means, a verdict.

In: an output as plain data, a function that finds a stored file. Out: values by column, as plain data.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from e2i.catalog.artifacts import ARTIFACTS, Table
from e2i.documents import OutputValues
from e2i.errors import E2IError
from e2i.workers import tables

WIDEST = 10
"""Most columns of such a table."""
PLAIN = (bool, int, float, str, type(None))


def of(value: Any, path: Callable[[Table], Path]) -> OutputValues | None:
    """Returns the values; None for any other output, and for a table whose file is no longer there."""
    if not isinstance(value, dict) or value.get("type") != "table" or value.get("rows") != 1:
        return None
    table = ARTIFACTS["table"].model_validate(value)
    assert isinstance(table, Table)
    if len(table.columns) > WIDEST:
        return None
    try:
        (row,) = tables.read(path(table)).to_pylist()
    except (E2IError, OSError, ValueError):  # pyarrow's errors are ValueErrors
        return None
    return OutputValues({name: item if isinstance(item, PLAIN) else str(item) for name, item in row.items()})
