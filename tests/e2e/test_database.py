"""A run that reads from a database and writes to it, whatever became of the rows since the last run."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from project import Project

SETTINGS = """
sinks: []
workers: 1
tools:
  database:
    connections:
      shop: {url: "sqlite:///data/shop.db", read_only: false}
"""
SPEC = """
version: 1
name: shop
steps:
  read: {uses: database.read, with: {connection: shop, query: "SELECT id, v FROM source ORDER BY id"}}
  select: {uses: data.select, with: {table: "${{ steps.read.table }}", where: [{column: v, op: gt, value: 1}]}}
  write: {uses: database.write, with: {connection: shop, table: "${{ steps.select.table }}", into: target, mode: replace}}
outputs: {rows: "${{ steps.write.rows }}"}
"""


def execute(file: Path, statement: str) -> list[Any]:
    with closing(sqlite3.connect(file)) as connection:
        found = connection.execute(statement).fetchall()
        connection.commit()
        return found


def test_equal_rows_are_reused_and_rows_that_are_gone_are_written_again(project: Project) -> None:
    project.write("config/default.yaml", SETTINGS)
    file = project.root / "data" / "shop.db"
    project.write("data/readme.txt", "the shop")
    execute(file, "CREATE TABLE source (id INTEGER, v INTEGER)")
    execute(file, "INSERT INTO source VALUES (1, 1), (2, 2), (3, 3)")

    def run() -> dict[str, str]:
        record = project.run(SPEC)
        assert record.status == "succeeded", record.to_json()
        return {name: step.status.value for name, step in record.steps.items()}

    assert run() == dict.fromkeys(("read", "select", "write"), "succeeded")
    assert run() == {"read": "succeeded", "select": "reused", "write": "reused"}
    execute(file, "DROP TABLE target")
    assert run() == {"read": "succeeded", "select": "reused", "write": "succeeded"}
    assert execute(file, "SELECT id FROM target") == [(2,), (3,)]
    execute(file, "INSERT INTO source VALUES (4, 4)")
    assert run() == dict.fromkeys(("read", "select", "write"), "succeeded")
    assert execute(file, "SELECT id FROM target") == [(2,), (3,), (4,)]
    execute(file, "DELETE FROM source WHERE id = 4")
    assert run() == {"read": "succeeded", "select": "reused", "write": "succeeded"}  # the latest delivery was another
    assert execute(file, "SELECT id FROM target") == [(2,), (3,)]
