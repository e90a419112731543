"""Deliveries whose process is killed, at any call and at any instant, and repeated: the table has the rows once."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import psycopg
import pytest

from live import mortal_delivery
from live.mortal_delivery import ROWS
from live.servers import Postgres
from project import ENGINE

TESTS = Path(__file__).parents[1]
CALLS = 26
"""Calls to the database of a delivery that is not disturbed, and a few more."""
MODES = ("append", "upsert", "replace")
KILLED = -9


def attempt(root: Path, url: str, into: str, mode: str, kind: str, where: str) -> int:
    command = [sys.executable, mortal_delivery.__file__, str(root), url, into, mode, kind, where]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (ENGINE, TESTS)))}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120)
    assert done.returncode in (0, KILLED), done.stderr
    return done.returncode


def deliver_and_kill(root: Path, url: str, count: Callable[[str], list[int]], kills: int, seed: int) -> int:
    """Kill deliveries that many times, each then repeated until it ends. Return how many were killed in the middle."""
    chance = random.Random(seed)
    killed = 0
    for number in range(kills):
        into, mode = f"t{number}", MODES[number % len(MODES)]
        kind = chance.choice(["before", "after", "time"])
        where = str(chance.uniform(0, 1.5)) if kind == "time" else str(chance.randint(1, CALLS))
        killed += attempt(root, url, into, mode, kind, where) == KILLED
        assert attempt(root, url, into, mode, "before", "0") == 0
        assert count(into) == [ROWS, ROWS], (mode, kind, where)
    return killed


def sqlite_count(file: Path, table: str) -> list[int]:
    with closing(sqlite3.connect(file)) as connection:
        return list(connection.execute(f"SELECT count(*), count(DISTINCT id) FROM {table}").fetchone())


def postgres_count(url: str, table: str) -> list[int]:
    with psycopg.connect(url) as connection:
        found = connection.execute(f"SELECT count(*), count(DISTINCT id) FROM {table}").fetchone()
    assert found is not None
    return list(found)


@pytest.mark.slow
@pytest.mark.parametrize("kills", [2, pytest.param(25, marks=[pytest.mark.sweep, pytest.mark.timeout(1800)])])
def test_a_killed_delivery_to_sqlite_is_there_once(tmp_path: Path, kills: int) -> None:
    file = tmp_path / "shop.db"
    killed = deliver_and_kill(tmp_path, f"sqlite:///{file}", partial(sqlite_count, file), kills, seed=kills)
    assert killed >= kills // 3


@pytest.mark.slow
@pytest.mark.parametrize("kills", [2, pytest.param(25, marks=[pytest.mark.sweep, pytest.mark.timeout(1800)])])
def test_a_killed_delivery_to_postgresql_is_there_once(tmp_path: Path, postgres: Postgres, kills: int) -> None:
    url = postgres.database()
    killed = deliver_and_kill(tmp_path, url, partial(postgres_count, url), kills, seed=kills)
    assert killed >= kills // 3
