"""Compare two tables by a key. In: Arrow tables. Out: the rows and values that differ, all of them without a loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from e2i.errors import StepError
from e2i.spec.suggest import few
from e2i.tools.data.looking import Tolerance, TypeChange

if TYPE_CHECKING:
    import pyarrow as pa

CHANGED = "changed"
"""Name of the column with the names of the columns that differ."""


class Difference(Struct, frozen=True, eq=False):
    """What differs between two tables."""

    added: pa.Table
    removed: pa.Table
    changed: pa.Table
    matched: int
    """Rows whose key is in both tables."""
    changes: Mapping[str, int]
    types: Mapping[str, TypeChange]
    added_columns: tuple[str, ...]
    removed_columns: tuple[str, ...]

    @property
    def is_none(self) -> bool:
        """Whether the tables are equal."""
        rows = self.added.num_rows + self.removed.num_rows + self.changed.num_rows
        return not (rows or self.types or self.added_columns or self.removed_columns)


def of(
    before: pa.Table, after: pa.Table, keys: Sequence[str], exclude: Sequence[str], tolerance: Tolerance
) -> Difference:
    """Return the difference. Raises StepError for a key that is null, occurs twice or differs in its type."""
    import numpy as np
    import pyarrow as pa

    gone, kept, new = _matched(before, after, keys)
    compared = compared_columns(before.column_names, after.column_names, keys, exclude)
    masks: dict[str, Any] = {}
    types: dict[str, TypeChange] = {}
    for name in (*keys, *compared):
        old_type, new_type = before.schema.field(name).type, after.schema.field(name).type
        mask = None
        if name not in keys:
            mask = _differs(_taken(before[name], kept[0]), _taken(after[name], kept[1]), tolerance)
        if old_type != new_type:
            comparable = mask is not None or name in keys
            types[name] = TypeChange(before=str(old_type), after=str(new_type), compared=comparable)
        if mask is not None:
            masks[name] = mask
    matrix = np.column_stack(list(masks.values())) if masks else np.zeros((len(kept[0]), 0), dtype=bool)
    rows = matrix.any(axis=1)
    changes = {name: int(mask.sum()) for name, mask in masks.items()}
    at = tuple(positions[rows] for positions in kept)
    columns: dict[str, Any] = {name: _taken(after[name], at[1]) for name in keys}
    columns[CHANGED] = _names(matrix[rows], list(masks))
    for name in compared:
        columns[f"{name}_before"] = _taken(before[name], at[0])
        columns[f"{name}_after"] = _taken(after[name], at[1])
    return Difference(
        added=after.take(pa.array(new)),
        removed=before.take(pa.array(gone)),
        changed=pa.table(columns),
        matched=len(kept[0]),
        changes={name: count for name, count in changes.items() if count},
        types=types,
        added_columns=tuple(name for name in after.column_names if name not in before.column_names),
        removed_columns=tuple(name for name in before.column_names if name not in after.column_names),
    )


def compared_columns(
    before: Sequence[str], after: Sequence[str], keys: Sequence[str], exclude: Sequence[str]
) -> list[str]:
    """Return the columns of both tables that are compared, in the order of the later one."""
    left_out = {*keys, *exclude}
    earlier = set(before)
    return [name for name in after if name in earlier and name not in left_out]


def _matched(before: pa.Table, after: pa.Table, keys: Sequence[str]) -> tuple[Any, tuple[Any, Any], Any]:
    """Return the positions of rows that are only in ``before``, in both (one array a table), only in ``after``."""
    import numpy as np
    import pyarrow as pa

    old, new = _keyed(before, after, keys)
    for which, table in (("before", old), ("after", new)):
        _require_unique(table, keys, which)
    joined = old.append_column("#before", pa.array(np.arange(len(before)))).join(
        new.append_column("#after", pa.array(np.arange(len(after)))), list(old.column_names), join_type="full outer"
    )
    places = [joined[name].to_numpy() for name in ("#before", "#after")]
    is_old, is_new = (~np.isnan(place.astype(float)) for place in places)
    both = is_old & is_new
    order = np.argsort(places[1][both], kind="stable")
    kept = tuple(place[both].astype(np.int64)[order] for place in places)
    gone = np.sort(places[0][is_old & ~is_new].astype(np.int64))
    fresh = np.sort(places[1][is_new & ~is_old].astype(np.int64))
    return gone, (kept[0], kept[1]), fresh


def _keyed(before: pa.Table, after: pa.Table, keys: Sequence[str]) -> tuple[pa.Table, pa.Table]:
    """Return the key columns of both tables in common types, under names of their own. Raises StepError."""
    import pyarrow as pa

    columns: tuple[list[Any], list[Any]] = ([], [])
    for name in keys:
        old, new = _decoded(before[name]), _decoded(after[name])
        common = _common(old.type, new.type)
        if common is None:
            raise StepError(
                f"the key {name!r} is {old.type} before and {new.type} after, which have no equal values",
                code="bad-key",
                hint="give the key one type in both tables",
            )
        for found, column in zip(columns, (old, new), strict=True):
            if column.null_count:
                raise _bad_key(name, f"is null in {column.null_count:,} rows")
            column = column.cast(common)
            if pa.types.is_floating(common):
                column = _plain_floats(name, column)
            found.append(column)
    names = [f"key{index}" for index in range(len(keys))]
    return pa.table(columns[0], names=names), pa.table(columns[1], names=names)


def _plain_floats(name: str, column: Any) -> Any:
    """Return floats with one zero. Raises StepError for NaN, which equals nothing."""
    import pyarrow.compute as pc

    if pc.any(pc.is_nan(column)).as_py():
        raise _bad_key(name, "is NaN in some rows")
    return pc.add(column, 0.0)


def _require_unique(table: pa.Table, keys: Sequence[str], which: str) -> None:
    """Raise StepError, with examples, when a key occurs twice."""
    import pyarrow.compute as pc

    counted = table.group_by(table.column_names).aggregate([([], "count_all")])
    twice = counted.filter(pc.greater(counted["count_all"], 1))
    if twice.num_rows:
        first = twice.slice(0, 3).select(table.column_names).to_pylist()
        shown = "; ".join(", ".join(str(value)[:40] for value in row.values()) for row in first)
        raise StepError(
            f"the key {', '.join(keys)} is not unique in the table {which}: {twice.num_rows:,} values occur more than "
            f"once, such as {shown}",
            code="bad-key",
            hint="add columns to the key, or remove the duplicate rows",
        )


def _bad_key(name: str, why: str) -> StepError:
    return StepError(
        f"the key {name!r} {why}, so these rows cannot be compared",
        code="bad-key",
        hint="use another key, or leave these rows out by data.select",
    )


def _differs(old: Any, new: Any, tolerance: Tolerance) -> Any:
    """Return where two columns differ; None when values of their types cannot be equal. Two nulls are equal."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    old, new = _decoded(old), _decoded(new)
    one_null = np.asarray(pc.not_equal(pc.is_null(old), pc.is_null(new)))
    if pa.types.is_nested(old.type) or pa.types.is_nested(new.type):
        inner = _nested(old, new, tolerance)
        return None if inner is None else one_null | inner
    if pa.types.is_null(old.type) or pa.types.is_null(new.type):
        return one_null
    common = _common(old.type, new.type)
    if common is None:
        return None
    try:
        equal = pc.equal(old.cast(common), new.cast(common))
    except pa.ArrowInvalid:  # a number that the common type cannot hold exactly
        equal = pc.equal(old.cast(common, safe=False), new.cast(common, safe=False))
    differs = one_null | np.asarray(pc.invert(equal).fill_null(False))
    if is_number(common) and differs.any():
        differs &= ~_close(old, new, tolerance)
    return differs


def _close(old: Any, new: Any, tolerance: Tolerance) -> Any:
    """Return where two numbers are within the tolerance, or both NaN."""
    import numpy as np

    one, other = (item.cast("double", safe=False).to_numpy(zero_copy_only=False) for item in (old, new))
    are_nan = _is_nan(old) & _is_nan(new)
    if not tolerance.absolute and not tolerance.relative:
        return are_nan
    with np.errstate(invalid="ignore", over="ignore"):
        allowed = np.maximum(tolerance.absolute, tolerance.relative * np.maximum(np.abs(one), np.abs(other)))
        return are_nan | ((np.abs(one - other) <= allowed) & np.isfinite(one) & np.isfinite(other))


def _is_nan(column: Any) -> Any:
    """Return where a column is NaN, which null is not."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_floating(column.type):
        return np.zeros(len(column), dtype=bool)
    return np.asarray(pc.is_nan(column).fill_null(False))


def _nested(old: Any, new: Any, tolerance: Tolerance) -> Any:
    """Return where two lists or structs differ, apart from nulls; None when they cannot be equal."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = np.flatnonzero(np.asarray(pc.and_(pc.is_valid(old), pc.is_valid(new))))
    differs = np.zeros(len(old), dtype=bool)
    one, other = old.take(pa.array(rows)), new.take(pa.array(rows))
    if pa.types.is_struct(old.type) and pa.types.is_struct(new.type):
        names = [field.name for field in old.type]
        if sorted(names) != sorted(field.name for field in new.type):
            return None
        for name in names:
            inner = _differs(pc.struct_field(one, name), pc.struct_field(other, name), tolerance)
            if inner is None:
                return None
            differs[rows] |= inner
        return differs
    if not (_is_list(old.type) and _is_list(new.type)):
        return None
    sizes = np.asarray(pc.list_value_length(one)), np.asarray(pc.list_value_length(other))
    differs[rows] = sizes[0] != sizes[1]
    alike = np.flatnonzero(sizes[0] == sizes[1])
    one, other = one.take(pa.array(alike)), other.take(pa.array(alike))
    inner = _differs(pc.list_flatten(one), pc.list_flatten(other), tolerance)
    if inner is None:
        return None
    parents = np.asarray(pc.list_parent_indices(one))
    differs[rows[alike[np.unique(parents[inner])]]] = True
    return differs


def _is_list(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind))


def is_number(kind: Any) -> bool:
    """Return whether an Arrow type is of numbers."""
    import pyarrow as pa

    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _common(old: Any, new: Any) -> Any:
    """Return a type in which values of both types can be compared; None when no two of them are equal."""
    import pyarrow as pa

    if old == new:
        return old
    if is_number(old) and is_number(new):
        if pa.types.is_floating(old) or pa.types.is_floating(new):
            return pa.float64()
        if pa.types.is_decimal(old) or pa.types.is_decimal(new):
            return pa.decimal256(76, max(_scale(old), _scale(new)))
        return pa.decimal128(20, 0) if pa.uint64() in (old, new) else pa.int64()
    if pa.types.is_timestamp(old) and pa.types.is_timestamp(new) and (old.tz is None) == (new.tz is None):
        return pa.timestamp(_finer(old.unit, new.unit), new.tz)
    if pa.types.is_duration(old) and pa.types.is_duration(new):
        return pa.duration(_finer(old.unit, new.unit))
    if (pa.types.is_date(old) or pa.types.is_timestamp(old)) and pa.types.is_date(new):
        return None if pa.types.is_timestamp(old) else pa.date64()
    return None


def _scale(kind: Any) -> int:
    return int(getattr(kind, "scale", 0))


def _finer(one: str, other: str) -> str:
    units = ("s", "ms", "us", "ns")
    return units[max(units.index(one), units.index(other))]


def _decoded(column: Any) -> Any:
    import pyarrow as pa

    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _taken(column: Any, positions: Any) -> Any:
    import pyarrow as pa

    taken = column.take(pa.array(positions))
    return taken.combine_chunks() if isinstance(taken, pa.ChunkedArray) else taken


def _names(matrix: Any, names: Sequence[str]) -> Any:
    """Return a list of the names of the columns that are true, for each row."""
    import numpy as np
    import pyarrow as pa

    _, at = np.nonzero(matrix)
    offsets = np.concatenate([[0], np.cumsum(matrix.sum(axis=1))]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(list(names), pa.string()).take(pa.array(at)))


def clashing(keys: Sequence[str], compared: Sequence[str]) -> list[str]:
    """Return the names that two columns of the table of changes would have."""
    made = [*keys, CHANGED, *(f"{name}_{side}" for name in compared for side in ("before", "after"))]
    return sorted({name for name in made if made.count(name) > 1}) if len(set(made)) < len(made) else []


def require(before: Sequence[str], after: Sequence[str], keys: Sequence[str], exclude: Sequence[str]) -> None:
    """Raise StepError when the key is not in both tables, or columns of the result would have one name."""
    for which, names in (("before", before), ("after", after)):
        if absent := [name for name in keys if name not in names]:
            raise StepError(f"the table {which} has no column {few(absent)}", code="unknown-column")
    if twice := clashing(keys, compared_columns(before, after, keys, exclude)):
        raise StepError(
            f"the table of changes would have two columns named {few(twice)}",
            code="duplicate-column",
            hint="exclude or rename one of them",
        )
