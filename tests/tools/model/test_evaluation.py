"""Figures that can be trusted: intervals, baselines, the positive class, and warnings beside them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from context import LocalContext
from e2i.catalog.artifacts import Model
from e2i.errors import StepError
from e2i.estimators.calibrating import curve as calibration
from e2i.tools.model.actions import evaluate, predict, train
from e2i.tools.model.params.applying import PredictParams
from e2i.tools.model.params.judging import EvaluateOutputs, EvaluateParams
from e2i.tools.model.params.training import TrainParams
from e2i.tools.prepare import RecipeParams
from e2i.tools.prepare.actions import recipe
from learning import others, table


def fit(ctx: LocalContext, frame: pd.DataFrame | None = None, target: str = "binary", **params: Any) -> Model:
    frame = table(300) if frame is None else frame
    given = {"params": {"n_estimators": 12}, "exclude": [name for name in others(target) if name in frame], **params}
    return train(TrainParams(table=ctx.table(frame), target=target, **given), ctx).model


def judge(ctx: LocalContext, model: Model, frame: pd.DataFrame, **params: Any) -> EvaluateOutputs:
    return evaluate(EvaluateParams(model=model, table=ctx.table(frame), plots=False, **params), ctx)


def page(ctx: LocalContext, found: EvaluateOutputs) -> str:
    return (ctx.open(found.report) / "index.html").read_text(encoding="utf-8")


def late(frame: pd.DataFrame, positive: str, negative: str) -> pd.DataFrame:
    return frame.assign(binary=frame["binary"].map({1: positive, 0: negative}))


@pytest.mark.parametrize("target", ["binary", "three", "amount"])
def test_every_metric_has_an_interval_and_the_figure_of_a_constant_answer(ctx: LocalContext, target: str) -> None:
    found = judge(ctx, fit(ctx, target=target), table(300, seed=1))
    named = set(found.metrics) - {"prevalence"}
    assert set(found.intervals) == named
    assert all(found.intervals[name].low < found.metrics[name] < found.intervals[name].high for name in named)
    comparable = {"accuracy", "log_loss", "brier"} if target != "amount" else {"rmse", "mae"}
    assert comparable <= set(found.baseline)
    for name in comparable:
        assert ctx.metrics[f"baseline_{name}"] == found.baseline[name]
        assert ctx.metrics[f"{name}_low"] == found.intervals[name].low
    assert "95% interval" in page(ctx, found) and "constant answer" in page(ctx, found)
    assert judge(ctx, fit(ctx, target=target), table(300, seed=1), interval=None).intervals == {}


def test_a_model_that_loses_to_a_constant_answer_is_named(ctx: LocalContext) -> None:
    random = np.random.default_rng(0)
    noise = pd.DataFrame({"a": random.normal(size=400), "binary": (random.random(400) < 0.1).astype(int)})
    model = fit(ctx, noise[:200], params={"n_estimators": 200})
    found = judge(ctx, model, noise[200:])
    assert found.metrics["log_loss"] > found.baseline["log_loss"]
    assert any("log_loss" in warning and "is worse than" in warning for warning in ctx.warned)
    assert "(better)" in page(ctx, found)


def test_the_positive_class_is_the_one_that_is_asked_for(ctx: LocalContext) -> None:
    """Whatever the labels are called, the figures are those of the same class."""
    train_rows, rows = table(300), table(300, seed=1)
    numbers = judge(ctx, fit(ctx, train_rows), rows)
    for positive, negative in (("Late", "On time"), ("zebra", "ant")):
        model = fit(ctx, late(train_rows, positive, negative), positive=positive)
        found = judge(ctx, model, late(rows, positive, negative))
        assert found.metrics == pytest.approx(numbers.metrics)
        assert found.positive == positive == ctx.params["positive_class"]
        assert f"f1 of {positive}" in page(ctx, found) and f"positive class: <b>{positive}</b>" in page(ctx, found)


def test_the_positive_class_can_be_chosen_at_the_evaluation(ctx: LocalContext) -> None:
    train_rows, rows = late(table(300), "zebra", "ant"), late(table(300, seed=1), "zebra", "ant")
    model = fit(ctx, train_rows)
    one, other = judge(ctx, model, rows), judge(ctx, model, rows, positive="ant")
    assert (one.positive, other.positive) == ("zebra", "ant")
    assert one.metrics["roc_auc"] == pytest.approx(other.metrics["roc_auc"])
    assert one.metrics["prevalence"] == pytest.approx(1 - other.metrics["prevalence"])
    assert one.metrics["recall"] != other.metrics["recall"]
    with pytest.raises(StepError, match="'dog' is not a class of the target 'binary'"):
        judge(ctx, model, rows, positive="dog")
    with pytest.raises(StepError, match="`positive` needs a target of two classes; 'three' has 3"):
        judge(ctx, fit(ctx, target="three"), table(50), positive="low")


def test_rows_that_were_trained_on_are_named(ctx: LocalContext) -> None:
    frame = table(300)
    model = fit(ctx, frame)
    ctx.warned.clear()
    judge(ctx, model, table(300, seed=1))
    assert ctx.warned == []
    judge(ctx, model, pd.concat([table(200, seed=1), frame[:100]]))
    assert ctx.warned == ["33% of the rows were in the training table, so the metrics are too good"]
    assert ctx.metrics["training_rows"] == pytest.approx(1 / 3)


def test_rows_of_one_group_widen_the_intervals(ctx: LocalContext) -> None:
    model = fit(ctx)
    rows = table(100, seed=1)
    copies = pd.concat([rows.assign(day=np.arange(100))] * 10)
    alone = judge(ctx, model, copies).intervals["brier"]
    grouped = judge(ctx, model, copies, group="day").intervals["brier"]
    assert grouped.high - grouped.low > 2 * (alone.high - alone.low)
    with pytest.raises(StepError, match="the table has no column 'week'"):
        judge(ctx, model, copies, group="week")


def test_unseen_values_are_reported_and_only_unseen_ones_refused(ctx: LocalContext) -> None:
    model, rows = fit(ctx), table(100, seed=1)
    ctx.warned.clear()
    some = rows.assign(kind=rows["kind"].where(rows.index % 4 != 0, "new"))
    judge(ctx, model, some)
    predict(PredictParams(model=model, table=ctx.table(some)), ctx)
    assert 0.2 < ctx.metrics["unseen_kind"] < 0.35
    assert len(ctx.warned) == 2 and "values that training did not see count as missing: kind" in ctx.warned[0]
    for count in (1, 100):
        with pytest.raises(StepError, match="has only values that do not occur in the training table: new"):
            predict(PredictParams(model=model, table=ctx.table(rows[:count].assign(kind="new"))), ctx)


@pytest.mark.parametrize(
    ("operation", "said"),
    [
        ({"op": "one_hot", "unknown": "zero"}, "are 0 in every column (one_hot)"),
        ({"op": "one_hot", "min_frequency": 0.3}, "count as rare ones (one_hot)"),
        ({"op": "target_encode"}, "get the mean of all training rows (target_encode)"),
        ({"op": "count_encode"}, "count as 0 rows (count_encode)"),
        ({"op": "hash", "size": 8}, "get the column of their hash (hash)"),
        ({"op": "tfidf", "components": None}, None),
        ({"op": "ordinal"}, "refused"),
    ],
)
def test_unseen_values_are_what_the_recipe_makes_of_them(
    ctx: LocalContext, operation: dict[str, Any], said: str | None
) -> None:
    steps = [{"op": "impute", "columns": ["kind"], "strategy": "mode"}, {**operation, "columns": ["kind"]}]
    made = recipe(RecipeParams(steps=steps), ctx).recipe
    frame = table(300)
    frame["kind"] = "kind_" + frame["kind"]
    more = {"params": {}, "exclude": (), "features": ("kind",)}
    model = fit(ctx, frame, "amount", algorithm="Ridge", prepare=made, **more)
    ctx.warned.clear()
    order = PredictParams(model=model, table=ctx.table(frame[:20].assign(kind="new")))
    if said == "refused":
        with pytest.raises(StepError, match="has only values that do not occur in the training table: new"):
            predict(order, ctx)
        return
    predict(order, ctx)
    assert ctx.warned == ([] if said is None else [f"values that training did not see {said}: kind 100.0%"])


@pytest.mark.parametrize("kind", ["1", "1.0", "text"])
def test_a_category_read_as_numbers_is_refused(ctx: LocalContext, kind: str) -> None:
    """The training table has the code A, so all codes are texts; the other table has only 1 and 2."""
    frame = pd.DataFrame({"code": ["1", "2", "A"] * 50, "binary": [1, 0, 0] * 50})
    test = pd.DataFrame({"code": [1, 2] * 20, "binary": [1, 0] * 20})
    model = fit(ctx, frame)
    if kind == "text":
        assert judge(ctx, model, test.astype({"code": str})).metrics["roc_auc"] == 1.0
        return
    given = test if kind == "1" else test.astype({"code": float})
    with pytest.raises(StepError, match="feature 'code' was trained on texts, and the table has 1"):
        judge(ctx, model, given)


@pytest.mark.parametrize(
    ("algorithm", "params"),
    [
        ("LogisticRegression", {"class_weight": "balanced"}),
        ("LightGBM", {"is_unbalance": True, "n_estimators": 3}),
        ("XGBoost", {"scale_pos_weight": 9.0, "n_estimators": 3}),
    ],
)
def test_reweighting_is_said(ctx: LocalContext, algorithm: str, params: dict[str, Any]) -> None:
    fit(ctx, algorithm=algorithm, params=params)
    assert any("changes the weights of the classes" in warning for warning in ctx.warned)


def test_intervals_of_few_groups_are_doubted_and_of_one_refused(ctx: LocalContext) -> None:
    model, rows = fit(ctx), table(90, seed=1)
    ctx.warned.clear()
    judge(ctx, model, rows.assign(day=np.arange(90) % 3), group="day")
    assert ctx.warned == ["the intervals are drawn from 3 groups only, and are too narrow"]
    with pytest.raises(StepError, match="all rows are of one group of 'day'"):
        judge(ctx, model, rows.assign(day=1), group="day")


def test_a_model_that_equals_the_constant_answer_does_not_lose_to_it(ctx: LocalContext) -> None:
    rows = pd.DataFrame({"a": [1.0] * 40, "binary": [0, 0, 0, 1] * 10})
    judge(ctx, fit(ctx, rows, params={"n_estimators": 1}), rows)
    assert not any("is worse than" in warning for warning in ctx.warned)


def test_features_that_are_missing_in_every_row_are_named(ctx: LocalContext) -> None:
    judge(ctx, fit(ctx), table(50, seed=1).assign(a=np.nan, b=np.nan))
    assert "features that are missing in every row: a, b" in ctx.warned


def test_few_integers_as_a_target_are_named(ctx: LocalContext) -> None:
    frame = table(300).assign(amount=np.arange(300) % 3)
    fit(ctx, frame, target="amount")
    assert any("has only 3 different whole numbers" in warning for warning in ctx.warned)
    ctx.warned.clear()
    fit(ctx, frame, target="amount", task="regression")
    assert ctx.warned == []


def test_a_calibration_curve_keeps_equal_predictions_together() -> None:
    labels = np.r_[np.ones(300), np.zeros(700)]
    (only,) = calibration(labels, np.full(1_000, 0.3))
    assert (only.predicted, only.observed, only.rows) == (pytest.approx(0.3), 0.3, 1_000)
    assert only.low == pytest.approx(0.2724, abs=1e-3) and only.high == pytest.approx(0.3291, abs=1e-3)
    random = np.random.default_rng(0)
    predicted = random.choice([0.1, 0.4, 0.9], 900)
    found = calibration((random.random(900) < predicted).astype(int), predicted)
    assert [one.predicted for one in found] == pytest.approx([0.1, 0.4, 0.9])
    order = random.permutation(1_000)
    spread = random.random(1_000)
    assert calibration(labels[order], spread[order]) == calibration(labels, spread)


def test_a_limit_is_held_against_the_metric_or_against_its_bound(ctx: LocalContext) -> None:
    model, rows = fit(ctx), table(300, seed=1)
    value = judge(ctx, model, rows).metrics["roc_auc"]
    judge(ctx, model, rows, at_least={"roc_auc": value - 0.001})
    with pytest.raises(StepError, match=r"the lower bound of the 95% interval of roc_auc is 0\.\d+, not at least"):
        judge(ctx, model, rows, at_least={"roc_auc": value - 0.001, "confidence": 0.95})
    with pytest.raises(StepError, match=r"roc_auc is .*, not at least 0\.99; log_loss is .*, not at most 0\.01"):
        judge(ctx, model, rows, at_least={"roc_auc": 0.99}, at_most={"log_loss": 0.01})
    with pytest.raises(StepError, match="the upper bound of the 60% interval of log_loss"):
        judge(ctx, model, rows, at_most={"log_loss": 0.01, "confidence": 0.6})
    one_class = rows[rows["binary"] == 1]
    with pytest.raises(StepError, match=r"roc_auc is not defined, not at least 0\.1"):
        judge(ctx, model, one_class, at_least={"roc_auc": 0.1})
    for wrong in ({"at_least": {"log_loss": 1}}, {"at_most": {"roc_auc": 1}}, {"at_least": {"confidence": 95}}):
        with pytest.raises(ValueError, match=r"takes|must be between"):
            EvaluateParams(model=model, table=ctx.table(rows), **wrong)
