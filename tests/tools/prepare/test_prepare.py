"""prepare.recipe and prepare.preview, and the actions that take a recipe."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from context import LocalContext
from e2i.catalog.artifacts import Recipe, read_artifacts
from e2i.errors import StepError
from e2i.estimators import saved
from e2i.tools.model.actions import evaluate, predict, train
from e2i.tools.model.params.applying import PredictParams
from e2i.tools.model.params.judging import EvaluateParams
from e2i.tools.model.params.training import TrainOutputs, TrainParams
from e2i.tools.prepare import PreviewParams, RecipeParams
from e2i.tools.prepare.actions import preview, recipe
from learning import others, table

STEPS = [{"op": "target_encode", "columns": ["kind"]}, {"op": "impute", "types": ["number"], "indicator": True}]


def made(ctx: LocalContext, *steps: Any) -> Recipe:
    return recipe(RecipeParams(steps=steps or tuple(STEPS)), ctx).recipe


def fit(ctx: LocalContext, **params: Any) -> TrainOutputs:
    given = {"params": {"n_estimators": 12}, "exclude": others("binary"), "target": "binary", "prepare": made(ctx)}
    return train(TrainParams(table=ctx.table(table(300)), **{**given, **params}), ctx)


def test_a_recipe_is_what_was_written_and_equal_ones_have_one_digest(ctx: LocalContext) -> None:
    found = made(ctx)
    assert found == made(ctx, {"columns": ["kind"], "smooth": "auto", "op": "target_encode"}, STEPS[1])
    assert found != made(ctx, STEPS[0])
    assert read_artifacts(found.model_dump(mode="json")) == found


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({"op": "scale"}, "scale needs `columns`"),
        ({"op": "scale", "types": ["text"]}, "scale takes number columns, not text columns"),
        ({"op": "scale", "columns": ["a"], "types": ["number"]}, "not both"),
        ({"op": "impute", "columns": ["a"], "strategy": "constant"}, "belong together"),
        ({"op": "impute", "types": ["text"]}, "texts have no median"),
        ({"op": "clip", "columns": ["a"]}, "set `quantiles`"),
        ({"op": "clip", "columns": ["a"], "low": 2, "high": 1}, "not below"),
        ({"op": "tfidf", "columns": ["a"], "words": 20_000, "components": 100}, "200,000"),
    ],
)
def test_an_operation_that_cannot_be_is_refused(step: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        RecipeParams(steps=(step,))


def test_a_preview_describes_the_columns_and_gives_no_table(ctx: LocalContext) -> None:
    rows = table(200)
    params = {"table": ctx.table(rows), "recipe": made(ctx), "target": "binary", "exclude": others("binary"), "rows": 3}
    found = preview(PreviewParams(**params), ctx)
    columns = {one.name: one for one in found.columns}
    assert list(columns)[:5] == ["a", "b", "count", "flag", "kind"] and len(columns) == 10
    assert columns["kind"].type == "number" and columns["a"].missing == 0.0
    assert columns["a_missing"].mean == pytest.approx(rows["a"].isna().mean())
    page = ctx.open(found.report).read_text("utf-8")
    assert "200 rows; 5 columns before" in page and "<td>a_missing</td>" in page
    with pytest.raises(StepError, match="target_encode learns from the target"):
        preview(PreviewParams(table=params["table"], recipe=params["recipe"]), ctx)


def test_a_model_takes_the_columns_of_the_table(ctx: LocalContext) -> None:
    found = fit(ctx, validation=ctx.table(table(100, seed=1)))
    assert found.model.features == ("a", "b", "count", "flag", "kind")
    rows = ctx.table(table(100, seed=1))
    judged = evaluate(EvaluateParams(model=found.model, table=rows, interval=None, plots=False), ctx)
    for name in ("roc_auc", "log_loss"):
        assert judged.metrics[name] == pytest.approx(found.metrics[f"validation_{name}"], abs=1e-12)
    answers = ctx.frame(predict(PredictParams(model=found.model, table=rows), ctx).table)
    scorer = saved.open_model(found.model, ctx)
    np.testing.assert_array_equal(answers["probability"], scorer.predict(table(100, seed=1)))


def test_unseen_values_and_training_rows_are_reported_of_prepared_models_too(ctx: LocalContext) -> None:
    found = fit(ctx)
    strange = pd.concat([table(300)[:50], table(50, seed=4).assign(kind="new")])
    evaluate(EvaluateParams(model=found.model, table=ctx.table(strange), interval=None, plots=False), ctx)
    assert ctx.metrics["training_rows"] == pytest.approx(0.5)
    assert ctx.metrics["unseen_kind"] > 0.4
    predict(PredictParams(model=found.model, table=ctx.table(table(50).assign(kind="new"))), ctx)
    assert "values that training did not see get the mean of all training rows (target_encode): kind" in ctx.warned[-1]


def test_a_search_fits_the_recipe_once(ctx: LocalContext) -> None:
    import asyncio

    from e2i.tools.optuna import TuneParams
    from e2i.tools.optuna.actions import tune

    params = TuneParams(
        train=ctx.table(table(200)),
        validation=ctx.table(table(100, seed=1)),
        target="binary",
        exclude=tuple(others("binary")),
        prepare=made(ctx),
        fixed={"n_estimators": 5},
        trials=2,
        plots=False,
    )
    found = asyncio.run(tune(params, ctx))
    judged = evaluate(EvaluateParams(model=found.model, table=params.validation, interval=None, plots=False), ctx)
    assert judged.metrics["roc_auc"] == pytest.approx(found.best_value, abs=1e-12)


@pytest.mark.parametrize("algorithm", ["XGBoost", "RandomForest", "LogisticRegression"])
def test_explanations_are_of_the_prepared_columns(ctx: LocalContext, algorithm: str) -> None:
    import asyncio

    from e2i.tools.shap import ExplainParams
    from e2i.tools.shap.actions import explain

    steps = ({"op": "one_hot", "columns": ["kind"]}, {"op": "impute", "types": ["number"]})
    params = {"n_estimators": 5} if algorithm != "LogisticRegression" else {}
    found = fit(ctx, prepare=made(ctx, *steps), algorithm=algorithm, params=params)
    rows = ctx.table(table(60, seed=1))
    plots = algorithm == "XGBoost"
    explained = asyncio.run(explain(ExplainParams(model=found.model, table=rows, background=rows, plots=plots), ctx))
    assert "kind_x" in explained.importance
