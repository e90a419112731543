"""Convert tables for libraries that work on pandas. In: Arrow tables, or frames. Out: frames, or Arrow tables.

A frame that is returned unchanged becomes the table that it was made from. Reading avoids copies where pandas allows.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from e2i.errors import StepError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


def to_frame(table: pa.Table) -> pd.DataFrame:
    """Return the rows as a frame. Raises StepError naming a column that pandas cannot hold.

    Numbers, booleans and times without nulls are NumPy arrays: the mapped file itself, which cannot be written to.
    Integers and booleans with nulls have pandas' nullable types. Of floats, null and NaN are both NaN, and
    differ again when the frame is stored. Texts and dates are Python objects, dictionaries are categories. Decimals,
    lists, structs and everything else keep their Arrow type.
    """
    import pandas as pd

    columns = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        try:
            columns[name] = _series(column)
        except (ValueError, TypeError, OverflowError, KeyError) as error:  # such as an unknown time zone
            raise StepError(
                f"column {name!r} of type {column.type} cannot be passed to pandas: {str(error)[:200]}",
                code="bad-table",
            ) from error
    return pd.DataFrame(columns, index=pd.RangeIndex(table.num_rows), copy=False)


def to_arrow(frame: pd.DataFrame) -> pa.Table:
    """Return the frame as a table. A named index becomes columns.

    NaN in a NumPy column of floats is null, as everywhere in pandas, unless it comes from a NaN of a table.

    Raises StepError naming a column that has no faithful Arrow type, or values of several types.
    """
    import pyarrow as pa

    frame = _with_index(frame, [_name(name) for name in frame.columns])
    names = [_name(name) for name in frame.columns]
    arrays = [_array(frame.iloc[:, index], name) for index, name in enumerate(names)]
    return pa.Table.from_arrays(arrays, names)


class FrameCache:
    """Cache of the last few frames that this process read."""

    def __init__(self, limit_bytes: int = 512 << 20) -> None:
        self._limit = limit_bytes
        self._frames: OrderedDict[str, tuple[pd.DataFrame, int]] = OrderedDict()

    def get(self, digest: str) -> pd.DataFrame | None:
        if digest not in self._frames:
            return None
        self._frames.move_to_end(digest)
        return self._frames[digest][0]

    def put(self, digest: str, frame: pd.DataFrame) -> None:
        self._frames[digest] = (frame, int(frame.memory_usage(index=False).sum()))
        self._frames.move_to_end(digest)
        while len(self._frames) > 1 and sum(size for _, size in self._frames.values()) > self._limit:
            self._frames.popitem(last=False)


def _series(column: Any) -> Any:
    """Return a column as a series from which ``_array`` makes the same column again."""
    import pyarrow as pa

    if pa.types.is_floating(column.type):
        return _floats(column)
    dtype = _dtype(column)
    return column.to_pandas() if dtype is None else column.to_pandas(types_mapper=lambda _: dtype)


def _dtype(column: Any) -> Any:
    """Return the extension type that holds the column exactly; None when pandas' own type does."""
    import pandas as pd
    import pyarrow as pa

    kind = column.type
    is_filled = column.null_count < len(column)
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        if not column.null_count:
            return None
        return pd.BooleanDtype() if pa.types.is_boolean(kind) else _nullable(str(kind))
    if pa.types.is_string(kind):
        return None if is_filled else pd.StringDtype("python")
    if pa.types.is_dictionary(kind) and (pa.types.is_string(kind.value_type) or pa.types.is_integer(kind.value_type)):
        has_categories = column.num_chunks and len(column.chunk(0).dictionary)
        return None if has_categories else pd.ArrowDtype(kind)
    is_plain = (
        pa.types.is_timestamp(kind)
        or pa.types.is_duration(kind)
        or pa.types.is_null(kind)
        or (is_filled and (kind in (pa.date32(), pa.time64("us"), pa.binary())))
    )
    return None if is_plain else pd.ArrowDtype(kind)


MARKED = {2: 0x7C00 | 1 << 9 | 0x155, 4: 0x7F800000 | 1 << 22 | 0x155 << 13, 8: 0x7FF << 52 | 1 << 51 | 0x155 << 42}
"""The bits of a NaN that was NaN in its table, by size in bytes. pandas has no other way to keep it apart from null.

Arithmetic and conversions of floats keep these bits, so what is computed from NaN is NaN again, and not null.
"""


def _floats(column: Any) -> Any:
    """Return floats as a series: null is NaN, and NaN has the bits of ``MARKED``."""
    import pandas as pd
    import pyarrow.compute as pc

    if not pc.any(pc.is_nan(column)).as_py():
        return column.to_pandas()
    values = column.to_numpy().copy()
    bits = values.view(f"u{values.itemsize}")
    bits[pc.is_nan(column).fill_null(False).to_numpy()] = MARKED[values.itemsize]
    return pd.Series(values)


def _marked(column: Any) -> Any:
    """Return where a NumPy column of floats has a NaN of ``_floats``, with either sign; None when it has none."""
    values = column.to_numpy()
    if values.dtype.kind != "f" or values.dtype.itemsize not in MARKED:
        return None
    size = values.dtype.itemsize
    without_sign = values.view(f"u{size}") & ((1 << (8 * size - 1)) - 1)
    found = without_sign == MARKED[size]
    return found if found.any() else None


def _nullable(name: str) -> Any:
    """Return pandas' nullable type for a NumPy type."""
    from pandas.api.types import pandas_dtype

    return pandas_dtype(name.capitalize().replace("Uint", "UInt"))


def _with_index(frame: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Return the frame with the levels of a named index as its first columns. An index without a name is dropped."""
    named = [name for name in frame.index.names if name is not None]
    if not named:
        return frame
    if len(named) < frame.index.nlevels:
        raise StepError(
            f"a level of the frame's index has no name, others have: {', '.join(map(repr, named))}",
            code="bad-table",
            hint="name each level, or drop the index by frame.reset_index(drop=True)",
        )
    clash = [name for name in named if _name(name) in columns]
    if clash:
        raise StepError(
            f"the frame has an index and a column of one name: {clash[0]!r}",
            code="duplicate-column",
            hint="rename one of them, or drop the index by frame.reset_index(drop=True)",
        )
    return frame.reset_index()


def _name(name: Any) -> str:
    """Return a column's name as text. Raises StepError for the tuples of columns on several levels."""
    if isinstance(name, tuple) or name is None:
        what = "no name" if name is None else f"a name on several levels, {name!r}"
        raise StepError(
            f"a column of the frame has {what}",
            code="bad-table",
            hint="name each column by one text, such as frame.columns = ['_'.join(c) for c in frame.columns]",
        )
    return str(name)


def _array(column: Any, name: str) -> Any:
    """Return one column as Arrow. Raises StepError where that would change values."""
    import pandas as pd
    import pyarrow as pa

    kind = column.dtype
    inner = kind.categories.dtype if isinstance(kind, pd.CategoricalDtype) else kind
    try:
        array = None if isinstance(inner, (pd.PeriodDtype, pd.IntervalDtype)) else _converted(column)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        reason = str(error).partition("\n")[0][:200]
        raise StepError(
            f"a table cannot be stored: column {name!r}: {reason}",
            code="bad-table",
            hint="use values of one type in every column",
        ) from error
    if array is None or isinstance(array.type, pa.BaseExtensionType):
        fix = "timestamps by .dt.to_timestamp()" if isinstance(inner, pd.PeriodDtype) else "numbers, texts or times"
        raise StepError(
            f"a table cannot be stored: column {name!r} has the type {inner}",
            code="bad-table",
            hint=f"convert it to {fix}",
        )
    return array


def _converted(column: Any) -> Any:
    """Return a column as pyarrow converts it, with NaN where ``_floats`` has put it."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    array = pa.Array.from_pandas(column)
    if not isinstance(column.dtype, np.dtype) or (marked := _marked(column)) is None:
        return array
    return pc.if_else(pa.array(marked), pa.scalar(float("nan"), pa.float64()).cast(array.type), array)
