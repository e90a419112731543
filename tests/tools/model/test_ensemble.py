"""model.ensemble: equal to scikit-learn's stacking, never worse than the best member by its choice, and a model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import nnls
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from bento_copies import served
from context import LocalContext
from e2i.errors import StepError
from e2i.estimators import deciding, ensembles, metrics, saved
from e2i.estimators.ensembles import Stacking
from e2i.tools.data.actions import folds
from e2i.tools.data.folding import FoldsParams
from e2i.tools.mlflow.models import save_scoring
from e2i.tools.model.actions import calibrate, cross_validate, ensemble, evaluate, train
from e2i.tools.model.params.after_training import CalibrateParams
from e2i.tools.model.params.combining import EnsembleOutputs, EnsembleParams
from e2i.tools.model.params.judging import EvaluateParams
from e2i.tools.model.params.training import CrossValidateParams, TrainParams
from e2i.tools.prepare import RecipeParams
from e2i.tools.prepare.actions import recipe
from e2i.tools.shap import scorers
from e2i.tools.shap.values import How
from learning import others, table

SIZES = {"XGBoost": {"n_estimators": 8}, "RandomForest": {"n_estimators": 8}}


def crossed(ctx: LocalContext, target: str, algorithms: Sequence[str], **more: Any) -> dict[str, Any]:
    """Steps of model.cross_validate on the same folds; linear models with a recipe."""
    rows = ctx.table(table(240))
    made = folds(FoldsParams(table=rows, strategy="kfold", folds=3, **more), ctx).folds
    steps = recipe(RecipeParams(steps=[{"op": "impute", "types": ["number"]}]), ctx).recipe
    found = {}
    for name in algorithms:
        given = {"target": target, "algorithm": name, "params": SIZES.get(name, {}), "exclude": others(target)}
        prepare = None if name in SIZES else steps
        one = cross_validate(CrossValidateParams(table=rows, folds=made, prepare=prepare, **given), ctx)
        found[name] = {"model": one.model, "oof": one.oof}
    return found


def run(ctx: LocalContext, models: Any, **more: Any) -> EnsembleOutputs:
    return ensemble(EnsembleParams(models=models, **more), ctx)


@pytest.mark.parametrize(
    ("target", "algorithms", "method"),
    [
        ("binary", ("XGBoost", "LogisticRegression"), "stack"),
        ("three", ("RandomForest", "LogisticRegression"), "greedy"),
        ("amount", ("XGBoost", "Ridge"), "mean"),
        pytest.param("three", ("XGBoost", "LogisticRegression"), "stack", marks=pytest.mark.slow),
        pytest.param("amount", ("RandomForest", "Ridge"), "stack", marks=pytest.mark.slow),
        pytest.param("binary", ("XGBoost", "RandomForest"), "greedy", marks=pytest.mark.slow),
    ],
)
def test_an_ensemble_combines_its_members_alike_everywhere(
    ctx: LocalContext, target: str, algorithms: tuple[str, ...], method: Any, tmp_path: Path
) -> None:
    with threadpool_limits(1):
        models = crossed(ctx, target, algorithms)
        found = run(ctx, models, method=method, fallback=False)
    assert found.chosen == "ensemble" and set(found.metrics) == {*algorithms, "ensemble"}
    scorer, frame = saved.open_model(found.model, ctx), table(60, seed=3)
    predicted = np.stack([saved.open_model(one["model"], ctx).predict(frame) for one in models.values()], axis=1)
    if method == "mean":
        np.testing.assert_allclose(scorer.predict(frame), predicted.mean(axis=1), rtol=0, atol=1e-12)
    elif method == "greedy":
        weights = np.array(list(found.weights.values()))
        assert weights.sum() == pytest.approx(1.0)
        np.testing.assert_allclose(scorer.predict(frame), np.tensordot(predicted, weights, (1, 0)), rtol=0, atol=1e-12)
    alone = np.stack([scorer.predict(frame.iloc[[place]])[0] for place in range(5)])
    np.testing.assert_allclose(alone, scorer.predict(frame)[:5], rtol=0, atol=1e-12)
    rows = frame[list(found.model.features)]
    body = json.loads(rows.to_json(orient="values", double_precision=15))
    answers, shares = served(ctx.open(found.model), tmp_path / "bento").predict(body)
    copied = np.asarray(answers if shares is None else shares)
    copied = copied[:, 1] if target == "binary" else copied
    np.testing.assert_allclose(copied, scorer.predict(frame), rtol=0, atol=1e-9)


def test_stacking_is_the_least_squares_of_scipy_and_the_regression_of_scikit_learn() -> None:
    r = np.random.default_rng(4)
    truth = r.normal(size=300)
    numbers = np.column_stack([truth + r.normal(0, scale, 300) for scale in (0.3, 0.6)] + [-truth])
    mixture = ensembles.fit(Stacking("stack", "rmse", 1), "regression", truth, numbers)
    wanted, _ = nnls(numbers - numbers.mean(axis=0), truth - truth.mean())
    np.testing.assert_allclose(np.ravel(mixture["coefficients"]), wanted, atol=1e-9)
    assert wanted[2] == 0.0 and metrics.score("rmse", truth, deciding.combined(numbers, mixture)) < 0.3
    for classes in (2, 3):
        raw = r.normal(size=(300, 2, classes))
        shares = np.exp(raw) / np.exp(raw).sum(axis=2, keepdims=True)
        labels = raw[:, 0].argmax(axis=1)
        predicted = shares[:, :, 1] if classes == 2 else shares
        mixture = ensembles.fit(Stacking("stack", "log_loss", 1), "classification", labels, predicted)
        inputs = np.log(shares[:, :, 1] / shares[:, :, 0]) if classes == 2 else np.log(shares).reshape(300, -1)
        oracle = LogisticRegression(max_iter=1000, tol=1e-8).fit(inputs, labels).predict_proba(inputs)
        np.testing.assert_allclose(
            deciding.combined(predicted, mixture), oracle[:, 1] if classes == 2 else oracle, atol=1e-6
        )


def test_selection_leaves_out_what_does_not_help_and_the_best_single_model_is_kept() -> None:
    r = np.random.default_rng(2)
    labels = r.integers(0, 2, 400)
    good, noise = np.where(labels == 1, 0.9, 0.1), r.random(400)
    mixture = ensembles.fit(
        Stacking("greedy", "log_loss", 20), "classification", labels, np.column_stack([noise, good])
    )
    assert mixture["weights"] == [0.0, 1.0]


def test_an_ensemble_is_a_model_as_any_other(ctx: LocalContext) -> None:
    models = crossed(ctx, "binary", ("XGBoost", "LogisticRegression"))
    bare = run(
        ctx, {name: one["model"] for name, one in models.items()}, weights={"XGBoost": 3, "LogisticRegression": 1}
    )
    assert bare.weights == {"XGBoost": 0.75, "LogisticRegression": 0.25} and bare.metrics == {}
    rows = ctx.table(table(300, seed=5))
    held = calibrate(CalibrateParams(model=bare.model, table=rows), ctx).model
    judged = evaluate(EvaluateParams(model=held, table=ctx.table(table(300, seed=6)), interval=None, plots=False), ctx)
    assert judged.metrics["roc_auc"] > 0.6
    evaluate(EvaluateParams(model=bare.model, table=ctx.table(table(240)), interval=None, plots=False), ctx)
    assert "of the rows were in the training table" in ctx.warned[-1]
    frame = table(300, seed=5)
    explained = scorers.explain(saved.open_model(held, ctx), frame.head(3), frame, How(background_rows=20))
    assert explained.features == list(bare.model.features) and explained.values.shape == (3, 5, 1)
    with pytest.raises(StepError, match="needs a model of trees, and Ensemble is none"):
        scorers.explain(saved.open_model(held, ctx), frame.head(3), frame, How(explainer="tree"))
    nested = run(ctx, {"whole": bare.model, "one": models["XGBoost"]["model"]})
    assert nested.model.features == bare.model.features


@pytest.mark.slow
def test_mlflow_answers_as_the_ensemble_where_e2i_cannot_be_imported(ctx: LocalContext) -> None:
    models = crossed(ctx, "binary", ("XGBoost", "LogisticRegression"))
    found = run(ctx, models, method="stack", fallback=False).model
    saved_as, rows = ctx.scratch / "saved", table(60, seed=3)[list(found.features)]
    assert save_scoring(ctx.open(found), saved_as) == "pyfunc"
    rows.to_feather(ctx.scratch / "rows.feather")
    program = (
        "import sys\n"
        "sys.modules['e2i'] = None\n"  # so that no module of it can be imported
        "import mlflow.pyfunc, numpy, pandas\n"
        "model = mlflow.pyfunc.load_model(sys.argv[1])\n"
        "numpy.save(sys.argv[3], model.predict(pandas.read_feather(sys.argv[2])))\n"
    )
    paths = [str(saved_as), str(ctx.scratch / "rows.feather"), str(ctx.scratch / "answers.npy")]
    environ = os.environ | {"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    done = subprocess.run([sys.executable, "-c", program, *paths], capture_output=True, text=True, env=environ)
    assert done.returncode == 0, done.stderr[-2000:]
    wanted = saved.open_model(found, ctx).predict(rows)
    np.testing.assert_allclose(np.load(paths[2]), wanted, rtol=0, atol=1e-9)


def test_what_cannot_be_combined(ctx: LocalContext) -> None:
    both = crossed(ctx, "binary", ("XGBoost", "LogisticRegression"))
    fell_back = run(ctx, both, metric="roc_auc", method="mean", weights={"XGBoost": 0, "LogisticRegression": 1})
    assert fell_back.chosen == "LogisticRegression" and fell_back.model == both["LogisticRegression"]["model"]
    assert fell_back.conclusion.startswith("The ensemble is not better: roc_auc 0.")
    with pytest.raises(StepError, match="out of fold, and XGBoost has none"):
        run(ctx, {**both, "XGBoost": both["XGBoost"]["model"]}, method="stack")
    with pytest.raises(StepError, match="no model is named 'Ridge'"):
        run(ctx, both, weights={"Ridge": 1})
    frame = ctx.frame(both["XGBoost"]["oof"])
    turned = frame.assign(probability=1 - frame["probability"])
    for changed, message in ((frame.iloc[:-1], "same rows and splits"), (turned, "another class than 1")):
        with pytest.raises(StepError, match=message):
            run(ctx, {**both, "XGBoost": {**both["XGBoost"], "oof": ctx.table(pd.DataFrame(changed))}}, method="greedy")
    given = {"target": "binary", "features": ["a"], "params": {"n_estimators": 2}}
    turned_model = train(TrainParams(table=ctx.table(table(240)), positive=0, **given), ctx).model
    with pytest.raises(StepError, match=r"predicts binary \(classification of 1, 0\)"):
        run(ctx, {"one": both["XGBoost"]["model"], "two": turned_model})
    with pytest.raises(ValueError, match="belong to `method: mean`"):
        EnsembleParams(models=both, method="stack", weights={"XGBoost": 1})
