"""Derive the columns of ``sql.query`` while planning. In: known parameters. Out: columns, lineage and problems."""

from __future__ import annotations

from collections.abc import Mapping

from e2i.catalog.columns import Flow, Given, KnownTable
from e2i.catalog.files import Files
from e2i.queries import flow
from e2i.queries.syntax import Query


def query(given: Given, files: Files) -> Flow:
    """Return the columns of the result. They are unknown without DuckDB, or while the query is not known."""
    text, tables, params = given["query"], given["tables"], given["params"]
    if not isinstance(text, str) or not isinstance(tables, Mapping) or not isinstance(params, Mapping):
        return Flow()
    known = {name: table if isinstance(table, KnownTable) else None for name, table in tables.items()}
    return flow.of_query(Query(text, params), known, ("query",))
