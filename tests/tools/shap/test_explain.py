"""shap.explain on every algorithm: values add up, shapes are one, importances find the signal."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pandas as pd
import pytest

from context import LocalContext
from e2i.catalog.columns import KnownModel, KnownTable
from e2i.catalog.files import NO_FILES
from e2i.errors import StepError
from e2i.estimators import saved
from e2i.estimators.algorithms import ALGORITHMS
from e2i.tools.model.actions import train
from e2i.tools.model.params.training import TrainParams
from e2i.tools.shap import ExplainOutputs, ExplainParams
from e2i.tools.shap import columns as shap_columns
from e2i.tools.shap.actions import explain
from learning import others, table

FEATURES = ["a", "b", "count", "flag", "kind"]
CASES = [
    (algorithm, target)
    for algorithm, known in sorted(ALGORITHMS.items())
    for target, task in (("binary", "classification"), ("three", "classification"), ("amount", "regression"))
    if task in known.tasks
]


def run(ctx: LocalContext, algorithm: str, target: str, **params: Any) -> ExplainOutputs:
    given = ctx.table(table(300))
    sizes: dict[str, Any] = {
        name: 10 for name in ("n_estimators", "iterations") if name in ALGORITHMS[algorithm].params
    }
    if algorithm in ("Lasso", "ElasticNet"):
        sizes = {"alpha": 0.01}
    fitted = train(
        TrainParams(table=given, target=target, algorithm=algorithm, exclude=others(target), params=sizes), ctx
    )
    arguments = {"rows": 60, "plots": False, "table": given, **params}
    return asyncio.run(explain(ExplainParams(model=fitted.model, **arguments), ctx))


@pytest.mark.parametrize(("algorithm", "target"), CASES)
def test_values_add_up_to_the_margin_in_one_shape(ctx: LocalContext, algorithm: str, target: str) -> None:
    found = run(ctx, algorithm, target)
    values = ctx.frame(found.values)
    assert np.allclose(values[FEATURES].sum(axis=1) + values["expected_value"], values["margin"], atol=1e-4)
    assert sum(found.importance.values()) == pytest.approx(1.0)
    assert list(found.importance.values()) == sorted(found.importance.values(), reverse=True)
    assert set(found.importance) == set(FEATURES)
    if algorithm == "Dummy":
        assert not values[FEATURES].to_numpy().any()
    elif algorithm != "ExtraTrees":  # whose splits are at random
        assert found.importance["b"] > 0.1 > found.importance["count"]
    if target == "three":
        assert values.groupby("class").size().to_dict() == {"high": 60, "low": 60, "middle": 60}
        assert isinstance(found.expected_value, list) and len(found.expected_value) == 3
    else:
        assert len(values) == 60 and isinstance(found.expected_value, float)


@pytest.mark.parametrize("algorithm", ["XGBoost", "LightGBM"])
def test_native_values_equal_those_of_the_tree_explainer(ctx: LocalContext, algorithm: str) -> None:
    found = run(ctx, algorithm, "amount")
    values = ctx.frame(found.values)
    scorer = _retrained(ctx, algorithm)
    matrix = scorer.encode(table(300).iloc[values["row"]])
    numeric = ["a", "b", "count", "flag"]  # shap's own reading of categories is not supported for every library
    import shap

    expected = shap.TreeExplainer(scorer.native).shap_values(matrix)
    assert np.allclose(values[numeric], np.asarray(expected)[:, :4], atol=1e-5)


def _retrained(ctx: LocalContext, algorithm: str) -> Any:
    given = ctx.table(table(300))
    params = TrainParams(
        table=given, target="amount", algorithm=algorithm, exclude=others("amount"), params={"n_estimators": 10}
    )
    return saved.open_model(train(params, ctx).model, ctx)


def test_a_linear_model_is_explained_against_all_rows(ctx: LocalContext) -> None:
    found = run(ctx, "Ridge", "amount", rows=300)
    values = ctx.frame(found.values)
    assert found.expected_value == pytest.approx(values["margin"].mean())
    assert np.allclose(values[FEATURES].mean(), 0.0, atol=1e-9)


def test_one_row_is_not_its_own_background(ctx: LocalContext) -> None:
    frame = table(300)
    one, rest = ctx.table(frame[:1]), ctx.table(frame[1:])
    with pytest.raises(StepError, match="needs background rows other than"):
        run(ctx, "LogisticRegression", "binary", table=one)
    found = run(ctx, "LogisticRegression", "binary", table=one, background=rest)
    assert ctx.frame(found.values)[FEATURES].abs().to_numpy().max() > 0.01


def test_the_sample_is_drawn_by_the_seed_and_named_by_row(ctx: LocalContext) -> None:
    first, second = run(ctx, "LightGBM", "binary"), run(ctx, "LightGBM", "binary")
    assert first == second
    other = run(ctx, "LightGBM", "binary", seed=99)
    assert ctx.frame(other.values)["row"].tolist() != ctx.frame(first.values)["row"].tolist()
    assert ctx.frame(first.values)["row"].is_monotonic_increasing


@pytest.mark.parametrize("target", ["binary", "three"])
def test_the_report_is_a_folder_with_equal_plots_each_time(ctx: LocalContext, target: str) -> None:
    first = run(ctx, "XGBoost", target, plots=True)
    again = run(ctx, "XGBoost", target, plots=True)
    assert first.report == again.report
    folder = ctx.open(first.report)
    pages = (folder / first.report.entry).read_text(encoding="utf-8")
    pictures = sorted(path.name for path in folder.glob("*.png"))
    assert len(pictures) == (6 if target == "binary" else 18) == len(first.figures)
    assert all(f'src="{name}"' in pages for name in pictures) and "http" not in pages
    assert ctx.attachments["shap"]["digest"] == first.report.digest


def test_values_that_do_not_add_up_end_the_step(ctx: LocalContext) -> None:
    from e2i.tools.shap.scorers import explain as explained
    from e2i.tools.shap.values import How

    scorer = _retrained(ctx, "XGBoost")
    honest = scorer.output
    scorer.output = lambda encoded, margin=False: honest(encoded, margin=margin) + 0.5
    frame = table(50)
    with pytest.raises(StepError, match=r"differ from its margin by 0\.5"):
        explained(scorer, frame, frame, How())


def test_a_table_without_the_features_is_refused(ctx: LocalContext) -> None:
    with pytest.raises(StepError, match="lacks feature"):
        run(ctx, "XGBoost", "binary", table=ctx.table(pd.DataFrame({"a": [1.0], "b": [2.0]})))


def test_a_feature_may_have_the_name_of_another_column(ctx: LocalContext) -> None:
    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.random((120, 3)), columns=["row", "expected_value", "margin"])
    frame["y"] = frame["row"] + random.random(120)
    table = ctx.table(frame)
    model = train(TrainParams(table=table, target="y", params={"n_estimators": 5}), ctx).model
    found = asyncio.run(explain(ExplainParams(model=model, table=table, rows=20, plots=False), ctx))
    planned = {"model": KnownModel("y", ("row", "expected_value", "margin"), "regression"), "background": None}
    known = shap_columns.explain({**planned, "table": None}, NO_FILES).outputs["values"]
    assert isinstance(known, KnownTable)
    names = ["row_", "class", "row", "expected_value", "margin", "expected_value_", "margin_"]
    assert list(known.columns) == [column.name for column in found.values.columns] == names
