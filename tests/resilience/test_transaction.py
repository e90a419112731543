"""All that is changed in a transaction is there afterwards, or none of it, whatever ended it."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from e2i.resilience.transaction import keep_write_ahead_log, transaction


def connect(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path / "x.db", isolation_level=None)
    database.execute("CREATE TABLE IF NOT EXISTS t (a INTEGER PRIMARY KEY)")
    return database


def rows(path: Path) -> list[int]:
    return [row[0] for row in connect(path).execute("SELECT a FROM t")]


def test_what_is_changed_inside_is_there_at_the_end(tmp_path: Path) -> None:
    database = connect(tmp_path)
    with transaction(database):
        database.execute("INSERT INTO t VALUES (1)")
        assert rows(tmp_path) == []
    assert rows(tmp_path) == [1]


@pytest.mark.parametrize("end", [ValueError, KeyboardInterrupt])
def test_what_ends_early_changes_nothing(tmp_path: Path, end: type[BaseException]) -> None:
    database = connect(tmp_path)
    with pytest.raises(end), transaction(database):
        database.execute("INSERT INTO t VALUES (1)")
        raise end
    assert (rows(tmp_path), database.in_transaction) == ([], False)


def test_an_error_that_sqlite_has_undone_already_is_the_one_that_is_raised(tmp_path: Path) -> None:
    database = connect(tmp_path)
    with transaction(database):
        database.execute("INSERT INTO t VALUES (1)")
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"), transaction(database):
        database.execute("INSERT OR ROLLBACK INTO t VALUES (1)")
    assert (rows(tmp_path), database.in_transaction) == ([1], False)


def test_the_log_is_switched_once_another_connection_lets_it(tmp_path: Path) -> None:
    reading = connect(tmp_path)
    switching = sqlite3.connect(tmp_path / "x.db", timeout=0, isolation_level=None, check_same_thread=False)
    reading.execute("BEGIN")
    reading.execute("SELECT * FROM t").fetchall()
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        keep_write_ahead_log(switching, wait=0)
    thread = threading.Thread(target=keep_write_ahead_log, args=(switching,), kwargs={"wait": 60})
    thread.start()
    thread.join(0.05)
    assert thread.is_alive()
    reading.execute("COMMIT")
    thread.join(60)
    assert switching.execute("PRAGMA journal_mode").fetchone() == ("wal",)
