"""Convert columns of text to the declared types. In: texts, a type, marks. Out: Arrow columns, or the first bad value.

Only for values that Arrow's reader does not take as they are: thousands marks, 1.0 for 1, times with different zones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct

from e2i.errors import StepError
from e2i.tools.data.declared import parsed_type

MARKERS = ("", "NA", "N/A", "NaN", "nan", "NULL", "null", "None", "#N/A", "n/a", "<NA>", "-nan", "-NaN")
"""Texts that are missing values among numbers, booleans and times. Among texts they are texts."""
TRUE, FALSE = ("true", "True", "TRUE", "1"), ("false", "False", "FALSE", "0")
TIME = r"^\d{4}-\d{2}-\d{2}([T ]\d{2}(:?\d{2}(:?\d{2}([.,]\d{1,9})?)?)?)?"
ZONED = r"[T ].*(Z|[+-]\d{2}(:?\d{2})?)$"


class Marks(Struct, frozen=True):
    """How numbers, booleans and missing values are written."""

    decimal: str = "."
    thousands: str | None = None
    nulls: Sequence[str] = ("",)
    true: Sequence[str] = ()
    false: Sequence[str] = ()

    @property
    def missing(self) -> list[str]:
        """Missing values of columns that are not texts."""
        return list(dict.fromkeys([*self.nulls, *MARKERS]))


def converted(column: Any, declared: str, marks: Marks, what: str) -> Any:
    """Return a column of texts in the declared type. Raises StepError with the first value that has no such form."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if declared == "string":
        return blanked(column, marks.nulls)
    texts = pc.utf8_trim_whitespace(blanked(column, marks.missing))
    kind = parsed_type(declared)
    chunks = [_CONVERTERS.get(declared, _number)(chunk, kind, marks) for chunk in texts.chunks]
    result = pa.chunked_array(chunks, kind)
    unfit = pc.and_(pc.is_valid(texts), pc.is_null(result))
    if pc.any(unfit).as_py():
        first = pc.index(unfit, True).as_py()
        raise StepError(
            f"{what} is not a valid {declared} in {pc.sum(unfit).as_py()} rows, first in data row {first + 1}: "
            f"{column[first].as_py()[:80]!r}",
            code="bad-value",
        )
    return result


def mixed_offsets(column: Any, declared: str, what: str) -> str | None:
    """Return a note of a column of times of which some have an offset from UTC and others have none."""
    import pyarrow.compute as pc

    if declared != "timestamp":
        return None
    zoned = pc.match_substring_regex(column, ZONED)
    without = pc.and_not(pc.match_substring_regex(column, TIME), zoned)
    if not pc.any(zoned).as_py() or not pc.any(without).as_py():
        return None
    return f"{what} has {pc.sum(without).as_py()} times without an offset among others with one; they are read as UTC"


def blanked(column: Any, nulls: Sequence[str]) -> Any:
    """Return the texts with null for those that are listed."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not nulls:
        return column
    listed = pc.is_in(column, value_set=pa.array(list(nulls), pa.string()))
    return pc.if_else(listed, pa.scalar(None, pa.string()), column) if pc.any(listed).as_py() else column


def plain_numbers(column: Any, marks: Marks) -> Any:
    """Return texts of numbers without thousands marks, with a decimal point; null for what is no number."""
    import pyarrow as pa
    import pyarrow.compute as pc

    point, group = ("\\" + marks.decimal), marks.thousands and "\\" + marks.thousands
    digits = rf"(\d{{1,3}}({group}\d{{3}})+|\d+)" if group else r"\d+"
    pattern = rf"^[+-]?({digits}{point}?\d*|{point}\d+)([eE][+-]?\d+)?$"
    texts = pc.if_else(pc.match_substring_regex(column, pattern), column, pa.scalar(None, pa.string()))
    if marks.thousands:
        texts = pc.replace_substring(texts, marks.thousands, "")
    if marks.decimal != ".":
        texts = pc.replace_substring(texts, marks.decimal, ".")
    return pc.replace_substring_regex(texts, r"^\+", "")


def _number(column: Any, kind: Any, marks: Marks) -> Any:
    """Return numbers, or exact decimals."""
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = plain_numbers(column, marks)
    if pa.types.is_floating(kind):
        special = pc.match_substring_regex(column, r"(?i)^[+-]?inf(inity)?$")
        texts = pc.if_else(special, pc.utf8_lower(column), texts)
    return _cast_each(texts, kind)


def _integer(column: Any, kind: Any, marks: Marks) -> Any:
    """Return whole numbers, exactly. 1.0 is 1."""
    import pyarrow.compute as pc

    texts = pc.replace_substring_regex(plain_numbers(column, marks), r"\.0*$", "")
    return _cast_each(texts, kind)


def _boolean(column: Any, kind: Any, marks: Marks) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    lowered = pc.utf8_lower(column)
    true = pc.or_(pc.is_in(lowered, pa.array(["true", "1"])), pc.is_in(column, pa.array(list(marks.true), pa.string())))
    false = pc.or_(
        pc.is_in(lowered, pa.array(["false", "0"])), pc.is_in(column, pa.array(list(marks.false), pa.string()))
    )
    return pc.if_else(true, True, pc.if_else(false, False, pa.scalar(None, pa.bool_())))


def _date(column: Any, kind: Any, marks: Marks) -> Any:
    return _cast_each(column, kind)


def _timestamp(column: Any, kind: Any, marks: Marks) -> Any:
    """Return ISO 8601 times; those without an offset are UTC. Times that Arrow does not parse are left to pandas."""
    import pyarrow as pa
    import pyarrow.compute as pc

    nothing = pa.scalar(None, pa.string())
    zoned = pc.match_substring_regex(column, ZONED)
    try:
        with_zone = pc.if_else(zoned, column, nothing).cast(kind)
        without = pc.if_else(zoned, nothing, column).cast(pa.timestamp("us")).cast(pa.int64()).cast(kind)
        return pc.coalesce(with_zone, without)
    except pa.ArrowInvalid:
        import pandas as pd

        parsed = pd.to_datetime(column.to_pandas(), utc=True, format="ISO8601", errors="coerce")
        finer = parsed.notna() & (parsed.dt.nanosecond != 0)
        return pa.array(parsed.mask(finer).dt.as_unit("us")).cast(kind)


def _cast_each(texts: Any, kind: Any) -> Any:
    """Return the texts as the type, with null where a single one cannot be."""
    import pyarrow as pa

    try:
        return texts.cast(kind)
    except pa.ArrowInvalid:
        return pa.array([_cast_one(item, kind) for item in texts], kind)


def _cast_one(item: Any, kind: Any) -> Any:
    import pyarrow as pa

    try:
        return item.cast(kind).as_py()
    except pa.ArrowInvalid:
        return None


_CONVERTERS: dict[str, Callable[[Any, Any, Marks], Any]] = {
    "integer": _integer,
    "boolean": _boolean,
    "date": _date,
    "timestamp": _timestamp,
}
