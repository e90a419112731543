"""What gc removes from the tools' folders, and that kept runs, live versions and served Bentos lose nothing."""

from __future__ import annotations

import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import effects_case as case
from e2i.execution.record import RunRecord
from e2i.settings import Settings
from e2i.store import collect as collecting
from e2i.store import retention
from e2i.store.collect import Freed, Wish, pin
from e2i.store.history import Reader
from e2i.store.use import in_use
from e2i.tools.bentoml import records
from e2i.tools.bentoml.resources import Resources
from project import Project, until

SALTS = range(4)
MOST_SEEDS = int(os.environ.get("CHAOS_SEEDS", "20"))
AGES: dict[str, str | None] = {"mlflow": None, "feast": None, "optuna": None}


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with a run for each salt, one after the other; the last one's version is in production."""
    made = Project(tmp_path_factory.mktemp("history") / "project")
    case.prepare(made)
    for salt in SALTS:
        assert made.run(case.SPEC, {"salt": salt}).status == "succeeded"
    return made


@pytest.fixture
def copied(history: Project, tmp_path: Path) -> Project:
    shutil.copytree(history.root, tmp_path / "project", symlinks=True, copy_function=shutil.copy2)
    return Project.opened(tmp_path / "project")


def ids(project: Project) -> list[str]:
    """The runs, oldest first."""
    with Reader(project.store, lambda digest: True) as reader:
        return [run.id for run in reversed(reader.runs())]


def collect(project: Project, first_kept: int, *, bentos: int = 1, dry_run: bool = False) -> Freed:
    """Removes all that ended before the run of that number; equal to the number of runs: everything."""
    now = time.time_ns() // 1_000_000
    with Reader(project.store, lambda digest: True) as reader:
        starts = [run.started_ms for run in reversed(reader.runs())]
    keep_ms = now - starts[first_kept] if first_kept < len(starts) else -1_000
    wishes = retention.wishes(keep_ms, bentos=bentos, ages=AGES, logs=None, every_tool=True)
    return collecting.collect(project.store, Wish(keep_ms, None, wishes), now, dry_run=dry_run)


def assert_usable(project: Project, salt: int) -> None:
    """A kept run can be run again without any of its work; only a stage that others took since is taken again."""
    record = project.run(case.SPEC, {"salt": salt})
    found = {name: step.status.value for name, step in record.steps.items() if name != "promote"}
    assert set(found.values()) == {"reused"}, (salt, found, {name: step.note for name, step in record.steps.items()})


@pytest.mark.slow
def test_what_only_the_removed_one_of_two_runs_used_goes_and_the_other_works(
    ran: tuple[Project, RunRecord], tmp_path: Path
) -> None:
    shutil.copytree(ran[0].root, tmp_path / "project", symlinks=True, copy_function=shutil.copy2)
    project = Project.opened(tmp_path / "project")
    assert project.run(case.SPEC, {"salt": 1}).status == "succeeded"
    *gone, _ = ids(project)  # the first run, and those of other tests that reused all its work
    forecast = collect(project, len(gone), dry_run=True)
    freed = collect(project, len(gone))
    assert sorted(freed.runs) == sorted(gone)
    assert {tool: len(names) for tool, names in freed.tools.items()} == {"bentoml": 1, "feast": 2, "optuna": 1}
    assert (forecast.tools, forecast.size) == (freed.tools, freed.size)
    assert_usable(project, 1)


@pytest.mark.slow
def test_what_only_removed_runs_used_goes_and_the_rest_works(copied: Project) -> None:
    runs = ids(copied)
    pin(copied.store, runs[0], 0)
    forecast = collect(copied, 2, dry_run=True)
    before = sorted((copied.store / "bentoml" / "bentos" / "demo").iterdir())
    freed = collect(copied, 2)
    assert freed.runs == [runs[1]]
    assert {tool: len(names) for tool, names in freed.tools.items()} == {"bentoml": 1, "feast": 2, "optuna": 1}
    assert (forecast.tools, forecast.size) == (freed.tools, freed.size)
    assert len(list((copied.store / "bentoml" / "bentos" / "demo").iterdir())) == len(before) - 1
    assert freed.size > 10_000
    for salt in (3, 2, 0):
        assert_usable(copied, salt)
    assert case.statuses(copied.run(case.SPEC, {"salt": 1}), ["apply", "tune", "package"]) == {
        "apply": "succeeded", "tune": "succeeded", "package": "succeeded"
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(MOST_SEEDS))
def test_after_any_collection_each_kept_run_works_and_the_live_version_loads(copied: Project, seed: int) -> None:
    chance = random.Random(seed)
    runs = ids(copied)
    pinned = {salt for salt in SALTS if chance.random() < 0.4}
    for salt in pinned:
        pin(copied.store, runs[salt], 0)
    first = chance.randrange(len(runs) + 1)
    collect(copied, first, bentos=chance.randint(1, 3))
    kept = sorted(pinned | {*range(first, len(runs))}, reverse=True)
    assert ids(copied) == [runs[salt] for salt in sorted(kept)]
    for salt in kept:
        assert_usable(copied, salt)
    with closing(sqlite3.connect(copied.store / "mlflow" / "mlflow.db")) as database:
        (location,) = database.execute(
            "SELECT storage_location FROM model_versions JOIN registered_model_aliases USING (name, version)"
            " WHERE alias = 'production'"
        ).fetchone()
    assert (Path(location) / "data" / "model").is_dir()


@pytest.mark.slow
def test_files_of_deleted_runs_go_unless_a_version_needs_them(copied: Project) -> None:
    file = copied.store / "mlflow" / "mlflow.db"
    copied.run(case.SPEC, {"salt": 3})
    with closing(sqlite3.connect(file, isolation_level=None)) as database:
        (needed,) = database.execute("SELECT run_uuid FROM runs ORDER BY start_time").fetchone()
        root = copied.store / "mlflow" / "artifacts"
        place = root / "1" / ("f" * 32) / "artifacts"
        place.mkdir(parents=True)
        (place / "big.bin").write_bytes(b"x" * 100_000)
        row: dict[str, Any] = dict(
            zip(
                [column[1] for column in database.execute("PRAGMA table_info(runs)")],
                database.execute("SELECT * FROM runs WHERE run_uuid = ?", (needed,)).fetchone(),
                strict=True,
            )
        )
        row |= {"run_uuid": "f" * 32, "artifact_uri": str(place)}
        database.execute(f"INSERT INTO runs ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", [*row.values()])
        database.execute("UPDATE runs SET lifecycle_stage = 'deleted', deleted_time = 1000")
    freed = collect(copied, 3)
    assert freed.tools["mlflow"] == ["f" * 32]
    assert not place.exists()
    assert_usable(copied, 3)


@pytest.mark.slow
def test_a_bento_that_a_process_serves_stays(copied: Project) -> None:
    tags = {f"demo:{path.name}" for path in (copied.store / "bentoml" / "bentos" / "demo").iterdir() if path.is_dir()}
    names = collect(copied, len(SALTS), dry_run=True).tools["bentoml"]
    assert len(names) == len(tags) - 1
    with subprocess.Popen([sys.executable, "-c", "input()", names[0]], stdin=subprocess.PIPE) as server:
        assert until(lambda: collect(copied, len(SALTS), dry_run=True).tools["bentoml"] == names[1:])
        server.kill()


@pytest.mark.slow
def test_a_bento_that_an_endpoint_serves_or_served_stays(copied: Project) -> None:
    names = collect(copied, len(SALTS), dry_run=True).tools["bentoml"]
    folder = copied.store / "bentoml" / "endpoints" / "churn"
    folder.mkdir(parents=True)
    shares = (records.Share(names[0], 100.0),)
    wanted = records.Wanted(
        name="churn", replicas=1, resources=Resources(), environment="production", home=str(folder.parents[1]),
        shares=shares, history=(names[1], names[0]),
    )  # fmt: skip
    records.write(folder, wanted)
    assert collect(copied, len(SALTS), dry_run=True).tools["bentoml"] == names[2:]


@pytest.mark.slow
def test_while_a_run_uses_the_store_tools_are_left_alone(copied: Project) -> None:
    with in_use(copied.store):
        freed = collect(copied, len(SALTS))
    assert (freed.tools, freed.tools_postponed) == ({}, True)


@pytest.mark.slow
def test_what_was_written_since_an_unfinished_run_began_stays(copied: Project) -> None:
    runs = ids(copied)
    pin(copied.store, runs[2], 0)
    with closing(sqlite3.connect(copied.store / "state.db", isolation_level=None)) as database:
        database.execute("UPDATE runs SET status = 'interrupted' WHERE run = ?", (runs[2],))
    freed = collect(copied, len(SALTS))
    studies = freed.tools["optuna"]
    assert len(studies) == 2, "those of the two runs before it"


@pytest.mark.slow
def test_the_settings_are_the_default_of_the_command(copied: Project) -> None:
    logs = [path for path in (copied.store / "runs").glob("*/logs") if path.is_dir()]
    for folder in logs:
        (folder / "step.log").write_text("text")
    default = json.loads(copied.cli("gc", "--json", "--dry-run").stdout)
    assert (default["tools"], default["logs"], default["tools_postponed"]) == ({}, 0, False)
    text = (copied.root / "config" / "default.yaml").read_text()
    copied.write("config/default.yaml", f"{text}retention: {{runs: 1ms, studies: 1ms, logs: 1ms, bentos: 3}}\n")
    found = copied.cli("gc", "--dry-run")
    assert found.returncode == 0, found.stderr
    assert "  optuna            4\n" in found.stdout
    assert "  bentoml           1\n" in found.stdout
    asked = json.loads(copied.cli("gc", "--json", "--tools").stdout)
    assert sorted(asked["tools"]) == ["bentoml", "feast", "optuna"]
    assert ids(copied) == []
    assert Settings().retention.bentos is None
