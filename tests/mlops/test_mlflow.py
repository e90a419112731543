"""``MLflowConnector`` against the real MLflow: embedded in the store, and a server over HTTP."""

from __future__ import annotations

import asyncio
import json
import math
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from e2i.errors import ToolUnavailable
from e2i.mlops import MLflowConfig, MLflowConnector, ModelStage
from e2i.mlops.mlflow_run import Run, current_run
from live.servers import MLflow, ObjectStore, Postgres
from project import WITHIN

if TYPE_CHECKING:
    from mlflow import MlflowClient

mlflow = pytest.importorskip("mlflow")


@pytest.fixture(
    params=[
        "embedded",
        pytest.param("server", marks=pytest.mark.slow),
        pytest.param("postgresql", marks=pytest.mark.slow),
    ]
)
def connector(request: pytest.FixtureRequest, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> MLflowConnector:
    """MLflow embedded, behind a server, or in PostgreSQL with its files in S3."""
    if request.param == "embedded":
        return MLflowConnector()
    if request.param == "server":
        server: MLflow = request.getfixturevalue("mlflow_server")
        return MLflowConnector(MLflowConfig(tracking_uri=server.uri, deadline=WITHIN))
    database: Postgres = request.getfixturevalue("postgres")
    objects: ObjectStore = request.getfixturevalue("s3")
    for name, value in objects.environ.items():
        monkeypatch.setenv(name, value)
    root = f"s3://{objects.bucket(f'programs-{os.getpid()}-{id(workspace):x}')}/mlflow"
    return MLflowConnector(MLflowConfig(tracking_uri=database.database(), artifact_root=root, deadline=WITHIN))


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a server that accepts and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def client() -> MlflowClient:
    """The process's own client, which must be at the same place as the connector."""
    return mlflow.MlflowClient()


def fitted() -> tuple[Any, Any]:
    import pandas as pd
    from sklearn.linear_model import LogisticRegression

    frame = pd.DataFrame({"a": [0.0, 1.0, 2.0, 3.0], "b": [1.0, 0.0, 1.0, 0.0]})
    return LogisticRegression().fit(frame, [0, 0, 1, 1]), frame


def test_one_connector_for_each_settings(workspace: Path) -> None:
    assert MLflowConnector() is MLflowConnector()
    assert MLflowConnector(MLflowConfig(deadline=3)) is MLflowConnector(MLflowConfig(deadline=3))
    assert MLflowConnector(MLflowConfig(deadline=3)) is not MLflowConnector()
    assert MLflowConnector().enabled
    assert MLflowConnector().state == "closed"


def test_settings_are_no_mapping(workspace: Path) -> None:
    with pytest.raises(ValueError, match=r"such as MLflowConfig\(deadline=3\)"):
        MLflowConnector({"deadline": 3})  # type: ignore[arg-type]  # the mistake


def test_an_experiment_is_found_again(connector: MLflowConnector) -> None:
    async def work() -> tuple[str | None, str | None]:
        return (
            await connector.get_or_create_experiment("effects", tags={"team": "a"}),
            await connector.get_or_create_experiment("effects"),
        )

    first, second = asyncio.run(work())
    assert first is not None
    assert first == second
    assert client().get_experiment(first).tags["team"] == "a"


def test_a_prefix_is_put_before_names_that_do_not_begin_with_it(workspace: Path) -> None:
    connector = MLflowConnector(MLflowConfig(experiment_prefix="e2i_"))

    async def work() -> tuple[str | None, str | None]:
        return await connector.get_or_create_experiment("x"), await connector.get_or_create_experiment("e2i_x")

    first, second = asyncio.run(work())
    assert first == second


def test_everything_that_a_run_logs_is_in_mlflow_when_its_block_is_left(
    connector: MLflowConnector, workspace: Path
) -> None:
    (workspace / "plot.txt").write_text("a plot")
    (workspace / "folder").mkdir()
    (workspace / "folder" / "inner.txt").write_text("inner")

    async def work() -> Run:
        async with connector.start_run(experiment_name="runs", run_name="one", tags={"agent": "trainer"}) as run:
            assert current_run.get() is run
            await run.log_params({"depth": 3, "name": "x"})
            await run.log_params({"depth": 3})
            for step in range(5):
                await run.log_metrics({"loss": 1 / (1 + step)}, step=step)
            await run.log_metrics({"best": 0.5, "bad": math.nan, "far": math.inf})
            await run.set_tags({"brand": "Kisqali", "number": 3})
            await run.log_artifact("plot.txt", "plots")
            await run.log_artifact(workspace / "folder")
        return run

    run = asyncio.run(work())
    found = client().get_run(run.run_id)
    assert found.info.status == "FINISHED"
    assert found.info.run_name == "one"
    assert run.artifact_uri == found.info.artifact_uri
    assert found.data.params == {"depth": "3", "name": "x"}
    assert found.data.metrics["best"] == 0.5
    assert math.isnan(found.data.metrics["bad"])
    assert found.data.metrics["far"] > 1e300
    assert {"agent": "trainer", "brand": "Kisqali", "number": "3"}.items() <= found.data.tags.items()
    assert [m.value for m in client().get_metric_history(run.run_id, "loss")] == [1, 1 / 2, 1 / 3, 1 / 4, 1 / 5]
    assert {item.path for item in client().list_artifacts(run.run_id, "plots")} == {"plots/plot.txt"}
    assert {item.path for item in client().list_artifacts(run.run_id, "folder")} == {"folder/inner.txt"}
    assert current_run.get() is None


def test_a_run_that_fails_or_is_cancelled_says_so(workspace: Path) -> None:
    connector = MLflowConnector()

    async def fail(error: BaseException) -> str:
        run = connector.start_run(experiment_name="ends")
        with pytest.raises(type(error)):
            async with run:
                raise error
        await connector.flush(run._local, 30)
        return run.run_id

    for error, status in (
        (ValueError("no"), "FAILED"),
        (asyncio.CancelledError(), "KILLED"),
        (KeyboardInterrupt(), "KILLED"),
    ):
        run_id = asyncio.run(fail(error))
        assert client().get_run(run_id).info.status == status


def test_coroutines_threads_and_loops_write_each_to_its_own_run(workspace: Path) -> None:
    found: dict[int, str] = {}

    async def work(number: int) -> None:
        async with MLflowConnector().start_run(experiment_name="many", run_name=f"run-{number}") as run:
            await run.log_metrics({"value": float(number)})
            found[number] = run.run_id

    async def four(first: int) -> None:
        await asyncio.gather(*(work(first + number) for number in range(4)))

    threads = [threading.Thread(target=lambda first=first: asyncio.run(four(first))) for first in (0, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    asyncio.run(work(8))
    assert sorted(found) == list(range(9))
    for number, run_id in found.items():
        assert client().get_run(run_id).data.metrics == {"value": float(number)}


def test_nested_runs_and_trials_are_below_their_parent(connector: MLflowConnector) -> None:
    async def work() -> tuple[str, str, str]:
        async with connector.start_run(experiment_name="nested") as above:
            async with connector.start_run(experiment_name="nested", nested=True) as inner:
                pass
            async with connector.start_run(experiment_name="nested", parent_run_id=above.run_id) as named:
                pass
            await above.log_child("trial 0", {"depth": 2}, {"auc": 0.7}, "finished", 1000, 2000)
        return above.run_id, inner.run_id, named.run_id

    above, inner, named = asyncio.run(work())
    experiment = client().get_run(above).info.experiment_id
    below = client().search_runs([experiment], f"tags.`mlflow.parentRunId` = '{above}'")
    assert {run.info.run_id for run in below} >= {inner, named}
    trial = next(run for run in below if run.info.run_name == "trial 0")
    assert (trial.data.params, trial.data.metrics, trial.info.status) == ({"depth": "2"}, {"auc": 0.7}, "FINISHED")
    assert len(below) == 3


def test_models_are_logged_by_their_own_flavour(workspace: Path) -> None:
    import catboost
    import lightgbm
    import numpy as np
    import xgboost
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rng = np.random.default_rng(0)
    rows = rng.normal(size=(80, 3))
    target = (rows[:, 0] > 0).astype(int)
    estimators = {
        "xgboost": xgboost.XGBClassifier(n_estimators=3),
        "lightgbm": lightgbm.LGBMClassifier(n_estimators=3, verbose=-1),
        "catboost": catboost.CatBoostClassifier(n_estimators=3, verbose=False, allow_writing_files=False),
        "sklearn": RandomForestClassifier(n_estimators=3),
        "sklearn.2": HistGradientBoostingClassifier(max_iter=3),
        "sklearn.3": make_pipeline(StandardScaler(), xgboost.XGBClassifier(n_estimators=3)),
        "sklearn.4": StandardScaler(),
    }
    fits = {name: estimator.fit(rows, target) for name, estimator in estimators.items()}

    async def work() -> dict[str, str]:
        async with MLflowConnector().start_run(experiment_name="models") as run:
            return {name: await run.log_model(model, name.replace(".", "_")) for name, model in fits.items()}

    for name, uri in asyncio.run(work()).items():
        flavor = getattr(mlflow, name.partition(".")[0])
        loaded = flavor.load_model(uri)
        apply = "predict_proba" if hasattr(fits[name], "predict_proba") else "transform"
        assert type(loaded) is type(fits[name])
        assert np.allclose(getattr(loaded, apply)(rows), getattr(fits[name], apply)(rows), atol=1e-9)


def test_a_model_is_registered_and_moved_through_its_stages(connector: MLflowConnector) -> None:
    model, frame = fitted()
    name = f"model{time.time_ns()}"

    async def work() -> None:
        async with connector.start_run(experiment_name="stages") as run:
            uri = await run.log_model(model, "model", input_example=frame)
            inside = await connector.register_model(run.run_id, name)  # also before the run has ended
        assert uri == f"runs:/{run.run_id}/model"
        assert mlflow.sklearn.load_model(uri).predict(frame).tolist() == [0, 0, 1, 1]
        assert inside is not None
        assert (inside.name, inside.version, inside.stage) == (name, "1", ModelStage.DEVELOPMENT)
        assert await connector.get_latest_model_version(name) is None
        assert await connector.transition_model_stage(name, "1", ModelStage.STAGING)
        assert await connector.transition_model_stage(name, 1, "production")
        second = await connector.register_model(run_id=run.run_id, model_name=name, model_path="model")
        assert second is not None
        assert second.version == "2"
        assert await connector.transition_model_stage(name, second.version, "Production")
        latest = await connector.get_latest_model_version(name)
        assert latest is not None
        assert (latest.version, latest.stage) == ("2", ModelStage.PRODUCTION)
        archived = await connector.get_latest_model_version(name, ["Archived"])
        assert archived is not None
        assert archived.version == "1"
        with pytest.warns(UserWarning, match="moved to Development"):
            assert await connector.transition_model_stage(name, "1", "Production", archive_existing=False)
        back = await connector.get_latest_model_version(name, [ModelStage.DEVELOPMENT])
        assert back is not None
        assert back.version == "2"

    asyncio.run(work())
    stages = {version.version: version.tags["stage"] for version in client().search_model_versions(f"name='{name}'")}
    assert {int(number): stage for number, stage in stages.items()} == {1: "production", 2: "development"}
    assert client().get_registered_model(name).aliases == {"production": 1} or client().get_registered_model(
        name
    ).aliases == {"production": "1"}


def test_a_model_may_be_registered_as_it_is_logged(connector: MLflowConnector) -> None:
    model, _ = fitted()
    name = f"logged{time.time_ns()}"

    async def work() -> None:
        async with connector.start_run(experiment_name="stages") as run:
            await run.log_model(model, "model", registered_model_name=name)

    asyncio.run(work())
    assert [int(version.version) for version in client().search_model_versions(f"name='{name}'")] == [1]


@pytest.mark.parametrize("stage", ["banana", "", "PRODUCTION", None])
def test_a_stage_that_does_not_exist_is_refused(workspace: Path, stage: Any) -> None:
    with pytest.raises(ValueError, match="no stage"):
        asyncio.run(MLflowConnector().transition_model_stage("m", "1", stage))


def test_mistakes_are_value_errors_with_a_hint(workspace: Path) -> None:
    connector = MLflowConnector()
    model, _ = fitted()

    async def work() -> None:
        async with connector.start_run(experiment_name="mistakes") as run:
            await run.log_params({"depth": 3})
            with pytest.raises(ValueError, match="cannot become '4'"):
                await run.log_params({"depth": 4})
            with pytest.raises(ValueError, match="not a number"):
                await run.log_metrics({"auc": "high"})  # type: ignore[dict-item]  # the mistake
            with pytest.raises(ValueError, match="there is no file"):
                await run.log_artifact("missing.png")
            with pytest.raises(ValueError, match="not a folder"):
                await run.log_artifact(__file__, "../up")
            with pytest.raises(ValueError, match="no MLflow flavour"):
                await run.log_model(object(), "model")
            with pytest.raises(ValueError, match="not a name for a model"):
                await run.log_model(model, "a/b")
            await run.log_model(model, "model")
        with pytest.raises(ValueError, match="has ended"):
            await run.log_metrics({"late": 1.0})
        with pytest.raises(ValueError, match="models of the run: model"):
            await connector.register_model(run.run_id, "name", "modle")
        with pytest.raises(ValueError, match="no run"):
            await connector.register_model("0" * 32, "name")
        await connector.register_model(run.run_id, "name")
        with pytest.raises(ValueError, match="has no version 7"):
            await connector.transition_model_stage("name", "7", "staging")
        with pytest.raises(ValueError, match="not the number"):
            await connector.transition_model_stage("name", "one", "staging")

    asyncio.run(work())


@pytest.mark.slow
def test_a_silent_tracker_holds_nothing_up_and_loses_nothing(
    workspace: Path, silent: str, mlflow_server: MLflow
) -> None:
    model, _ = fitted()
    down = MLflowConnector(MLflowConfig(tracking_uri=silent, deadline=1))

    async def train() -> tuple[str, str]:
        assert await down.get_or_create_experiment("outage") is None
        async with down.start_run(experiment_name="outage", run_name="silent") as run:
            await run.log_params({"C": 1.0})
            for step in range(20):
                await run.log_metrics({"loss": 1 / (1 + step)}, step=step)
            uri = await run.log_model(model, "model")
        assert await down.register_model(run.run_id, "outage") is None
        assert await down.transition_model_stage("outage", "1", "staging") is False
        with pytest.raises(ToolUnavailable):
            await down.get_latest_model_version("outage")
        return run.run_id, uri

    began = time.monotonic()
    local, uri = asyncio.run(train())
    assert time.monotonic() - began < 20
    assert uri == f"runs:/{local}/model"
    assert not down.enabled or down.state != "closed"


@pytest.mark.parametrize(
    "uri",
    [
        "models:/x/../../../../tmp/evil", "models:/x/%2e%2e/1", "runs:/x/model", "file:///etc", "/etc/passwd", "models:/x",
        "runs:/" + "0" * 32 + "/../../x", "http://127.0.0.1/model", "models:/a/1\nX: 1", "s3://bucket/model",
    ],
)  # fmt: skip
def test_an_address_that_leads_elsewhere_is_refused(workspace: Path, uri: str) -> None:
    with pytest.raises(ValueError, match="not the address of a model"):
        asyncio.run(MLflowConnector().download(uri, workspace))


OUTAGE = """
import asyncio
from sklearn.linear_model import LogisticRegression
from e2i.mlops import MLflowConnector

async def main():
    connector = MLflowConnector()
    async with connector.start_run(experiment_name="back", run_name="later") as run:
        await run.log_params({"C": 1.0})
        for step in range(20):
            await run.log_metrics({"loss": 1 / (1 + step)}, step=step)
        await run.log_model(LogisticRegression().fit([[0], [1]], [0, 1]), "model")
        async with connector.start_run(experiment_name="back", nested=True) as inner:
            await inner.log_metrics({"value": 1.0})
    print(run.run_id, inner.run_id)

asyncio.run(main())
"""


@pytest.mark.slow
def test_what_was_logged_while_the_tracker_was_down_is_delivered_once(
    workspace: Path, mlflow_server: MLflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server.uri)
    mlflow_server.kill()
    local, inner = program(workspace, "-c", OUTAGE).split()
    assert len(local) == 32
    mlflow_server.start()
    assert f"{local} → " in program(workspace, "-m", "e2i", "sync")
    assert "0 delivered" in program(workspace, "-m", "e2i", "sync")
    server = mlflow_server.client()
    experiment = server.get_experiment_by_name("back").experiment_id
    runs = [run for run in server.search_runs([experiment]) if run.data.tags.get("e2i.run_id") == local]
    assert len(runs) == 1
    remote = runs[0].info.run_id
    assert runs[0].info.status == "FINISHED"
    assert runs[0].data.params == {"C": "1.0"}
    assert len(server.get_metric_history(remote, "loss")) == 20
    below = [run for run in server.search_runs([experiment]) if run.data.tags.get("mlflow.parentRunId") == remote]
    assert [run.data.tags["e2i.run_id"] for run in below] == [inner]

    async def register() -> None:  # every call accepts the local id
        connector = MLflowConnector(MLflowConfig(tracking_uri=mlflow_server.uri, deadline=30))
        assert await connector.register_model(local, f"back{time.time_ns()}") is not None
        assert (await connector.download(f"runs:/{local}/model", workspace / "download")).is_dir()

    (workspace / "download").mkdir()
    asyncio.run(register())


def program(workspace: Path, *arguments: str) -> str:
    """What a program prints that must end well."""
    ended = subprocess.run(
        [sys.executable, *arguments], cwd=workspace, capture_output=True, text=True, timeout=180, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.mark.slow
def test_a_program_that_is_killed_loses_nothing_that_it_logged(workspace: Path) -> None:
    code = """
import asyncio, os, signal
from e2i.mlops import MLflowConnector
async def main():
    async with MLflowConnector().start_run(experiment_name="killed") as run:
        for step in range(30):
            await run.log_metrics({"loss": float(step)}, step=step)
        print(run.run_id, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""
    killed = subprocess.run(
        [sys.executable, "-c", code], cwd=workspace, capture_output=True, text=True, timeout=120, check=False
    )
    run_id = killed.stdout.strip()
    assert len(run_id) == 32, killed.stderr
    assert json.loads(program(workspace, "-m", "e2i", "sync", "--json"))
    asyncio.run(MLflowConnector().get_or_create_experiment("killed"))
    assert len(client().get_metric_history(run_id, "loss")) == 30


def test_no_await_blocks_the_loop(workspace: Path, silent: str) -> None:
    down = MLflowConnector(MLflowConfig(tracking_uri=silent, deadline=1))
    gaps: list[float] = []

    async def beat() -> None:
        last = time.monotonic()
        while True:
            await asyncio.sleep(0.005)
            now = time.monotonic()
            gaps.append(now - last)
            last = now

    async def work() -> None:
        import mlflow.sklearn  # noqa: F401 - its import holds the interpreter's lock in any thread

        heart = asyncio.create_task(beat())
        async with down.start_run(experiment_name="loop") as run:
            for step in range(50):
                await run.log_metrics({"loss": 1.0}, step=step)
        heart.cancel()

    asyncio.run(work())
    gaps.sort()
    assert gaps[len(gaps) // 2] < 0.05
    assert gaps[int(len(gaps) * 0.99)] < 0.25  # a busy machine is granted a little
