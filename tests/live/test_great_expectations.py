"""One suite on PostgreSQL, SQLite and pandas: equal counts; a quarantine read from PostgreSQL; a server that is down."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from pydantic import ValidationError

from e2i.errors import BadInput, ToolUnavailable
from live.servers import Postgres
from tools.great_expectations.attacks import EXPECTATIONS
from tools.great_expectations.sources import SUITE, Warehouse, check_attacks, counts, frame

KINDS = "id text, brand text, calls double precision, visits integer, least integer, part text"


def filled(url: str, count: int = 400) -> str:
    """A database with the table ``journeys``."""
    with psycopg.connect(url) as connection:
        connection.execute(f"CREATE TABLE journeys ({KINDS})")
        rows = frame(count).astype(object).where(frame(count).notna(), None)
        with connection.cursor() as cursor:
            cursor.executemany("INSERT INTO journeys VALUES (%s, %s, %s, %s, %s, %s)", rows.to_numpy().tolist())
        connection.execute(
            "CREATE TABLE kinds (a smallint, b bigint, c numeric(8,2), d date, e timestamptz, f uuid, g boolean)"
        )
        connection.execute(
            "INSERT INTO kinds VALUES (1, 2, 1.50, '2024-01-02', '2024-01-02T00:00:00Z', "
            "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', true), (NULL, NULL, NULL, NULL, NULL, NULL, NULL)"
        )
        connection.execute("CREATE TABLE odd (p interval)")
        connection.execute("INSERT INTO odd VALUES ('1 day')")
    return url


@pytest.mark.slow
def test_three_engines_count_alike(tmp_path: Path, postgres: Postgres) -> None:
    url = filled(postgres.database())
    with closing(sqlite3.connect(tmp_path / "x.db")) as made:
        frame().to_sql("journeys", made, index=False)
    server = Warehouse(tmp_path / "server", {"type": "postgresql", "url": url})
    file = Warehouse(tmp_path / "file", {"type": "sqlite", "path": str(tmp_path / "x.db")})
    of_pandas = counts(server.check_frame(frame()))
    assert counts(server.check()) == counts(file.check()) == of_pandas
    assert sum(not found[2] for found in of_pandas) == len(SUITE)
    batch = {"part": "train", "visits": 3}
    rows = frame().query("part == 'train' and visits == 3")
    assert counts(server.check(batch=batch)) == counts(file.check(batch=batch)) == counts(server.check_frame(rows))

    apart = server.check(SUITE[1:4], on_failure="quarantine", batch={"part": "test"})
    assert counts(apart) == counts(server.check(SUITE[1:4], batch={"part": "test"}))
    assert apart.table and apart.quarantined
    assert apart.table.rows + apart.quarantined_rows == (frame()["part"] == "test").sum()

    some = [{"type": "expect_table_row_count_to_be_between", "min_value": 1}]
    kinds = server.check(some, table="public.kinds", on_failure="quarantine").table
    assert kinds and [column.type for column in kinds.columns] == [
        "int16", "int64", "decimal128(8, 2)", "date32[day]", "timestamp[us, tz=UTC]", "string", "bool"
    ]  # fmt: skip
    with pytest.raises(BadInput, match="column 'p' is INTERVAL"):
        server.check(some, table="odd", on_failure="quarantine")
    for name in ("journeys; DROP TABLE journeys", 'journeys" WHERE false --', "pg_read_file('/etc/passwd')"):
        with pytest.raises(BadInput, match="has no table"):
            server.check(some, table=name)

    hostile = Warehouse(tmp_path / "hostile", {"type": "postgresql", "url": filled(postgres.database(), 60)})
    check_attacks(hostile, 60)
    for item in EXPECTATIONS:
        with pytest.raises((ValidationError, BadInput)):
            hostile.check([item])

    postgres.kill()
    for number in range(6):
        with pytest.raises(ToolUnavailable) as down:
            server.check(some)
        assert (down.value.code == "circuit-open") == (number == 5)
    assert server.check_frame(frame(), some).success, "a database that is down does not stop checks of tables"
    postgres.start()
