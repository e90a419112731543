"""model.train, evaluate, predict and select on real tables."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from context import LocalContext
from e2i.catalog.artifacts import read_artifacts
from e2i.catalog.registry import BUILT_IN
from e2i.errors import StepError
from e2i.estimators import saved
from e2i.tools.model.actions import evaluate, predict, select, train
from e2i.tools.model.params.applying import PredictParams
from e2i.tools.model.params.choosing import SelectParams
from e2i.tools.model.params.judging import EvaluateParams
from e2i.tools.model.params.training import TrainOutputs, TrainParams
from learning import others, table


def fit(ctx: LocalContext, target: str = "binary", **params: Any) -> TrainOutputs:
    given = {"params": {"n_estimators": 12}, "exclude": others(target), **params}
    return train(TrainParams(table=ctx.table(table(300)), target=target, **given), ctx)


def test_training_records_the_model_its_parameters_and_metrics(ctx: LocalContext) -> None:
    found = fit(ctx, validation=ctx.table(table(100, seed=1)))
    assert found.model.features == ("a", "b", "count", "flag", "kind")
    assert found.model.task == "classification" and found.model.algorithm == "XGBoost"
    assert found.metrics["train_roc_auc"] > found.metrics["validation_roc_auc"] > 0.7
    assert ctx.metrics == found.metrics
    assert ctx.params == {"n_estimators": 12, "algorithm": "XGBoost", "positive_class": "1"}
    assert ctx.attachments["model"] == found.model.model_dump(mode="json")


def test_equal_work_gives_an_equal_model(ctx: LocalContext) -> None:
    assert fit(ctx) == fit(ctx)
    params = {"n_estimators": 12, "subsample": 0.5}
    assert fit(ctx, params=params, seed=1).model.digest != fit(ctx, params=params, seed=2).model.digest


def test_early_stopping_needs_a_validation_table(ctx: LocalContext) -> None:
    stop = {"rounds": 3}
    with pytest.raises(StepError, match="needs a validation table"):
        fit(ctx, early_stopping=stop)
    found = fit(ctx, early_stopping=stop, validation=ctx.table(table(100, seed=1)), params={"n_estimators": 500})
    assert saved.open_model(found.model, ctx).native.num_boosted_rounds() < 100


def test_the_task_can_be_set(ctx: LocalContext) -> None:
    assert fit(ctx, "binary", task="regression").model.task == "regression"
    with pytest.raises(StepError, match="LogisticRegression does not support regression") as caught:
        fit(ctx, "amount", task="regression", algorithm="LogisticRegression", params={})
    assert "Ridge" in str(caught.value.hint)


@pytest.mark.parametrize(("target", "metric"), [("binary", "roc_auc"), ("three", "accuracy"), ("amount", "r2")])
def test_evaluation_gives_metrics_and_one_page_that_needs_nothing_else(
    ctx: LocalContext, target: str, metric: str
) -> None:
    model = fit(ctx, target).model
    params = EvaluateParams(model=model, table=ctx.table(table(200, seed=1)))
    found = evaluate(params, ctx)
    assert 0.5 < found.metrics[metric] <= 1.0
    assert ctx.metrics.items() >= found.metrics.items()
    page = (ctx.open(found.report) / "index.html").read_text(encoding="utf-8")
    assert "data:image/png;base64," in page and "http" not in page
    assert evaluate(params, ctx) == found


def test_text_from_the_data_cannot_become_markup(ctx: LocalContext) -> None:
    frame = table(200).rename(columns={"binary": "<script>x"})
    data = ctx.table(frame)
    params = TrainParams(
        table=data, target="<script>x", params={"n_estimators": 3}, exclude=["three", "amount"], algorithm="XGBoost"
    )
    report = evaluate(EvaluateParams(model=train(params, ctx).model, table=data, plots=False), ctx).report
    assert "<script>" not in (ctx.open(report) / "index.html").read_text(encoding="utf-8")


def test_predictions_stand_beside_the_kept_columns(ctx: LocalContext) -> None:
    given = ctx.table(table(50, seed=2))
    binary = fit(ctx).model
    rows = ctx.frame(predict(PredictParams(model=binary, table=given, keep=["b"], threshold=0.3), ctx).table)
    assert list(rows) == ["b", "prediction", "probability"]
    assert ((rows["probability"] >= 0.3) == (rows["prediction"] == 1)).all()
    scorer = saved.open_model(binary, ctx)
    assert np.array_equal(rows["probability"], scorer.predict(table(50, seed=2)))
    three = ctx.frame(predict(PredictParams(model=fit(ctx, "three").model, table=given, keep=[]), ctx).table)
    assert list(three) == ["prediction", "probability_high", "probability_low", "probability_middle"]
    assert set(three["prediction"]) <= {"high", "low", "middle"}
    amount = ctx.frame(predict(PredictParams(model=fit(ctx, "amount").model, table=given), ctx).table)
    assert list(amount) == [*table(1), "prediction"]


def test_predictions_do_not_overwrite_a_column(ctx: LocalContext) -> None:
    given = ctx.table(table(20).assign(prediction=1))
    with pytest.raises(StepError, match="same name as the predictions: prediction"):
        predict(PredictParams(model=fit(ctx).model, table=given), ctx)


def test_the_best_cell_of_a_matrix_is_selected_on_a_table(ctx: LocalContext) -> None:
    cells = [
        {"matrix": {"algorithm": name}, "outputs": fit(ctx, algorithm=name, params=params).model_dump(mode="json")}
        for name, params in (("XGBoost", {"n_estimators": 1, "max_depth": 1}), ("LogisticRegression", {}))
    ]
    held_out = ctx.table(table(300, seed=4)).model_dump(mode="json")
    found = select(SelectParams.model_validate(read_artifacts({"candidates": cells, "table": held_out})), ctx)
    assert found.name == "LogisticRegression" == found.model.algorithm
    assert [one.name for one in found.ranking] == ["LogisticRegression", "XGBoost"]
    assert found.ranking[0].value == found.metrics["roc_auc"] > found.ranking[1].value


def test_models_are_selected_by_the_metrics_they_come_with(ctx: LocalContext) -> None:
    first, second = fit(ctx), fit(ctx, params={"n_estimators": 3})
    named = {
        "first": {"model": first.model, "metrics": {"log_loss": 0.4}},
        "second": {"model": second.model, "metrics": {"log_loss": 0.3}},
    }
    assert select(SelectParams(candidates=named, metric="log_loss"), ctx).name == "second"
    assert select(SelectParams(candidates=named, metric="log_loss", direction="maximize"), ctx).name == "first"
    assert (
        select(SelectParams(candidates=[first.model_dump(), second.model_dump()], metric="train_roc_auc"), ctx).name
        == "XGBoost 1"
    )
    with pytest.raises(StepError, match="the metric 'roc_auc' is missing for first, second"):
        select(SelectParams(candidates=named), ctx)
    with pytest.raises(StepError, match="the better direction of 'profit' is unknown"):
        worth = {"only": {"model": first.model, "metrics": {"profit": 1.0}}}
        select(SelectParams(candidates=worth, metric="profit"), ctx)


def test_a_corrupt_model_is_an_error_of_the_step(ctx: LocalContext) -> None:
    model = fit(ctx).model
    folder = ctx.scratch / "broken"
    folder.mkdir()
    for file in ctx.open(model).iterdir():
        (folder / file.name).write_bytes(b"{broken" if file.name == "model.ubj" else file.read_bytes())
    broken = ctx.keep(folder, type(model), **model.model_dump(exclude={"digest", "type"}))
    with pytest.raises(StepError, match=r"cannot be loaded: model\.ubj is corrupt"):
        predict(PredictParams(model=broken, table=ctx.table(table(5))), ctx)


@pytest.mark.parametrize("name", ["model", "optuna", "shap"])
def test_declarations_are_light(name: str) -> None:
    import subprocess

    heavy = "{'numpy', 'pandas', 'sklearn', 'xgboost', 'optuna', 'shap', 'matplotlib'}"
    script = f"import sys, e2i.tools.{name}; assert not {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True, env={"PYTHONPATH": ":".join(sys.path)})
    declared = BUILT_IN.tool(name)
    assert declared is not None
    for action in declared.actions:
        for model in (action.params, action.outputs):
            missing = [key for key, field in model.model_fields.items() if not field.description]
            assert not missing and model.model_json_schema()
