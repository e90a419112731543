"""Derive the columns of ``database.*`` while planning. In: known parameters. Out: columns and problems.

A plan asks no database: the columns of a result are known where a contract states them.
"""

from __future__ import annotations

from collections.abc import Mapping

from e2i.catalog.columns import Flow, Given, KnownTable, absent, settled
from e2i.catalog.files import Files
from e2i.tools.data.declared import arrow_type
from e2i.tools.database import LOCAL


def read(given: Given, files: Files) -> Flow:
    """Return the columns of the contract, in their declared types."""
    columns = given["columns"]
    if not isinstance(columns, Mapping) or not settled(columns):
        return Flow()
    # A server's column of times keeps its unit and zone; a file has texts, which are read as UTC.
    is_kept = given.get("connection") != LOCAL
    types = {name: None if kind == "timestamp" and is_kept else arrow_type(kind) for name, kind in columns.items()}
    return Flow({"table": KnownTable(types)})


def write(given: Given, files: Files) -> Flow:
    """Report columns of the key that the table does not have."""
    return Flow({}, list(absent(given["table"], ("key",), given["key"])))
