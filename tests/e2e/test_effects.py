"""A result of a step with an effect is reused only while its effect is there, on the server that the run acts on."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import optuna
import pytest
from mlflow import MlflowClient

from e2i import api
from e2i.execution.events import StepFinished
from e2i.execution.record import RunRecord
from e2i.workers.looking import Looker
from effects_case import (
    EXTERNAL,
    SPEC,
    assert_packaged,
    assert_registered,
    assert_served,
    assert_tuned,
    prepare,
    statuses,
)
from project import Project


def assert_there(project: Project, record: RunRecord) -> None:
    """Every effect of the run is in the store, by the tools' own clients."""
    store = project.store
    assert record.status == "succeeded"
    assert_registered(f"sqlite:///{store}/mlflow/mlflow.db", record)
    assert_tuned(f"sqlite:///{store}/optuna/studies.db", record)
    assert_served(store / "feast" / "demo", None)
    assert_packaged(store / "bentoml", record)


@pytest.fixture
def again(ran: tuple[Project, RunRecord], tmp_path: Path) -> Project:
    """A copy of it, to be corrupted."""
    shutil.copytree(ran[0].root, tmp_path / "project", symlinks=True)
    return Project.opened(tmp_path / "project")


def test_everything_is_reused_while_all_effects_are_there(ran: tuple[Project, RunRecord]) -> None:
    project, first = ran
    assert_there(project, first)
    plan = {step.id: step.reason for step in project.plan(SPEC).steps}
    assert {plan[name].code.value for name in EXTERNAL} == {"unchanged"}
    assert all("verified" in plan[name].detail for name in EXTERNAL) and "verified" not in plan["train"].detail
    second = project.run(SPEC)
    assert {step.status.value for step in second.steps.values()} == {"reused"}
    assert_there(project, second)


@pytest.mark.slow
def test_effects_that_are_gone_are_made_again_and_their_results_are_the_same(again: Project) -> None:
    for tool in ("mlflow", "optuna", "feast", "bentoml"):
        shutil.rmtree(again.store / tool)
    record = again.run(SPEC)
    assert statuses(record) == dict.fromkeys(EXTERNAL, "succeeded")
    assert record.steps["train"].status.value == record.steps["make"].status.value == "reused"
    notes = {event.step: event.note for event in again.happened(StepFinished)}
    assert all(notes[name].startswith("effect-lost: ") for name in EXTERNAL)
    assert_there(again, record)
    assert {step.status.value for step in again.run(SPEC).steps.values()} == {"reused"}


@pytest.mark.sweep
def test_a_part_of_an_effect_that_is_gone_is_made_again(again: Project) -> None:
    """Of each effect something is left: the row without its files, the mark without the Bento, the version's folder
    without the rows, the table without a key, the study without its trials.
    """
    store = again.store
    (files,) = (store / "mlflow" / "artifacts").rglob("data/model")
    shutil.rmtree(files)
    shutil.rmtree(store / "bentoml" / "bentos")
    (source,) = (store / "feast" / "demo" / "sources").iterdir()
    source.unlink()
    (online,) = (store / "feast").rglob("online.db")
    with closing(sqlite3.connect(online)) as database, database:
        database.execute("DELETE FROM demo_facts WHERE entity_key = (SELECT entity_key FROM demo_facts LIMIT 1)")
    storage = f"sqlite:///{store}/optuna/studies.db"
    (study,) = optuna.get_all_study_names(storage)
    optuna.delete_study(study_name=study, storage=storage)
    optuna.create_study(study_name=study, storage=storage)
    record = again.run(SPEC)
    assert statuses(record) == dict.fromkeys(EXTERNAL, "succeeded")
    assert_there(again, record)


@pytest.mark.sweep
def test_a_version_that_left_production_is_promoted_again_and_one_that_was_deleted_is_registered_again(
    again: Project,
) -> None:
    client = MlflowClient(f"sqlite:///{again.store}/mlflow/mlflow.db")
    client.delete_registered_model_alias("demo", "production")
    record = again.run(SPEC)
    assert statuses(record) == {**dict.fromkeys(EXTERNAL, "reused"), "promote": "succeeded"}
    client.delete_registered_model("demo")
    record = again.run(SPEC)
    assert statuses(record) == {**dict.fromkeys(EXTERNAL, "reused"), "register": "succeeded", "promote": "succeeded"}
    assert_there(again, record)


@pytest.mark.sweep
def test_what_is_made_again_with_another_result_is_what_the_steps_below_get(again: Project) -> None:
    """The registry has another model's versions by now: the version that is registered again has another number."""
    client = MlflowClient(f"sqlite:///{again.store}/mlflow/mlflow.db")
    client.create_model_version("demo", str(again.root), run_id=None)
    client.delete_model_version("demo", "1")
    record = again.run(SPEC)
    assert statuses(record) == {**dict.fromkeys(EXTERNAL, "reused"), "register": "succeeded", "promote": "succeeded"}
    promoted = record.steps["promote"].outputs
    assert promoted is not None and promoted["version"]["version"] == 3
    assert_there(again, record)


@pytest.mark.sweep
@pytest.mark.parametrize("folders", ["", "feast bentoml"])
def test_results_that_another_store_shared_stand_only_where_their_effect_is(
    ran: tuple[Project, RunRecord], tmp_path: Path, folders: str
) -> None:
    shared = f"sinks: []\nflush: 60\nshared: {{url: 'file://{tmp_path}/net', deadline: 60}}\n"
    stores = []
    for name in ("one", "two"):
        project = Project(tmp_path / name)
        project.write("config/default.yaml", shared)
        prepare(project)
        if name == "two":
            for folder in folders.split():
                shutil.copytree(stores[0].store / folder, project.store / folder, symlinks=True)
        stores.append(project)
        record = project.run(SPEC)
        assert_there(project, record)
    assert record.steps["train"].status.value == "reused"
    kept = {"apply", "publish", "package"} if folders else set()
    assert statuses(record) == {name: "reused" if name in kept else "succeeded" for name in EXTERNAL}
    changed = stores[1].run(SPEC, {"salt": 1})
    assert_there(stores[1], changed)
    assert_there(stores[0], stores[0].run(SPEC, {"salt": 1}))


@pytest.mark.slow
@pytest.mark.parametrize("asked", [pytest.param(False, id="files"), pytest.param(True, id="worker")])
def test_a_resumed_run_does_not_move_back_what_a_later_run_has_promoted(
    project: Project, monkeypatch: pytest.MonkeyPatch, asked: bool
) -> None:
    """The effect is looked up in the files of an embedded tool, or asked for by a worker, as of a server."""
    if asked:
        monkeypatch.setattr(Looker, "can_see", lambda self, uses: False)
    prepare(project)
    first = project.run(SPEC, select=["promote"])
    project.run(SPEC, {"salt": 1}, select=["promote"])
    client = MlflowClient(f"sqlite:///{project.store}/mlflow/mlflow.db")

    def current() -> int:
        return int(client.get_model_version_by_alias("demo", "production").version)

    assert current() == 2
    for _ in range(2):
        resumed = api.resume(first.run, workspace=project.workspace)
        assert (resumed.status, resumed.steps["promote"].status.value, current()) == ("succeeded", "reused", 2)
    again = project.run(SPEC, select=["promote"])
    assert (again.run != first.run, again.steps["promote"].status.value, current()) == (True, "succeeded", 1)
    client.delete_registered_model_alias("demo", "production")  # lost, not superseded
    resumed = api.resume(first.run, workspace=project.workspace)
    assert (resumed.steps["promote"].status.value, current()) == ("succeeded", 1)
