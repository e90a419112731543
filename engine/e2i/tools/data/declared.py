"""The Arrow types of declared types. In: a type as a spec writes it. Out: the type of its column."""

from __future__ import annotations

import re
from typing import Any

TIME = "timestamp[us, tz=UTC]"
ARROW = {"string": "string", "integer": "int64", "number": "double", "boolean": "bool", "date": "date32[day]",
         "timestamp": TIME}  # fmt: skip


def arrow_type(declared: str) -> str:
    """Return the Arrow type of a declared type."""
    if declared.startswith("decimal"):
        precision, scale = re.findall(r"\d+", declared)
        return f"decimal128({precision}, {scale})"
    return ARROW[declared]


def parsed_type(declared: str) -> Any:
    """Return the Arrow type of a declared type, as an object."""
    import pyarrow as pa

    if declared == "timestamp":
        return pa.timestamp("us", "UTC")
    if declared == "date":
        return pa.date32()
    if declared.startswith("decimal"):
        precision, scale = arrow_type(declared).removeprefix("decimal128(").rstrip(")").split(", ")
        return pa.decimal128(int(precision), int(scale))
    return pa.type_for_alias(arrow_type(declared))
