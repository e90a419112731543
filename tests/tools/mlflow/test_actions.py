"""The actions, asked about with MLflow's own client."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from context import LocalContext
from e2i.catalog.artifacts import Model
from e2i.errors import StepError
from e2i.estimators.scoring import load as load_scorer
from e2i.settings import Settings
from e2i.tools.mlflow import LoadParams, PromoteParams, RegisterParams
from e2i.tools.mlflow.actions import load, promote, register
from small_model import small_model

mlflow = pytest.importorskip("mlflow")


def uri(ctx: LocalContext) -> str:
    return f"sqlite:///{ctx.home('mlflow') / 'mlflow.db'}"


def client_of(ctx: LocalContext) -> mlflow.MlflowClient:
    """MLflow's own client, opened once the step has made the database."""
    return mlflow.MlflowClient(uri(ctx))


def registered(ctx: LocalContext, model: Model, **more: object) -> object:
    params = RegisterParams.model_validate({"model": model, "name": "hcp", **more})
    return asyncio.run(register(params, ctx)).version


def test_a_registered_and_promoted_model_predicts_as_it_did_locally(
    ctx: LocalContext, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    model, frame = small_model(ctx)
    version = registered(ctx, model, metrics={"roc_auc": 0.9, "f1": None}, tags={"team": "tier0"}, description="first")
    promoted = asyncio.run(promote(PromoteParams(version=version, stage="production"), ctx))

    client = client_of(ctx)
    found = client.get_model_version_by_alias("hcp", "production")
    assert (int(found.version), found.tags["stage"], found.tags["team"], found.description) == (
        1,
        "production",
        "tier0",
        "first",
    )
    assert promoted.version.alias == "production" and promoted.previous is None
    run = client.get_run(found.run_id)
    assert run.data.tags["e2i.run"] == "run-1" and run.data.metrics == {"roc_auc": 0.9}
    (logged,) = client.search_logged_models([run.info.experiment_id])
    assert [output.model_id for output in run.outputs.model_outputs] == [logged.model_id]
    assert logged.tags["e2i.model"] == model.digest and logged.status == "READY"
    request.addfinalizer(lambda: mlflow.set_tracking_uri(None))
    mlflow.set_tracking_uri(uri(ctx))
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    loaded = mlflow.pyfunc.load_model("models:/hcp@production")
    assert {c.name: c.type.name for c in loaded.metadata.signature.inputs} == {
        "calls": "long",
        "score": "double",
        "brand": "string",
    }
    features = frame[["calls", "score", "brand"]]
    local = load_scorer(ctx.open(model)).predict(features)
    np.testing.assert_allclose(loaded.predict(features), local, atol=1e-6)
    assert not [path for path in ctx.home("mlflow").rglob("*") if path.suffix in (".pkl", ".pickle", ".cloudpickle")]


def test_registering_again_gives_the_same_version(ctx: LocalContext) -> None:
    model, _ = small_model(ctx)
    first = registered(ctx, model, metrics={"roc_auc": 0.9})
    second = registered(ctx, model, metrics={"roc_auc": 0.9})
    client = client_of(ctx)
    assert first == second and len(client.search_model_versions("name = 'hcp'")) == 1
    experiment = client.get_experiment_by_name("test").experiment_id
    assert len(client.search_logged_models([experiment])) == 1
    run = client.search_runs([experiment])[0].info.run_id
    assert len(client.get_metric_history(run, "roc_auc")) == 1


def test_a_crash_between_logging_and_registering_leaves_one_model_and_one_version(
    ctx: LocalContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, _ = small_model(ctx)

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    for method in ("log_model_artifacts", "finalize_logged_model", "create_model_version"):
        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(mlflow.MlflowClient, method, killed)
            registered(ctx, model)
    assert registered(ctx, model).version == 1
    client = client_of(ctx)
    experiment = client.get_experiment_by_name("test").experiment_id
    assert [item.status for item in client.search_logged_models([experiment])] == ["READY"]
    assert len(client.search_runs([experiment])) == 1


def test_a_version_stands_in_one_stage_and_a_stage_holds_one_version(ctx: LocalContext) -> None:
    first = registered(ctx, small_model(ctx)[0])
    second = registered(ctx, small_model(ctx, seed=8)[0])
    client = client_of(ctx)
    for version, stage in ((first, "shadow"), (first, "production"), (second, "production")):
        outcome = asyncio.run(promote(PromoteParams(version=version, stage=stage), ctx))
    assert outcome.previous == first.version
    assert {a: int(v) for a, v in client.get_registered_model("hcp").aliases.items()} == {"production": second.version}
    stages = {int(v.version): v.tags["stage"] for v in client.search_model_versions("name = 'hcp'")}
    assert stages == {first.version: "archived", second.version: "production"}
    ctx.withheld = ("promote_to_production",)  # nothing but the registry knows that it is there
    for stage in ("archived", "development", "staging"):
        with pytest.raises(StepError, match=r"version 2 of 'hcp' is in production, out of which .* may not move it"):
            asyncio.run(promote(PromoteParams(version=second, stage=stage), ctx))
    asyncio.run(promote(PromoteParams(version=first, stage="staging"), ctx))
    assert set(client.get_registered_model("hcp").aliases) == {"production", "staging"}
    ctx.withheld = ()
    for version in (first, second):
        asyncio.run(promote(PromoteParams(version=version, stage="archived"), ctx))
    assert client.get_registered_model("hcp").aliases == {}


def test_a_loaded_model_is_the_artifact_that_was_registered(ctx: LocalContext) -> None:
    model, _ = small_model(ctx)
    version = registered(ctx, model)
    asyncio.run(promote(PromoteParams(version=version, stage="staging"), ctx))
    by_stage = asyncio.run(load(LoadParams(name="hcp", stage="staging"), ctx))
    assert by_stage.model == model and by_stage.version.alias == "staging"
    assert asyncio.run(load(LoadParams(name="hcp", version=1), ctx)).model == model


def test_a_model_whose_files_were_changed_is_not_loaded(ctx: LocalContext) -> None:
    registered(ctx, small_model(ctx)[0])
    (file,) = ctx.home("mlflow").rglob("artifacts/**/data/model/manifest.json")
    file.chmod(0o644)
    file.write_text(file.read_text().replace('"seed": 7', '"seed": 6'))
    with pytest.raises(StepError) as caught:
        asyncio.run(load(LoadParams(name="hcp", version=1), ctx))
    assert caught.value.code == "model-changed"


def test_what_is_not_there_is_named(ctx: LocalContext) -> None:
    version = registered(ctx, small_model(ctx)[0])
    with pytest.raises(StepError, match="no version 9"):
        asyncio.run(promote(PromoteParams(version=version.model_copy(update={"version": 9}), stage="staging"), ctx))
    with pytest.raises(StepError, match="in shadow"):
        asyncio.run(load(LoadParams(name="hcp", stage="shadow"), ctx))


@pytest.mark.parametrize("name", ["x/../../tmp/evil", "a b", "..", "models:/x", "x@production", "", "x'--"])
def test_a_name_that_could_lead_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        LoadParams(name=name, version=1)


def test_a_store_that_was_moved_still_loads_its_models(ctx: LocalContext, tmp_path: Path) -> None:
    model, _ = small_model(ctx)
    registered(ctx, model)
    (tmp_path / "moved").mkdir()
    (tmp_path / "store").rename(tmp_path / "moved" / "store")
    moved = LocalContext(tmp_path / "moved")
    assert asyncio.run(load(LoadParams(name="hcp", version=1), moved)).model == model
    moved.close()


def test_nothing_is_left_in_the_home_but_the_database_and_artifacts(ctx: LocalContext) -> None:
    registered(ctx, small_model(ctx)[0])
    names = {path.name for path in ctx.home("mlflow").iterdir()} - {"mlflow.db-wal", "mlflow.db-shm"}
    assert names == {"mlflow.db", "artifacts", "artifacts.path", "lock"}


def test_an_artifact_root_that_an_experiment_would_ignore_fails_the_step(tmp_path: Path) -> None:
    one = LocalContext(tmp_path)
    registered(one, small_model(one)[0])
    settings = {"artifact_root": f"file://{tmp_path}/elsewhere", "deadline": 60}
    other = LocalContext(tmp_path, settings=Settings(tools={"mlflow": settings}))
    model = small_model(other)[0]
    with pytest.raises(StepError, match="stores its files in") as caught:
        registered(other, model)
    assert caught.value.code == "artifact-root"
    moved = LocalContext(tmp_path, settings=Settings(tools={"mlflow": {**settings, "experiment_prefix": "new/"}}))
    registered(moved, model)
    assert list((tmp_path / "elsewhere").rglob("data/model/manifest.json"))
    for ctx in (one, other, moved):
        ctx.close()
