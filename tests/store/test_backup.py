"""A store is copied while it is used, and what is made of the copy is as good as the store was."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from e2i import api
from e2i.errors import BadInput, E2IError
from e2i.resilience import removal
from e2i.store import backup
from e2i.store.artifacts import ArtifactStore
from e2i.store.backup import LIST, back_up, restore
from e2i.store.database import FILE, StoreError
from e2i.store.history import Reader
from project import Project, until

MAKE = """
import pandas as pd
def make(n):
    return pd.DataFrame({"n": range(n)})
"""
SPEC = """
version: 1
name: kept
steps:
  make: {uses: python.call, with: {file: make.py, function: make, arguments: {n: 3}}}
  held: {HOLD}
"""
TOOLS = ("mlflow/mlflow.db", "opik/traces.db", "optuna/studies.db", "feast/p/online/1.db", "feast/p/registry.db")


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project in which the pipeline ran once."""
    project = Project(tmp_path_factory.mktemp("backup") / "project")
    project.write("make.py", MAKE)
    project.write("s.yaml", "version: 1\nname: s\nsteps:\n" + SPEC.split("steps:\n")[1].splitlines()[0] + "\n")
    assert project.cli("run", "s.yaml").returncode == 0
    project.write(".e2i/bentoml/bentos/b/1/bento.yaml", "b")
    project.write(".e2i/feast/p/feature_store.yaml", "f")
    return project


@pytest.fixture
def ran(first: Project, project: Project) -> Project:
    """A copy of it, whose files and links are as they were."""
    shutil.rmtree(project.root)
    shutil.copytree(first.root, project.root, symlinks=True)
    return project


def rows(database: Path) -> list[Any]:
    with contextlib.closing(sqlite3.connect(database)) as opened:
        return opened.execute("SELECT * FROM t").fetchall()


def test_every_database_of_a_live_store_is_copied_with_what_is_in_its_log_alone(ran: Project, tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        for name in TOOLS:
            (ran.store / name).parent.mkdir(parents=True, exist_ok=True)
            writer = stack.enter_context(contextlib.closing(sqlite3.connect(ran.store / name, isolation_level=None)))
            writer.execute("PRAGMA journal_mode = WAL")
            writer.execute("PRAGMA wal_autocheckpoint = 0")
            writer.execute("CREATE TABLE t (name)")
            writer.execute("INSERT INTO t VALUES (?)", (name,))
            writer.execute("BEGIN IMMEDIATE")
            writer.execute("INSERT INTO t VALUES ('not committed')")
        copied = back_up(ran.store, tmp_path / "copy", 1)
    assert copied.databases == 1 + len(TOOLS)
    restore(tmp_path / "copy", tmp_path / "new")
    for name in TOOLS:
        assert rows(tmp_path / "copy" / name) == rows(tmp_path / "new" / name) == [(name,)]
    assert (tmp_path / "new/bentoml/bentos/b/1/bento.yaml").read_text() == "b"
    assert (tmp_path / "new/feast/p/feature_store.yaml").read_text() == "f"


def test_a_running_run_is_backed_up_and_resumed_from_the_copy(project: Project, tmp_path: Path) -> None:
    project.write("make.py", MAKE)
    spec = SPEC.replace("HOLD", project.hold())
    project.write("s.yaml", spec)

    def is_made() -> bool:
        if not (project.store / FILE).exists():
            return False
        with Reader(project.store, lambda digest: True) as reader:
            return any(run.steps.get("succeeded") == 1 for run in reader.runs())

    with project.start("run", "s.yaml") as process:
        assert until(is_made)
        done = project.cli("backup", str(tmp_path / "copy"), "--json")
        assert done.returncode == 0, done.stderr
        document = json.loads(done.stdout)
        assert (document["objects"], document["linked"], document["corrupt"]) == (1, 1, [])
        again = project.cli("restore", str(tmp_path / "copy"), "--store", str(tmp_path / "new"), "--json")
        assert again.returncode == 0, again.stderr
        project.let_go()
        process.communicate()
    assert process.returncode == 0
    with Reader(tmp_path / "new", lambda digest: True) as reader:
        (run,) = reader.runs()
    assert run.status == "interrupted", "the process that executes it writes to the other store"
    resumed = project.cli("run", "s.yaml", "--store", str(tmp_path / "new"), "--json")
    last = json.loads(resumed.stdout.splitlines()[-1])
    assert (resumed.returncode, last["run"], last["steps"]["make"]["status"]) == (0, run.id, "reused")


def test_what_is_restored_is_reused_and_for_its_owner_alone(ran: Project, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        back_up(ran.store, tmp_path / "copy", 1)
        restore(tmp_path / "copy", tmp_path / "new")
    finally:
        os.umask(before)
    workspace = api.Workspace.open(root=ran.root, store=tmp_path / "new", environ={})
    record = api.run(str(ran.root / "s.yaml"), workspace=workspace)
    assert [step.status.value for step in record.steps.values()] == ["reused"]
    for path in [tmp_path / "copy", *(tmp_path / "copy").rglob("*")]:
        if "objects" not in path.parts:
            assert path.stat().st_mode & 0o077 == 0, path
    ours = {path.stat().st_ino for path in (ran.store / "objects").rglob("*") if path.is_file()}
    assert not ours & {path.stat().st_ino for path in (tmp_path / "new").rglob("*") if path.is_file()}


def test_a_folder_of_files_and_a_corrupt_artifact(ran: Project, tmp_path: Path) -> None:
    store = ArtifactStore(ran.store)
    (ran.store / "f" / "g").mkdir(parents=True)
    (ran.store / "f" / "g" / "x").write_text("x")
    (ran.store / "f" / "y").write_text("y")
    whole = store.put(ran.store / "f")
    (ran.store / "z").write_text("z")
    spoilt = Path(store.object_path(store.put(ran.store / "z")))
    spoilt.chmod(0o644)
    spoilt.write_text("other")
    done = ran.cli("backup", str(tmp_path / "copy"))
    assert done.returncode == 4
    assert f"left out corrupt artifact sha256:{spoilt.parent.name}{spoilt.name}" in done.stderr
    restore(tmp_path / "copy", tmp_path / "new")
    assert ArtifactStore(tmp_path / "new").is_intact(whole)


def test_files_that_are_taken_away_meanwhile_are_left_out(
    ran: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that is closed loses its log, and a tool takes its scratch files away, database or not."""
    names = ("a.db-shm", "b.db-wal", "c.db", "d.txt", "e/f")
    for name in names:
        (ran.store / "mlflow" / name).parent.mkdir(parents=True, exist_ok=True)
        (ran.store / "mlflow" / name).write_bytes(b"x")
    with contextlib.closing(sqlite3.connect(ran.store / "mlflow" / "a.db")) as database:
        database.execute("CREATE TABLE t (n)")
    listed = removal.names

    def names_then_gone(root: Path, *below: str) -> list[str]:
        found = listed(root, *below)
        if below == ("mlflow",):
            shutil.rmtree(root / "mlflow")
        return found

    monkeypatch.setattr(removal, "names", names_then_gone)
    back_up(ran.store, tmp_path / "copy", 1)
    assert not [path for path in (tmp_path / "copy").rglob("mlflow/*") if path.is_file()]


def test_a_database_that_goes_as_it_is_copied_is_left_out(
    ran: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (ran.store / "mlflow").mkdir(exist_ok=True)
    with contextlib.closing(sqlite3.connect(ran.store / "mlflow" / "a.db")) as database:
        database.execute("CREATE TABLE t (n)")
    found = backup._is_database

    def seen_then_gone(path: Path) -> bool:
        is_one = found(path)
        path.unlink()
        return is_one

    monkeypatch.setattr(backup, "_is_database", seen_then_gone)
    back_up(ran.store, tmp_path / "copy", 1)
    assert not (tmp_path / "copy" / "mlflow" / "a.db").exists()


def test_a_backup_where_none_can_be_made_names_the_place(ran: Project) -> None:
    with pytest.raises(StoreError, match="the backup /proc/copy cannot be created") as caught:
        back_up(ran.store, Path("/proc/copy"), 1)
    assert "another folder" in (caught.value.hint or "")


def test_a_store_that_is_there_is_not_written_to(ran: Project, tmp_path: Path) -> None:
    back_up(ran.store, tmp_path / "copy", 1)
    before = ran.listing()
    for command in (("restore", str(tmp_path / "copy")), ("backup", str(tmp_path / "copy")), ("backup", ".e2i/inside")):
        done = ran.cli(*command)
        assert done.returncode == 2, done.stderr
    assert ran.listing() == before
    (tmp_path / "empty").mkdir()
    restore(tmp_path / "copy", tmp_path / "empty")
    assert (tmp_path / "empty" / FILE).exists()


def cut(copy: Path) -> None:
    path = next(path for path in (copy / "objects").rglob("*") if path.is_file())
    path.unlink()
    path.write_bytes(b"other")


def changed_state(copy: Path) -> None:
    with (copy / FILE).open("r+b") as file:
        file.seek(200)
        file.write(b"\xff" * 50)


def missing(copy: Path) -> None:
    (copy / "bentoml/bentos/b/1/bento.yaml").unlink()


def a_link(copy: Path) -> None:
    missing(copy)
    (copy / "bentoml/bentos/b/1/bento.yaml").symlink_to("/etc/hostname")


def a_folder_that_is_a_link(copy: Path) -> None:
    shutil.move(copy / "bentoml", copy.parent / "elsewhere")
    (copy / "bentoml").symlink_to(copy.parent / "elsewhere")


def a_pipe(copy: Path) -> None:
    missing(copy)
    os.mkfifo(copy / "bentoml/bentos/b/1/bento.yaml")


def listed_elsewhere(copy: Path) -> None:
    document = json.loads((copy / LIST).read_text())
    document["files"]["../../pwned"] = document["files"][FILE]
    (copy / LIST).write_text(json.dumps(document))


def a_log_beside_the_state(copy: Path) -> None:
    """SQLite would read it as the newest part of the state."""
    document = json.loads((copy / LIST).read_text())
    shutil.copy(copy / FILE, copy / f"{FILE}-wal")
    document["files"][f"{FILE}-wal"] = document["files"][FILE]
    (copy / LIST).write_text(json.dumps(document))


def a_wrong_artifact(copy: Path) -> None:
    """Well listed, under a name that is not its digest."""
    document = json.loads((copy / LIST).read_text())
    document["files"][f"objects/ab/{'0' * 62}"] = document["files"]["feast/p/feature_store.yaml"]
    (copy / "objects" / "ab").mkdir(exist_ok=True)
    shutil.copy(copy / "feast/p/feature_store.yaml", copy / "objects" / "ab" / ("0" * 62))
    (copy / LIST).write_text(json.dumps(document))


def unfinished(copy: Path) -> None:
    (copy / LIST).unlink()


def half_a_list(copy: Path) -> None:
    (copy / LIST).write_text((copy / LIST).read_text()[:50])


def a_newer_list(copy: Path) -> None:
    (copy / LIST).write_text('{"schema_version": 2, "files": {}}')


@pytest.mark.parametrize(
    "spoil",
    [
        cut, changed_state, missing, a_link, a_folder_that_is_a_link, a_pipe, listed_elsewhere, a_log_beside_the_state, a_wrong_artifact, unfinished,
        half_a_list, a_newer_list,
    ],
    ids=lambda spoil: spoil.__name__,
)  # fmt: skip
def test_a_backup_that_is_not_as_it_was_written_is_refused_and_nothing_is_made(
    ran: Project, tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    back_up(ran.store, tmp_path / "copy", 1)
    spoil(tmp_path / "copy")
    here = sorted(tmp_path.iterdir())
    with pytest.raises(E2IError) as caught:
        restore(tmp_path / "copy", tmp_path / "new")
    assert caught.value.code in ("backup-corrupt", "no-backup")
    assert isinstance(caught.value, StoreError | BadInput)
    assert sorted(tmp_path.iterdir()) == here


def test_links_in_a_store_are_not_followed(ran: Project, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("secret")
    (ran.store / "bentoml" / "out").symlink_to(tmp_path / "outside")
    (ran.store / "bentoml" / "file").symlink_to(tmp_path / "outside" / "secret")
    os.mkfifo(ran.store / "bentoml" / "pipe")
    back_up(ran.store, tmp_path / "copy", 1)
    assert "secret" not in {path.read_text() for path in (tmp_path / "copy" / "bentoml").rglob("*") if path.is_file()}
    assert not (tmp_path / "copy" / "bentoml" / "out").exists()
