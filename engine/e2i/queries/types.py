"""Maps column types between Arrow and DuckDB. In: a type's name in one of them. Out: its name in the other.

A result has the types that every reader supports: no integers beyond 64 bits, no decimals, no nanoseconds.
"""

from __future__ import annotations

import math
import re
from typing import Final

from e2i.queries import nested

SAME: Final = {
    "bool": "BOOLEAN",
    "int8": "TINYINT",
    "int16": "SMALLINT",
    "int32": "INTEGER",
    "int64": "BIGINT",
    "uint8": "UTINYINT",
    "uint16": "USMALLINT",
    "uint32": "UINTEGER",
    "uint64": "UBIGINT",
    "float": "FLOAT",
    "double": "DOUBLE",
    "string": "VARCHAR",
    "binary": "BLOB",
    "date32[day]": "DATE",
    "time64[us]": "TIME",
    "timestamp[us]": "TIMESTAMP",
    "timestamp[us, tz=UTC]": "TIMESTAMP WITH TIME ZONE",
}
"""Arrow type → DuckDB type, for the types that are equal in both."""
READ: Final = {
    "large_string": "VARCHAR",
    "string_view": "VARCHAR",
    "large_binary": "BLOB",
    "halffloat": "FLOAT",
    "timestamp[s]": "TIMESTAMP",
    "timestamp[ms]": "TIMESTAMP",
    "timestamp[ns]": "TIMESTAMP",
    "duration[us]": "INTERVAL",
    "null": '"NULL"',
}
"""Arrow types that DuckDB reads as another type."""
WRITTEN: Final = {
    "HUGEINT": "int64",
    "UHUGEINT": "int64",
    "TIMESTAMP_S": "timestamp[us]",
    "TIMESTAMP_MS": "timestamp[us]",
    "TIMESTAMP_NS": "timestamp[us]",
    "UUID": "string",
    '"NULL"': "null",
}
"""DuckDB types that a result has in another form. A sum of integers is a HUGEINT, a number that fits is an int64."""
_BACK: Final = {name: arrow for arrow, name in SAME.items()}
_TIMESTAMP = re.compile(r"timestamp\[\w+, tz=.*\]")
_DICTIONARY = re.compile(r"dictionary<values=(.*), indices=.*>")
_DECIMAL = re.compile(r"decimal(?:32|64|128)\((\d+), (\d+)\)")


def is_other_time(arrow: str) -> bool:
    """Returns True for a timestamp that is not in microseconds. DuckDB compares it with no other timestamp."""
    return arrow.startswith("timestamp[") and not arrow.startswith("timestamp[us")


def to_duckdb(arrow: str | None) -> str | None:
    """Returns the DuckDB type of an Arrow column; None when it is not known."""
    if arrow is None:
        return None
    if simple := SAME.get(arrow) or READ.get(arrow):
        return simple
    if _TIMESTAMP.fullmatch(arrow):
        return "TIMESTAMP WITH TIME ZONE"
    if matched := _DECIMAL.fullmatch(arrow):
        return f"DECIMAL({matched[1]},{matched[2]})"
    if matched := _DICTIONARY.fullmatch(arrow):
        return to_duckdb(matched[1])
    found = nested.of_arrow(arrow)
    return nested.to_duckdb(found, to_duckdb) if found else None


def to_arrow(name: str) -> str | None:
    """Returns the Arrow type of a result's column; None for a type that tables do not have."""
    if simple := _BACK.get(name) or WRITTEN.get(name):
        return simple
    if name.startswith("DECIMAL("):
        return "double"
    if name.startswith("ENUM("):
        return "string"
    found = nested.of_duckdb(name)
    return nested.to_arrow(found, to_arrow) if found else None


NUMBERS: Final = frozenset(
    ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "HUGEINT", "FLOAT")
) | {"DOUBLE", "UHUGEINT"}


def family(arrow: str) -> str | None:
    """Returns the family of an Arrow type: number, text, time … Values of two families are never equal."""
    name = to_duckdb(arrow)
    return None if name is None else family_of(name)


def family_of(name: str) -> str:
    """Returns the family of a DuckDB type."""
    if name in NUMBERS or name.startswith("DECIMAL"):
        return "number"
    if name.startswith(("TIMESTAMP", "DATE")):
        return "time"
    return {"VARCHAR": "text", "BOOLEAN": "boolean", "BLOB": "bytes"}.get(name, name.lower())


_BITS: Final = {
    "INTEGER": 31, "UINTEGER": 32, "BIGINT": 63, "UBIGINT": 64, "HUGEINT": 127, "UHUGEINT": 128,
}  # fmt: skip
_MANTISSA: Final = {"FLOAT": 24, "DOUBLE": 53}
"""Bits of the integers that a floating-point type has exactly (IEEE 754)."""


def is_rounded(one: str, other: str) -> bool:
    """Returns True when two DuckDB types are compared as floating-point numbers that cannot hold all values of one.

    DuckDB converts an integer or a decimal to the type of the floating-point number beside it: 9007199254740993 then
    equals 9007199254740992.0.
    """
    return bool(largest_exact(one, other) or largest_exact(other, one))


def largest_exact(exact: str, floating: str) -> int | None:
    """Returns up to where integers of the type ``exact`` survive in the type ``floating``; None when all do."""
    mantissa = _MANTISSA.get(floating)
    digits = re.match(r"DECIMAL\((\d+)", exact)
    bits = int(digits[1]) * math.log2(10) if digits else _BITS.get(exact, 0)
    return 2**mantissa if mantissa and bits > mantissa else None
