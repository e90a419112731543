"""Check that the rows of finished ``database.write`` steps are still delivered, by the table of deliveries.

When the settings name no database there is only the file in the store, which is read without the connector.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from typing import Any

from e2i.catalog.context import Look
from e2i.tools.database import LOCAL_FILE, WriteOutputs, WriteParams
from e2i.tools.database.session import Target


def write(params: WriteParams, outputs: WriteOutputs, look: Look) -> str | None:
    """Return what is missing of the delivery; None when the table has it."""
    from e2i.tools.database.actions import delivery_of
    from e2i.tools.database.delivery import missing

    wanted = delivery_of(params)
    if look.settings("database").is_embedded:
        file = look.home("database") / LOCAL_FILE
        if not file.is_file():
            return f"there is no file {LOCAL_FILE} in the store"
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True, timeout=1)) as database:
            return missing(_File(database), wanted)
    from e2i.tools.database.connector import Databases

    with look.connect(Databases).opened(params.connection) as session:
        return missing(session, wanted)


class _File:
    """Implements ``session.Asked`` for the file in the store."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def columns(self, table: Target) -> Mapping[str, str] | None:
        columns = "SELECT name, upper(type) FROM pragma_table_info($1, $2)"
        return dict(self.run(columns, table.name, table.schema or "main")) or None

    def run(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        return self._database.execute(
            statement, {str(index): value for index, value in enumerate(values, 1)}
        ).fetchall()
