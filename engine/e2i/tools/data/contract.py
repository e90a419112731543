"""The declared types of columns: what ``columns`` and ``types`` promise. In: names of types. Out: Arrow types.

Works on the text of Arrow types, so that a plan checks the columns of a file as the run does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from e2i.errors import StepError
from e2i.tools.data import texts
from e2i.tools.data.declared import arrow_type, parsed_type

if TYPE_CHECKING:
    import pyarrow as pa

TYPE = r"^(string|integer|number|boolean|date|timestamp|decimal\(([1-9]|[12]\d|3[0-8]), ?\d{1,2}\))$"
"""The types that a column may be declared to have."""
INTEGER = re.compile(r"u?int(8|16|32|64)")


def result(declared: str, found: str) -> str | None:
    """Return the Arrow type of a column of the type ``found`` in a typed file; None when it breaks the contract.

    Texts are read as in a CSV file. Numbers are converted where that can be exact.
    """
    wanted = arrow_type(declared)
    if found == "null" or found == wanted or found.removeprefix("dictionary<values=").startswith("string,"):
        return wanted
    if found == "string":
        return wanted
    if declared == "timestamp":
        return found if found.startswith("timestamp[") else None
    if declared == "integer":
        return wanted if INTEGER.fullmatch(found) or found in ("double", "float", "halffloat") else None
    if declared == "number":
        is_number = INTEGER.fullmatch(found) or found in ("float", "halffloat") or found.startswith("decimal")
        return wanted if is_number else None
    if declared == "string":
        return wanted if INTEGER.fullmatch(found) else None
    if declared.startswith("decimal"):
        return wanted if INTEGER.fullmatch(found) or found.startswith("decimal") else None
    return None


def enforce(table: pa.Table, types: Mapping[str, str], shown: str) -> pa.Table:
    """Return the table of a typed file with its columns as declared. Raises StepError naming a column."""
    import pyarrow as pa

    for name, declared in types.items():
        index = table.column_names.index(name)
        column = table[name]
        kind = str(column.type)
        wanted = result(declared, kind)
        if wanted is None:
            raise broken(shown, name, kind, declared)
        if wanted == kind:
            continue
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        try:
            if pa.types.is_string(column.type):
                column = texts.converted(column, declared, texts.Marks(), f"{shown}: column {name!r}")
            else:
                column = column.cast(parsed_type(declared))
        except pa.ArrowInvalid as error:
            raise StepError(f"{shown}: column {name!r} is not {declared}: {error}", code="bad-value") from error
        table = table.set_column(index, name, column)
    return table


def broken(shown: str, name: str, kind: str, declared: str) -> StepError:
    """Return the error of a column that has another type than declared."""
    return StepError(f"{shown}: {message(name, kind, declared)}", code="bad-column", hint="correct the declared type")


def message(name: Any, kind: str, declared: str) -> str:
    return f"column {name!r} has the type {kind}, not {declared}"
