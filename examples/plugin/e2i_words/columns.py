"""Follow columns through the words actions before a run, so that a wrong column is found by ``e2i validate``."""

from __future__ import annotations

from e2i.catalog.columns import Flow, Given, KnownTable, absent
from e2i.catalog.files import Files


def count(given: Given, files: Files) -> Flow:
    """The table has one column more, of whole numbers."""
    table, name = given["table"], given["name"]
    problems = tuple(absent(table, ("column",), given["column"]))
    if not isinstance(table, KnownTable) or not isinstance(name, str):
        return Flow(problems=problems)
    return Flow({"table": KnownTable({**table.columns, name: "int64"}, table.made_from)}, problems)
