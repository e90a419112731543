"""Structured row filters. In: ``{column, op, value}`` and a table. Out: a mask of the rows that meet all filters.

A filter is data, never an expression, so a generated spec cannot inject code.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from decimal import Context, Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from e2i.catalog.columns import ColumnProblem, KnownTable, absent, settled
from e2i.errors import StepError
from e2i.spec.suggest import hint
from e2i.tools.data.literals import NoFormError, Scalar, Steps, convert

if TYPE_CHECKING:
    import pyarrow as pa

ORDERED = {"eq": "equal", "ne": "not_equal", "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal"}
"""An operation → Arrow's function."""


class Filter(BaseModel):
    """One condition on one column. A missing value (null or NaN) meets ``is_null`` and no other condition."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    column: Annotated[str, Field(min_length=1, description="Column to compare.")]
    op: Annotated[
        Literal["eq", "ne", "lt", "le", "gt", "ge", "in", "not_in", "is_null", "not_null"],
        Field(description="Comparison; `in` and `not_in` take a list, `is_null` and `not_null` take no value."),
    ]
    value: Annotated[
        Scalar | tuple[Scalar, ...] | None,
        Field(description="Value to compare the column with. Times: ISO 8601 text, UTC unless it has an offset."),
    ] = None

    @model_validator(mode="after")
    def _value_fits_op(self) -> Self:
        if self.op in ("is_null", "not_null"):
            if self.value is not None:
                raise ValueError(f"{self.op} takes no value")
        elif self.op in ("in", "not_in"):
            if not isinstance(self.value, tuple) or not self.value:
                raise ValueError(f"{self.op} takes a list of at least one value")
        elif self.value is None or isinstance(self.value, tuple):
            raise ValueError(f"{self.op} takes one value")
        return self


def mask(table: pa.Table, filters: Sequence[Filter]) -> pa.ChunkedArray:
    """Return True for each row that meets every filter. Raises StepError for an unknown column or a wrong type."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kept = pa.chunked_array([pa.nulls(table.num_rows, pa.bool_()).fill_null(True)])
    for item in filters:
        require_columns(table.column_names, [item.column])
        for _, message in _misfits(item.column, str(table[item.column].type), item.op, item.value):
            raise StepError(message, code="bad-filter")
        kept = pc.and_(kept, _meets(table[item.column], item))
    return kept


def problems(table: Any, where: Any) -> Iterator[ColumnProblem]:
    """Yield problems of filters in the parameter ``where``, found while planning.

    A filter refers to an unknown column, or compares a column with a value that its type does not have.
    """
    if not isinstance(table, KnownTable):
        return
    for index, item in enumerate(where) if isinstance(where, list | tuple) else ():
        if not isinstance(item, Mapping):
            continue
        column = item.get("column")
        yield from absent(table, ("where", index, "column"), column)
        kind = table.columns.get(column) if isinstance(column, str) else None
        if kind is not None and settled(item):
            for place, message in _misfits(column, kind, item.get("op"), item.get("value")):
                yield ColumnProblem(("where", index, "value", *place), "bad-filter", message)


def require_columns(present: Sequence[str], names: Sequence[str]) -> None:
    """Raise StepError naming every column that is not present, with the nearest match for the first."""
    absent = [name for name in names if name not in present]
    if not absent:
        return
    raise StepError(
        f"the table has no column {', '.join(map(repr, absent))}",
        code="unknown-column",
        hint=hint(absent[0], present, most=40),
    )


def _misfits(column: Any, kind: str, op: Any, value: Any) -> Iterator[tuple[tuple[int, ...], str]]:
    """Yield what is wrong with each literal that a column of the Arrow type ``kind`` cannot have, with its place."""
    if value is None or kind == "null":
        return
    literals = enumerate(value) if isinstance(value, list | tuple) else ((None, value),)
    for index, literal in literals:
        try:
            found = convert(kind, literal)
            if isinstance(found, Steps) and op in ("eq", "ne", "in", "not_in"):
                found.whole()
        except NoFormError as error:
            message = f"column {column!r} has the type {kind} and cannot be compared with {literal!r}: {error}"
            yield (() if index is None else (index,)), message


def _meets(column: Any, item: Filter) -> Any:
    """Return where a column meets one filter. Null and NaN meet none but ``is_null``."""
    import pyarrow.compute as pc

    missing = pc.is_null(column, nan_is_null=True)
    match item.op:
        case "is_null":
            return missing
        case "not_null":
            return pc.invert(missing)
        case "in" | "not_in":
            assert isinstance(item.value, tuple)
            kind, column = str(column.type), _decoded(column)
            found = pc.is_in(column, value_set=_values(column.type, kind, item.value))
            met = found if item.op == "in" else pc.invert(found)
        case _:
            assert item.value is not None and not isinstance(item.value, tuple)
            met = _compared(_decoded(column), str(column.type), item.op, item.value)
    return pc.and_not(pc.fill_null(met, False), missing)


def _decoded(column: Any) -> Any:
    """Return the column in a type that Arrow compares."""
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        return column.cast(column.type.value_type)
    if pa.types.is_fixed_size_binary(column.type) and not pa.types.is_decimal(column.type):
        return column.cast(pa.binary())
    return column.cast(pa.float32()) if pa.types.is_float16(column.type) else column


def _values(decoded: Any, kind: str, literals: Sequence[Scalar]) -> Any:
    import pyarrow as pa

    if kind == "null":
        return pa.nulls(0)
    return pa.array([_exact(decoded, convert(kind, value)) for value in literals], decoded)


def _compared(column: Any, kind: str, op: str, literal: Scalar) -> Any:
    """Return the comparison of each value with the literal. Between two values, or beyond all, it is still exact."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if kind == "null":
        return pa.nulls(len(column), pa.bool_())
    value = convert(kind, literal)
    if isinstance(value, Steps) and op not in ("eq", "ne"):
        op, steps = _rounded(op, value)
        if not value.lowest <= steps <= value.highest:
            met = (steps > value.highest) == (op == "le")
            return pc.if_else(pc.is_valid(column), met, None)
        value = Steps(Fraction(steps), value.lowest, value.highest)
    return pc.call_function(ORDERED[op], [column, pa.scalar(_exact(column.type, value), column.type)])


def _rounded(op: str, value: Steps) -> tuple[str, int]:
    """Return an equal condition with ``le`` or ``ge`` and a whole number of steps."""
    if op in ("lt", "le"):
        whole = math.floor(value.position)
        return "le", whole - (op == "lt" and whole == value.position)
    whole = math.ceil(value.position)
    return "ge", whole + (op == "gt" and whole == value.position)


def _exact(kind: Any, value: Any) -> Any:
    """Return a converted literal as pyarrow takes it for the type."""
    import pyarrow as pa

    if not isinstance(value, Steps):
        return value
    if pa.types.is_decimal(kind):
        return Decimal(value.whole()).scaleb(-kind.scale, Context(prec=kind.precision))
    if pa.types.is_date64(kind):
        return value.whole() * 86_400_000
    return value.whole()
