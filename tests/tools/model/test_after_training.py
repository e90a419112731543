"""model.calibrate, threshold and conformal, and their models wherever they predict."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bento_copies import served
from context import LocalContext
from e2i.catalog.artifacts import Model
from e2i.errors import StepError
from e2i.estimators import travelling
from e2i.tools.mlflow.models import save_scoring
from e2i.tools.model.actions import calibrate, conformal, evaluate, fairness, predict, threshold, train
from e2i.tools.model.params.after_training import CalibrateParams, ConformalParams, ThresholdParams
from e2i.tools.model.params.applying import PredictParams
from e2i.tools.model.params.inspecting import FairnessParams
from e2i.tools.model.params.judging import EvaluateParams
from e2i.tools.model.params.training import TrainParams
from e2i.tools.shap import ExplainParams
from e2i.tools.shap.actions import explain
from learning import others, table

HELD, NEW = 1, 2
"""Seeds of the rows that follow training, and of those that are predicted."""


def fit(ctx: LocalContext, target: str = "binary", algorithm: str = "XGBoost", **params: Any) -> Model:
    size = {"n_estimators": 8} if algorithm in ("XGBoost", "LightGBM", "RandomForest") else {}
    size = {"iterations": 8} if algorithm == "CatBoost" else size
    given: Any = {"params": size, "exclude": others(target), "algorithm": algorithm, **params}
    return train(TrainParams(table=ctx.table(table(300)), target=target, **given), ctx).model


def held(ctx: LocalContext, rows: int = 400, seed: int = HELD) -> Any:
    return ctx.table(table(rows, seed=seed).assign(loss=np.arange(rows) % 7 + 1.0))


def predicted(ctx: LocalContext, model: Model, rows: pd.DataFrame, **params: Any) -> pd.DataFrame:
    found = predict(PredictParams(model=model, table=ctx.table(rows), keep=(), **params), ctx)
    return ctx.frame(found.table)


def finished(ctx: LocalContext, algorithm: str, target: str, method: Any) -> Model:
    """A model with all that its target can have: calibration, threshold, intervals by a feature."""
    model, rows = fit(ctx, target, algorithm), held(ctx)
    if target != "amount":
        model = calibrate(CalibrateParams(model=model, table=rows, method=method), ctx).model
    if target == "binary":
        model = threshold(ThresholdParams(model=model, table=rows, costs={"fp": 1, "fn": "loss"}), ctx).model
    ends: Any = {"method": method, **quantiles(ctx)} if method == "cqr" else {}
    return conformal(ConformalParams(model=model, table=rows, level=0.8, by="kind", **ends), ctx).model


def quantiles(ctx: LocalContext) -> dict[str, Model]:
    """Models of another algorithm, and of fewer features, for the ends of intervals."""
    left_out: Any = {"exclude": [*others("amount"), "count"], "params": {"n_estimators": 30}, "objective": "quantile"}
    return {
        name: fit(ctx, "amount", "LightGBM", quantiles=(level,), **left_out)
        for name, level in (("lower", 0.1), ("upper", 0.9))
    }


CASES = (
    ("XGBoost", "binary", "isotonic"),
    ("CatBoost", "binary", "temperature"),
    ("RandomForest", "three", "sigmoid"),
    ("LogisticRegression", "three", "temperature"),
    ("LightGBM", "amount", ""),
    ("Ridge", "amount", "cqr"),
)


def check_service(answer: Any, wanted: pd.DataFrame) -> None:
    """Compare the answer of a service with the table of model.predict."""
    assert answer["predictions"] == pytest.approx(wanted["prediction"].tolist(), abs=1e-9)
    shares = [name for name in wanted if name.startswith("probability")]
    if not shares:
        bounds = wanted[["lower", "upper"]].to_numpy()
        np.testing.assert_allclose(answer["intervals"], bounds, rtol=0, atol=1e-9)
        assert len({round(upper - lower, 9) for lower, upper in bounds}) > 2  # by kind
        return
    given = np.asarray(answer["probabilities"])[:, 1 if shares == ["probability"] else slice(None)]
    np.testing.assert_allclose(given, wanted[shares].to_numpy().squeeze(), rtol=0, atol=1e-9)
    sets = wanted[[name for name in wanted if name.startswith("set_")]].to_numpy()
    assert [len(row) for row in answer["intervals"]] == sets.sum(axis=1).tolist()


SCRIPT = """
import json, sys
sys.modules["e2i"] = None  # cannot be imported
import pandas as pd
for line in sys.stdin:
    case = json.loads(line)
    rows = pd.read_feather(case["rows"])
    if case["mlflow"]:
        import mlflow.pyfunc
        model = mlflow.pyfunc.load_model(case["model"])
        found, plain = model.predict(rows, params={"table": True}), model.predict(rows)
    else:
        import scoring
        model = scoring._load_pyfunc(case["model"])
        found, plain = model.predict(rows, {"table": True}), model.predict(rows)
    assert len(plain) == len(found)
    found.to_feather(case["found"])
"""


@pytest.mark.parametrize("mlflow", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_finished_model_answers_alike_in_predict_in_a_service_and_without_e2i(
    ctx: LocalContext, tmp_path: Path, mlflow: bool
) -> None:
    for module, file in travelling.files().items():
        (tmp_path / f"{module}.py").write_bytes(file.read_bytes())
    (tmp_path / "script.py").write_text(SCRIPT)
    cases, answers = [], []
    for algorithm, target, method in CASES:
        model = finished(ctx, algorithm, target, method)
        rows = table(60, seed=NEW)[list(model.features)]
        rows.loc[0, "kind"] = "never seen"
        answers.append(predicted(ctx, model, rows, intervals=True))
        if method == "cqr":
            assert (answers[-1]["upper"] - answers[-1]["lower"]).nunique() > 5  # of the row, not only of its group
        body = json.loads(rows.to_json(orient="records", double_precision=15))
        check_service(served(ctx.open(model), tmp_path / f"bento-{algorithm}-{target}").answer(body), answers[-1])
        name = str(tmp_path / f"{algorithm}-{target}")
        rows.to_feather(f"{name}.rows")
        folder = ctx.open(model)
        if mlflow:
            save_scoring(folder, Path(name))
            folder = Path(name)
        cases.append({"rows": f"{name}.rows", "found": f"{name}.found", "model": str(folder), "mlflow": mlflow})
    lines = "\n".join(map(json.dumps, cases))
    done = subprocess.run([sys.executable, "script.py"], input=lines, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    for case, wanted in zip(cases, answers, strict=True):
        pd.testing.assert_frame_equal(pd.read_feather(str(case["found"])), wanted, rtol=0, atol=1e-9)


def test_calibration_reports_figures_before_and_after(ctx: LocalContext) -> None:
    model, rows = fit(ctx, algorithm="RandomForest"), held(ctx)
    found = calibrate(CalibrateParams(model=model, table=rows), ctx)
    assert found.model.calibration == "sigmoid" and model.calibration is None
    assert found.metrics["after_log_loss"] < found.metrics["before_log_loss"]
    assert ctx.metrics.items() >= found.metrics.items()
    assert b"<h1>Calibration</h1>" in (ctx.open(found.report) / "index.html").read_bytes()
    assert calibrate(CalibrateParams(model=model, table=rows), ctx) == found
    explained = asyncio.run(explain(ExplainParams(model=found.model, table=rows, rows=5), ctx))
    assert explained.values and any("before its calibration" in one for one in ctx.warned)
    with pytest.raises(StepError, match="the model was calibrated") as caught:
        calibrate(CalibrateParams(model=found.model, table=rows), ctx)
    assert caught.value.code == "calibrated-late"
    with pytest.raises(StepError, match=r"fewer than 5 rows of 0 \(4\), 1"):
        calibrate(CalibrateParams(model=model, table=ctx.table(table(8, seed=HELD))), ctx)
    with pytest.raises(StepError, match="for classes, and this is a model of regression"):
        calibrate(CalibrateParams(model=fit(ctx, "amount"), table=rows), ctx)


def test_a_threshold_is_used_by_predict_and_evaluate(ctx: LocalContext) -> None:
    model, rows = fit(ctx), held(ctx)
    found = threshold(ThresholdParams(model=model, table=rows, costs={"fp": 1, "fn": 20}), ctx)
    assert found.metrics["cost"] <= found.metrics["half_cost"] and found.threshold < 0.3
    assert found.model.threshold == found.threshold
    new = table(200, seed=NEW)
    answers = predicted(ctx, found.model, new)
    assert tuple(answers) == ("prediction", "probability")  # as the plan knows of two classes
    assert ((answers["probability"] >= found.threshold) == (answers["prediction"] == 1)).all()
    half = predicted(ctx, found.model, new, threshold=0.5)
    assert ((half["probability"] >= 0.5) == (half["prediction"] == 1)).all()
    judged = evaluate(EvaluateParams(model=found.model, table=rows, interval=None, plots=False), ctx).metrics
    assert judged["recall"] == pytest.approx(found.metrics["recall"])
    costly: Any = {"costs": {"fp": 1, "fn": 20}, "plots": False, "table": rows}
    cost = evaluate(EvaluateParams(model=found.model, by=("kind",), **costly), ctx)
    assert cost.metrics["cost"] == pytest.approx(found.metrics["cost"])
    assert cost.intervals["cost"].low < cost.metrics["cost"] < cost.intervals["cost"].high
    assert cost.baseline["cost"] >= cost.metrics["cost"] and "cost" in set(ctx.frame(cost.slices)["metric"])
    with pytest.raises(StepError, match=r"cost is .*, not at most 0\.01"):
        evaluate(EvaluateParams(model=found.model, at_most={"cost": 0.01}, **costly), ctx)
    with pytest.raises(StepError, match="costs are of decisions between two classes"):
        evaluate(EvaluateParams(model=fit(ctx, "amount"), **costly), ctx)
    other = evaluate(EvaluateParams(model=found.model, table=rows, interval=None, plots=False, positive=0), ctx)
    assert other.metrics["accuracy"] == judged["accuracy"]
    page = (ctx.open(found.report) / "index.html").read_text()
    assert "at 0.5" in page and "data:image/png" in page


def test_limits_of_a_threshold_are_kept_or_refused(ctx: LocalContext) -> None:
    model, rows = fit(ctx), held(ctx)
    limit: Any = {"recall": ">=0.9", "positive_rate": "<= 0.8"}
    found = threshold(ThresholdParams(model=model, table=rows, metric="precision", constraint=limit), ctx)
    assert found.metrics["recall"] >= 0.9 and found.metrics["positive_rate"] <= 0.8
    page = (ctx.open(found.report) / "index.html").read_text()
    assert "without that, " in page and " has a precision of " in page
    costs: Any = {"costs": {"fp": 100, "fn": 1}, "table": rows, "plots": False, "interval": None}
    dear = threshold(ThresholdParams(model=model, table=rows, costs={"fp": 100, "fn": 1}, constraint=limit), ctx).model
    kept = evaluate(EvaluateParams(model=dear, **costs), ctx)
    assert "cost" not in kept.baseline, "one decision for all rows has no recall, or a positive rate of 1"
    assert evaluate(EvaluateParams(model=dear, threshold=0.5, **costs), ctx).baseline["cost"] < kept.metrics["cost"]
    assert sum("of one decision for all rows" in one for one in ctx.warned) == 1
    for constraint, said in (
        ({"precision": ">=1", "recall": ">=1"}, "no threshold keeps all of these limits: precision >=1, recall >=1"),
        ({"accuracy": ">=0.99"}, "no threshold reaches accuracy >=0.99: the highest is 0."),
    ):
        with pytest.raises(StepError, match=said) as caught:
            threshold(ThresholdParams(model=model, table=rows, metric="f1", constraint=constraint), ctx)
        assert caught.value.code == "limit-missed"
    with pytest.raises(StepError, match="has 3 classes, and a threshold decides between two"):
        threshold(ThresholdParams(model=fit(ctx, "three"), table=rows, metric="f1"), ctx)
    with pytest.raises(StepError, match="'kind', the cost fn, has values that are missing or no numbers"):
        threshold(ThresholdParams(model=model, table=rows, costs={"fn": "kind"}), ctx)
    for wrong in ({}, {"metric": "f1", "costs": {"fp": 1}}):
        with pytest.raises(ValueError, match="set `metric`, one of accuracy"):
            ThresholdParams(model=model, table=rows, **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("target", ["binary", "three", "amount"])
def test_batches_predict_as_the_whole_table(ctx: LocalContext, target: str) -> None:
    algorithm = {"binary": "XGBoost", "three": "LogisticRegression", "amount": "LightGBM"}[target]
    model = conformal(ConformalParams(model=fit(ctx, target, algorithm), table=held(ctx), by="kind"), ctx).model
    rows = table(101, seed=NEW).drop(columns=["binary", "three", "amount"])
    rows.loc[20:39, "kind"] = "never seen"  # a batch of nothing else
    rows["year"] = pd.array([None, *range(100)], dtype="Int64")
    given = {"model": model, "table": ctx.table(rows), "intervals": True}
    whole = predict(PredictParams.model_validate(given), ctx).table
    unseen, ctx.warned[:] = dict(ctx.metrics), []
    part = predict(PredictParams.model_validate({**given, "batch": 20}), ctx).table
    assert (
        part.columns == whole.columns
        and ctx.metrics == unseen
        and any("never" in one or "kind" in one for one in ctx.warned)
    )
    pd.testing.assert_frame_equal(ctx.frame(part), ctx.frame(whole), rtol=0, atol=1e-12)
    rows["kind"] = "never seen"
    with pytest.raises(StepError, match="has only values that do not occur in the training table") as caught:
        predict(PredictParams.model_validate({**given, "table": ctx.table(rows), "batch": 20}), ctx)
    assert caught.value.code == "unseen-values"


def test_intervals_need_rows_groups_of_features_and_a_model_with_them(ctx: LocalContext) -> None:
    model = fit(ctx, "amount")
    with pytest.raises(StepError, match="the model has no intervals") as caught:
        predicted(ctx, model, table(20, seed=NEW), intervals=True)
    assert caught.value.code == "no-intervals"
    with pytest.raises(StepError, match=r"has 8 rows, and a level of 0.9 needs at least 9"):
        conformal(ConformalParams(model=model, table=held(ctx, 8)), ctx)
    with pytest.raises(StepError, match="'loss' is not a feature of the model"):
        conformal(ConformalParams(model=model, table=held(ctx), by="loss"), ctx)
    found = conformal(ConformalParams(model=model, table=held(ctx, 40), by="count"), ctx)
    assert any("with fewer than 9 rows get the quantile of all rows" in warning for warning in ctx.warned)
    wide = predicted(ctx, found.model, table(200, seed=NEW), intervals=True)
    inside = table(200, seed=NEW)["amount"].between(wide["lower"], wide["upper"])
    assert found.model.level == 0.9 and inside.mean() > 0.8
    judged = evaluate(EvaluateParams(model=found.model, table=held(ctx, 200, NEW), plots=False), ctx)
    assert judged.metrics["coverage"] == pytest.approx(inside.mean())
    assert judged.metrics["width"] == pytest.approx((wide["upper"] - wide["lower"]).mean())
    assert set(judged.intervals) >= {"coverage", "width"}
    three = conformal(ConformalParams(model=fit(ctx, "three"), table=held(ctx, 300), level=0.8), ctx).model
    sets = evaluate(EvaluateParams(model=three, table=held(ctx, 300, NEW), plots=False, interval=None), ctx).metrics
    assert 0.7 < sets["coverage"] < 0.9 and sets["set_size"] < 3
    two = conformal(ConformalParams(model=fit(ctx), table=held(ctx, 300), level=0.8), ctx).model
    for positive in (0, 1):
        turned = EvaluateParams(model=two, table=held(ctx, 300, NEW), plots=False, interval=None, positive=positive)
        assert 0.7 < evaluate(turned, ctx).metrics["coverage"] < 0.9


def test_intervals_between_two_models_need_models_that_fit_and_are_in_order(ctx: LocalContext) -> None:
    model, ends, rows = fit(ctx, "amount", "Ridge"), quantiles(ctx), held(ctx)
    given: dict[str, Any] = {"model": model, "table": rows, "method": "cqr"}
    for wrong, code, said in (
        ({"lower": ends["upper"], "upper": ends["lower"]}, "wrong-order", "`lower` predicts more than `upper`"),
        ({**ends, "upper": fit(ctx)}, "wrong-task", "`upper` is a model of classification of 'binary'"),
        ({"lower": model, "upper": ends["upper"], "model": ends["lower"]}, "bad-feature", "does not have: count"),
    ):
        with pytest.raises(StepError, match=said) as caught:
            conformal(ConformalParams.model_validate({**given, **wrong}), ctx)
        assert caught.value.code == code
    for lacking in ({"lower": ends["lower"]}, {**ends, "method": "residual"}):
        with pytest.raises(ValueError, match="set `lower` and `upper`, two models of quantiles"):
            ConformalParams.model_validate({**given, **lacking})
    found = conformal(ConformalParams.model_validate({**given, **ends}), ctx)
    judged = evaluate(EvaluateParams(model=found.model, table=held(ctx, 400, NEW), plots=False), ctx).metrics
    assert 0.84 < judged["coverage"] < 0.96
    plain = conformal(ConformalParams(model=found.model, table=rows), ctx).model  # and without the ends again
    widths = predicted(ctx, plain, table(50, seed=NEW), intervals=True)
    assert (widths["upper"] - widths["lower"]).round(9).nunique() == 1 and not (ctx.open(plain) / "lower").exists()


def test_fairness_is_judged_at_the_threshold_of_the_model(tmp_path: Path) -> None:
    ctx = LocalContext(tmp_path)
    fitted = threshold(ThresholdParams(model=fit(ctx), table=held(ctx), costs={"fp": 1, "fn": 9}), ctx)
    new = table(400, seed=NEW)
    decided = predicted(ctx, fitted.model, new)["probability"] >= fitted.threshold
    shares = decided.groupby(new["kind"].to_numpy()).mean()
    found = fairness(FairnessParams(model=fitted.model, table=ctx.table(new), by=["kind"], plots=False), ctx)
    assert abs(fitted.threshold - 0.5) > 0.1
    assert found.worst["demographic_parity_difference"] == pytest.approx(shares.max() - shares.min())
