"""Infer the types of columns of text. In: texts. Out: a type that every value has, and the column in that type.

Whole numbers are integers, other numbers are floats, true and false are booleans. Everything else is text: also times,
numbers with a leading 0x, and integers that need more than 64 bits. Nothing is rounded.
"""

from __future__ import annotations

from typing import Any, Literal

from e2i.errors import StepError
from e2i.tools.data import texts
from e2i.tools.data.texts import Marks

EXACT = 2**53
"""Up to here each integer is a floating-point number of 64 bits."""
Kind = Literal["integer", "number", "boolean", "string"]


def kind_of(column: Any, marks: Marks) -> Kind | None:
    """Return the type that all values have; None when there are none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    present = pc.utf8_trim_whitespace(texts.blanked(column, marks.missing)).drop_null()
    if not len(present):
        return None
    if pc.all(pc.is_in(present, pa.array(true_texts(marks) + false_texts(marks)))).as_py():
        return "boolean"
    if marks.thousands:
        numbers = pc.is_valid(texts.plain_numbers(present, marks))
    else:
        point = "\\" + marks.decimal
        numbers = pc.match_substring_regex(present, rf"^[+-]?(\d+{point}?\d*|{point}\d+)([eE][+-]?\d+)?$")
    special = pc.match_substring_regex(present, r"(?i)^[+-]?inf(inity)?$")
    if not pc.all(pc.or_(numbers, special)).as_py():
        return "string"
    group = "\\" + marks.thousands if marks.thousands else ""
    whole = pc.match_substring_regex(present, rf"^[+-]?[\d{group}]+$")
    return "integer" if pc.all(whole).as_py() else "number"


def inferred(column: Any, marks: Marks, what: str) -> tuple[Any, str | None]:
    """Return a column of texts in the type that all its values have, and a note if that is unexpected."""
    import pyarrow as pa

    match kind_of(column, marks):
        case None:
            return pa.nulls(len(column), pa.float64()), None
        case "integer":
            return _integers(column, marks, what)
        case "number":
            return texts.converted(column, "number", marks, what), None
        case "boolean":
            return texts.converted(column, "boolean", marks, what), None
        case _:
            return texts.blanked(column, marks.nulls), None


def may_be_rounded(column: Any) -> bool:
    """Return whether a column has floats that may stand for another integer of 64 bits."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_floating(column.type):
        return False
    ends = pc.min_max(column).as_py().values()
    if not any(end is not None and abs(end) >= EXACT for end in ends):
        return False
    size = pc.abs(column)
    return bool(pc.any(pc.and_(pc.greater_equal(size, float(EXACT)), pc.less_equal(size, float(2**64)))).as_py())


def refuse_rounded(column: Any, marks: Marks, what: str) -> None:
    """Raise StepError for the first of some texts that is an integer and no float: beside fractions it is rounded."""
    import pyarrow.compute as pc

    plain = texts.plain_numbers(pc.utf8_trim_whitespace(texts.blanked(column, marks.missing)), marks)
    long = pc.match_substring_regex(plain, r"^-?\d{16,}$")
    for value in plain.filter(long).to_pylist():
        if int(value) != int(float(value)):
            raise StepError(
                f"{what} has the integer {value[:40]} among numbers with fractions, which are read as doubles: "
                "they cannot hold it",
                code="bad-value",
                hint="declare the column a string, a decimal, or a `number` to round it",
            )


def true_texts(marks: Marks) -> list[str]:
    """Return the texts that make a column boolean when it has no others: 1 and 0 are numbers."""
    return list(dict.fromkeys([*marks.true, "true", "True", "TRUE"]))


def false_texts(marks: Marks) -> list[str]:
    return list(dict.fromkeys([*marks.false, "false", "False", "FALSE"]))


def _integers(column: Any, marks: Marks, what: str) -> tuple[Any, str | None]:
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        return texts.converted(column, "integer", marks, what), None
    except StepError:
        plain = texts.plain_numbers(pc.utf8_trim_whitespace(texts.blanked(column, marks.missing)), marks)
    try:
        return plain.cast(pa.uint64()), None
    except pa.ArrowInvalid:
        return texts.blanked(column, marks.nulls), f"{what} has integers of more than 64 bits, which are read as texts"
