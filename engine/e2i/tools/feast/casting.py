"""Cast the columns of a frame exactly. In: a frame, the type of each column. Out: an Arrow table, or what is not exact.

A number is cast when it keeps its value: 3.0 to an integer, 3 to a float, not 3.5 to an integer. Nothing else is cast.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from e2i.errors import StepError
from e2i.spec.suggest import hint
from e2i.tools.feast import FeatureType
from e2i.tools.feast.repository import ARROW


def exact(frame: pd.DataFrame, types: Mapping[str, FeatureType], required: tuple[str, ...]) -> pa.Table:
    """Return the columns of ``types``, in that order. Other columns of the frame are left out.

    Times are in microseconds; without a zone they are UTC. Raises StepError naming the column and the row of the first
    value that has no exact form, and of a null in a ``required`` column.
    """
    names = [str(name) for name in frame.columns]
    for name in types:
        if name not in names:
            raise StepError(f"the frame has no column {name!r}", code="missing-column", hint=hint(name, names, most=20))
    columns = {name: _column(frame, name, kind) for name, kind in types.items()}
    for name in required:
        if columns[name].null_count:
            row = int(np.flatnonzero(columns[name].is_null().to_numpy(zero_copy_only=False))[0])
            raise StepError(
                f"column {name!r} has no value in row {row}", code="null-key", hint="leave rows without it out"
            )
    return pa.table(columns)


def key_type(frame: pd.DataFrame, column: str) -> FeatureType:
    """Return the type of a key, by its values: int64 for whole numbers, string for text. Raises StepError."""
    if column not in frame.columns:
        raise StepError(
            f"the frame has no column {column!r}", code="missing-column", hint=hint(column, list(map(str, frame)))
        )
    values = frame[column].dropna()
    kind = pd.api.types.infer_dtype(values.astype(object) if values.dtype == "category" else values, skipna=True)
    if kind in ("string", "empty"):
        return "string"
    if kind == "integer" or (kind in ("floating", "mixed-integer-float") and bool((values % 1 == 0).all())):
        return "int64"
    raise StepError(
        f"column {column!r} has {kind} values, which cannot be keys",
        code="join-key-type",
        hint="make the keys text or whole numbers",
    )


def _column(frame: pd.DataFrame, name: str, kind: FeatureType) -> pa.ChunkedArray:
    values = frame[name]
    if values.dtype == "category":
        values = values.astype(values.cat.categories.dtype)
    try:
        array = pa.Array.from_pandas(values)
    except (pa.ArrowException, TypeError) as error:
        array = None
        if pd.api.types.infer_dtype(values, skipna=True) not in ("mixed-integer-float", "mixed-integer", "decimal"):
            raise _inexact(name, _first_odd(values), kind, str(error)) from error
    if array is None or pa.types.is_decimal(array.type):
        array = _of_objects(values, name, kind)
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    cast = _cast(array, name, kind)
    return pa.chunked_array([cast], type=cast.type)


def _cast(array: Any, name: str, kind: FeatureType) -> Any:
    wanted, given = ARROW[kind], array.type
    if pa.types.is_null(given) or given == wanted:
        return array.cast(wanted)
    numeric = pa.types.is_integer(given) or pa.types.is_floating(given) or pa.types.is_boolean(given)
    if kind in ("bool", "int32", "int64", "float32", "float64") and numeric:
        return _number(array, name, kind)
    if kind == "timestamp" and pa.types.is_temporal(given) and not pa.types.is_time(given):
        return array.cast(pa.timestamp("us", getattr(given, "tz", None)), safe=False).cast(wanted)
    if kind == "string" and (pa.types.is_string(given) or pa.types.is_large_string(given)):
        return array.cast(wanted)
    raise _inexact(name, (_first(array.is_valid()), array), kind, f"the column is {given}")


def _number(array: Any, name: str, kind: FeatureType) -> Any:
    """Return numbers in another type. Compares what comes back, so that no value is changed."""
    wanted = ARROW[kind]
    if pa.types.is_floating(array.type):
        array = pc.if_else(pc.is_nan(array), None, array)
    if pa.types.is_boolean(array.type):
        array = array.cast(pa.int64())
    found = array.cast(wanted if kind != "bool" else pa.int8(), safe=False)
    back = found.cast(array.type, safe=False)
    # The bounds of an integer type are no floats: 2**63 as a float would come back equal from a saturated cast.
    same = pc.equal(back, array)
    if pa.types.is_integer(found.type) and pa.types.is_floating(array.type):
        limit = float(2 ** (found.type.bit_width - 1))
        same = pc.and_(same, pc.and_(pc.greater_equal(array, -limit), pc.less(array, limit)))
    if array.type == pa.uint64():  # a cast that wraps around comes back equal
        same = pc.and_(same, pc.less(array, pa.scalar(2**63, pa.uint64())))
    if pa.types.is_floating(found.type) and pa.types.is_integer(array.type):
        same = pc.and_(same, pc.less(pc.abs(found.cast(pa.float64())), float(2**63)))
    if kind == "bool":
        same = pc.and_(same, pc.is_in(found, pa.array([0, 1], pa.int8())))
    wrong = pc.invert(pc.fill_null(same, True))
    if pc.any(wrong).as_py():
        raise _inexact(name, (_first(wrong), array), kind, None)
    return found.cast(wanted)


def _of_objects(values: pd.Series[Any], name: str, kind: FeatureType) -> Any:
    """Return numbers of several types, such as Decimal, as integers when all are, else as floats."""
    found: list[int | float | None] = []
    for row, value in enumerate(values):
        if value is None or value is pd.NA or value != value:
            found.append(None)
        elif isinstance(value, Decimal | int | float | np.integer | np.floating):
            whole = value == value // 1
            number = int(value) if whole else float(value)
            if number != value or (whole and abs(int(value)) >= 2**63):
                raise _inexact(name, (row, pa.array([str(item) for item in values])), kind, None)
            found.append(number)
        else:
            raise _inexact(name, (row, pa.array([str(item) for item in values])), kind, None)
    if all(isinstance(item, int) for item in found if item is not None):
        return pa.array(found, pa.int64())
    return pa.array([None if item is None else float(item) for item in found], pa.float64())


def _first(mask: Any) -> int:
    return int(np.flatnonzero(pc.fill_null(mask, False).to_numpy(zero_copy_only=False))[0])


def _first_odd(values: pd.Series[Any]) -> tuple[int, Any]:
    """Return the first row whose value has another type than the value before it, and all values as text."""
    types = [type(value) for value in values]
    row = next((index for index, kind in enumerate(types) if kind is not types[0]), 0)
    return row, pa.array([str(value) for value in values])


def _inexact(name: str, found: tuple[int, Any], kind: FeatureType, reason: str | None) -> StepError:
    row, values = found
    because = f": {reason}" if reason else ""
    return StepError(
        f"column {name!r}, row {row}: {values[row].as_py()!r:.80} has no exact form as {kind}{because}",
        code="inexact-value",
        hint=f"change the values, or register the feature with another dtype than {kind}",
    )
