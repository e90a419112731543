"""Effect models where they travel: predictions, MLflow, BentoML and SHAP have the effects of the model itself."""

from __future__ import annotations

import asyncio
import io
import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from called import ask, data
from context import LocalContext
from e2i.catalog.registry import BUILT_IN
from e2i.errors import StepError
from e2i.estimators import effect_scoring, effects, forests, scoring
from e2i.tools.causal import EstimateOutputs

LINEAR = {"estimator": "LinearDML"}
FOREST = {"estimator": "CausalForest", "params": {"n_estimators": 20}}
LEARNER = {"estimator": "XLearner", "confounders": []}
OFFER = {"estimator": "OrthoIV", "instrument": "size", "confounders": []}


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Any:
    context = LocalContext(tmp_path_factory.mktemp("studio"))
    yield context
    context.close()


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return data(600)


@pytest.fixture(scope="module", params=[LINEAR, FOREST], ids=["LinearDML", "CausalForest"])
def found(studio: LocalContext, frame: pd.DataFrame, request: pytest.FixtureRequest) -> EstimateOutputs:
    return ask(studio, frame, **request.param, folds=2, level=0.8)


def answers(ctx: LocalContext, found: EstimateOutputs, frame: pd.DataFrame) -> pd.DataFrame:
    return effects.predict(found.model, frame, ctx)


def run(ctx: LocalContext, action: str, **params: Any) -> Any:
    tool, _, name = action.partition(".")
    module = __import__(f"e2i.tools.{tool}.actions", fromlist=["actions"])
    done = getattr(module, name)(BUILT_IN.validate(action, params), ctx)
    return asyncio.run(done) if asyncio.iscoroutine(done) else done


def test_predictions_are_effects_with_the_level_of_the_estimate(
    studio: LocalContext, frame: pd.DataFrame, found: EstimateOutputs
) -> None:
    by_row = studio.frame(found.effects)
    table = run(studio, "model.predict", model=found.model, table=studio.table(frame), keep=["size"]).table
    predicted = studio.frame(table)
    assert list(predicted.columns) == ["size", "effect", "lower", "upper"]
    for ours, theirs in (("effect", "effect"), ("lower", "effect_low"), ("upper", "effect_high")):
        np.testing.assert_array_equal(predicted[ours], by_row[theirs])


def test_a_missing_column_and_a_column_that_would_be_replaced_are_refused(
    studio: LocalContext, frame: pd.DataFrame, found: EstimateOutputs
) -> None:
    with pytest.raises(StepError, match="share") as caught:
        run(studio, "model.predict", model=found.model, table=studio.table(frame[["segment"]]))
    assert caught.value.code == "bad-features"
    with pytest.raises(StepError, match="effect"):
        run(studio, "model.predict", model=found.model, table=studio.table(frame.assign(effect=1.0)))


def test_a_manifest_of_another_version_and_a_changed_forest_are_refused(
    studio: LocalContext, found: EstimateOutputs, tmp_path: Path
) -> None:
    manifest = json.loads((studio.open(found.model) / "manifest.json").read_text())
    for changed in ({"schema_version": 2}, {"forest": "CausalForest", "sha256": "0" * 64}):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        (folder / "manifest.json").write_text(json.dumps(manifest | changed))
        (folder / "forest.npz").write_bytes(b"PK")
        with pytest.raises(scoring.ScoringError, match="is not a saved effect model"):
            effect_scoring.load(folder, scoring)


def test_a_forged_forest_is_refused_before_native_code_follows_it() -> None:
    r = np.random.default_rng(0)
    rows, treated = r.normal(size=(200, 3)), r.integers(0, 2, 200)
    grf = pytest.importorskip("econml.grf")
    forest = grf.CausalForest(n_estimators=4, min_samples_leaf=5).fit(rows, treated, rows[:, 0] * treated)
    content = forests.to_arrays(forest)
    assert effect_scoring.from_arrays(content, "CausalForest").predict(rows[:2]).shape == (2, 1)
    with np.load(io.BytesIO(content)) as arrays:
        sound = {name: arrays[name] for name in arrays.files}

    def refused(message: str, **changed: Any) -> None:
        written = io.BytesIO()
        np.savez(written, **{name: value for name, value in (sound | changed).items() if value is not None})
        with pytest.raises(ValueError, match=message):
            effect_scoring.from_arrays(written.getvalue(), "CausalForest")

    def nodes(field: str, value: int) -> Any:
        forged = sound["nodes"].copy()
        forged[field][0] = value
        return forged

    for child in (10**12, 0, -7):
        refused("leads out of its tree", nodes=nodes("left_child", child))
        refused("leads out of its tree", nodes=nodes("right_child", child))
    refused("a feature that there is not", nodes=nodes("feature", 3))
    refused("lacks counts", counts=None)
    refused("other nodes than they say", counts=sound["counts"] + 1)
    refused("no sizes", shape=np.array([3]))
    refused("not those of its features", trees=sound["trees"] + 1)


def test_shap_values_of_effects_add_up_to_them_and_name_what_makes_them_differ(
    studio: LocalContext, frame: pd.DataFrame, found: EstimateOutputs
) -> None:
    pytest.importorskip("shap")
    table = studio.table(frame)
    explained = run(studio, "shap.explain", model=found.model, table=table, rows=20, plots=False, seed=1)
    assert explained.explainer == ("linear" if found.model.estimator == "LinearDML" else "exact")
    assert next(iter(explained.importance)) == "share"
    values = studio.frame(explained.values)
    effect = answers(studio, found, frame)["effect"].to_numpy()[values["row"]]
    np.testing.assert_allclose(values[["share", "segment"]].sum(axis=1) + values["expected_value"], effect, atol=1e-8)
    if found.model.estimator == "CausalForest":  # its trees explain their mean, which is nearly the effect
        asked = {"model": found.model, "table": table, "rows": 20, "plots": False, "seed": 1}
        trees = studio.frame(run(studio, "shap.explain", explainer="tree", **asked).values)
        near = trees[["share", "segment"]].sum(axis=1) + trees["expected_value"]
        assert np.corrcoef(near, effect)[0, 1] > 0.97
        with pytest.raises(StepError, match="no interactions along their trees"):
            run(studio, "shap.explain", explainer="tree", interactions=True, **asked)


@pytest.mark.slow
@pytest.mark.parametrize("found", [FOREST], indirect=True)  # a process has one home of BentoML
def test_a_served_effect_model_answers_over_http_as_it_does_locally(
    studio: LocalContext, frame: pd.DataFrame, found: EstimateOutputs
) -> None:
    if find_spec("bentoml") is None:  # an import would settle where its home is
        pytest.skip("BentoML is not installed")
    bento = run(studio, "bentoml.package", model=found.model, name="effects").bento
    service = run(studio, "bentoml.serve", bento=bento).service
    asked = run(studio, "bentoml.predict", service=service, table=studio.table(frame), rows=50, model=found.model)
    assert asked.max_difference <= 1e-6
    predicted = studio.frame(asked.predictions)
    assert list(predicted.columns) == ["effect", "lower", "upper"]
    np.testing.assert_allclose(predicted, answers(studio, found, frame.head(50)), atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("found", [LINEAR, FOREST, LEARNER, OFFER], indirect=True)
def test_mlflow_loads_it_without_e2i_and_without_a_pickle_and_answers_the_same(
    studio: LocalContext, frame: pd.DataFrame, found: EstimateOutputs, tmp_path: Path
) -> None:
    pytest.importorskip("mlflow")
    from e2i.tools.mlflow.models import save_scoring

    assert save_scoring(studio.open(found.model), tmp_path / "saved") == "pyfunc"
    frame.head(50).to_feather(tmp_path / "rows.feather")
    program = (
        "import sys, pandas, mlflow.pyfunc\n"
        "sys.modules['e2i'] = None\n"  # so that no module of it can be imported
        "rows = pandas.read_feather('rows.feather')\n"
        "answers = mlflow.pyfunc.load_model('saved').predict(rows[['share', 'segment']])\n"
        "answers.to_feather('answers.feather')\n"
    )
    environ = os.environ | {"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environ, check=True, timeout=60)
    there = pd.read_feather(tmp_path / "answers.feather")
    np.testing.assert_allclose(there, answers(studio, found, frame.head(50)), atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("found", [LEARNER], indirect=True)
def test_differences_of_predictions_are_explained_and_answered_without_bounds(
    studio: LocalContext, frame: pd.DataFrame, found: EstimateOutputs
) -> None:
    pytest.importorskip("shap")
    from e2i.tools.bentoml import flavours

    table = studio.table(frame)
    explained = run(studio, "shap.explain", model=found.model, table=table, rows=20, plots=False, seed=1)
    values = studio.frame(explained.values)
    effect = answers(studio, found, frame)["effect"].to_numpy()[values["row"]]
    np.testing.assert_allclose(values[["share", "segment"]].sum(axis=1) + values["expected_value"], effect, atol=1e-8)
    modules = {"scoring": scoring, "effect_scoring": effect_scoring}
    served = flavours._read_effects(studio.open(found.model), {}, modules.__getitem__).predict(frame.head(2))
    assert json.loads(json.dumps(served, allow_nan=False))[0][1:] == [None, None]
    file = studio.open(found.model) / "treated.skops"
    content = file.read_bytes()
    with pytest.raises(scoring.ScoringError, match=r"treated\.skops is not the file that was saved"):
        folder = studio.scratch / "forged"
        effects.save(effects.load(studio.open(found.model)), folder)
        (folder / "treated.skops").write_bytes(content + b" ")
        effect_scoring.load(folder, scoring)


def test_a_registered_effect_model_is_loaded_again_and_cannot_be_compared_by_a_metric(
    studio: LocalContext, frame: pd.DataFrame, found: EstimateOutputs
) -> None:
    pytest.importorskip("mlflow")
    name = f"effect-{found.model.estimator}"
    version = run(studio, "mlflow.register", model=found.model, name=name).version
    loaded = run(studio, "mlflow.load", name=name, version=version.version).model
    assert loaded == found.model
    better = {"metric": "rmse", "table": studio.table(frame), "no_champion": "promote"}
    with pytest.raises(StepError, match=r"causal\.refute|no column has the effects"):
        run(studio, "mlflow.promote", version=version, stage="production", if_better=better)
