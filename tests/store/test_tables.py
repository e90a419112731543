"""Stores of older versions, as SQL text in ``stores/``: every one of them can be read, and run with."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from e2i.store import tables
from e2i.store.database import FILE, StoreError
from e2i.store.history import Reader
from e2i.store.runs import RunStore
from project import Project

STORES = Path(__file__).parent / "stores"
FINISHED, KILLED = "20261101-080000-aaaaaa", "20261101-090000-bbbbbb"


@pytest.fixture(params=range(1, tables.SCHEMA_VERSION), ids=lambda version: f"v{version}")
def old(request: pytest.FixtureRequest, tmp_path: Path) -> int:
    """A store of an older version in ``tmp_path``."""
    version: int = request.param
    make(tmp_path, version)
    return version


def make(root: Path, version: int) -> None:
    with closing(sqlite3.connect(root / FILE)) as database:
        database.executescript((STORES / f"v{version}.sql").read_text("utf-8"))
        database.execute("PRAGMA journal_mode = WAL")


def test_an_old_store_is_read_without_changing_it(old: int, tmp_path: Path) -> None:
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with Reader(tmp_path, lambda digest: True) as reader:
        assert [(run["run"], run["status"]) for run in reader.runs()] == [
            (KILLED, "interrupted"),
            (FINISHED, "succeeded"),
        ]
        run = reader.run(FINISHED) or {}
        assert run["outputs"] == {"all": [3, 7]}
        assert [(step["step"], step["uses"], step["status"]) for step in run["steps"]] == [
            ("first", "debug.echo", "succeeded"),
            ("second", "debug.echo", "succeeded"),
            ("broken", "debug.fail", "failed"),
        ]
        assert [step["status"] for step in (reader.run(KILLED) or {})["steps"]] == ["running", "pending", "pending"]
        assert reader.outputs(run["steps"][1]["fingerprint"]) == {"value": [3, 7]}
        assert reader.last("old", "first") is not None
        assert reader.waiting() == {"mlflow": 1}
        assert reader.corruption() == []
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_an_old_store_is_brought_up_to_date_and_kept_as_it_was(old: int, tmp_path: Path) -> None:
    with Reader(tmp_path, lambda digest: True) as reader:
        before = reader.run(FINISHED)
    RunStore(tmp_path, lambda digest: True).close()
    with Reader(tmp_path, lambda digest: True) as reader:
        assert reader.run(FINISHED) == before
        assert reader.corruption() == []
    with closing(sqlite3.connect(tmp_path / FILE)) as database, closing(sqlite3.connect(":memory:")) as new:
        assert tables.version(database) == tables.SCHEMA_VERSION
        tables.bring_up_to_date(new)
        for table in (*tables.NAMES, "outbox"):
            assert tables.columns(database, table) == tables.columns(new, table)
    with closing(sqlite3.connect(tmp_path / f"state.v{old}.db")) as backup:
        assert tables.version(backup) == old
        assert backup.execute("SELECT count(*) FROM runs").fetchone() == (2,)


def test_a_run_of_an_old_store_can_be_resumed(project: Project) -> None:
    project.store.mkdir()
    make(project.store, 1)
    resumed = project.cli("run", "--resume", KILLED)
    assert resumed.returncode == 0, resumed.stderr
    shown = project.cli("show", KILLED)
    assert "succeeded" in shown.stdout


def test_a_newer_store_is_refused_clearly(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / FILE)) as database:
        database.execute("PRAGMA user_version = 99")
    before = (tmp_path / FILE).read_bytes()
    for opened in (Reader, RunStore):
        with pytest.raises(StoreError, match="newer version") as raised:
            opened(tmp_path, lambda digest: True)
        assert raised.value.code == "store-too-new"
    assert (tmp_path / FILE).read_bytes() == before
