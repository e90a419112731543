"""shap.explain with each explainer, interactions, named rows: equal to the references and known to the plan."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
import shap
import xgboost

from context import LocalContext
from e2i.catalog.columns import ColumnProblem, Flow, KnownModel, KnownTable
from e2i.catalog.files import NO_FILES
from e2i.errors import StepError
from e2i.estimators import fitting
from e2i.estimators.scoring import Scorer
from e2i.tools.model.actions import train
from e2i.tools.model.params.training import TrainParams
from e2i.tools.shap import ExplainOutputs, ExplainParams, asked, scorers
from e2i.tools.shap import columns as shap_columns
from e2i.tools.shap.actions import explain
from e2i.tools.shap.values import How
from learning import others, table

NUMBERS = ["a", "b", "count"]
SMALL = {
    "XGBoost": "n_estimators",
    "LightGBM": "n_estimators",
    "CatBoost": "iterations",
    "RandomForest": "n_estimators",
    "ExtraTrees": "n_estimators",
    "HistGradientBoosting": "max_iter",
}
REGION = {"model": "the model", "table": "the table", "background": None}


def fitted(algorithm: str, target: str, exclude: tuple[str, ...] = ()) -> Scorer:
    prepared = fitting.prepare(table(200), None, target, algorithm, exclude=[*others(target), *exclude])
    return fitting.fit(prepared, {SMALL[algorithm]: 8} if algorithm in SMALL else {}, seed=0, threads=1).scorer


@pytest.mark.parametrize("target", ["binary", "three", "amount"])
@pytest.mark.parametrize("algorithm", sorted(SMALL))
def test_native_values_and_interactions_equal_those_of_shaps_explainer(algorithm: str, target: str) -> None:
    scorer, rows = fitted(algorithm, target, ("kind",)), table(200)[:20]
    found = scorers.explain(scorer, rows, rows, How(interactions=6))
    encoded = scorer.encode(rows)
    reference = shap.TreeExplainer(scorer.native)
    values = np.asarray(reference.shap_values(encoded, check_additivity=False))
    values = values[..., 1] if values.ndim == 3 and values.shape[2] == 2 else values
    assert np.abs(found.values - values.reshape(found.values.shape) * scorer.scale).max() < 1e-5
    assert found.interactions is not None and found.explainer == "tree"
    assert np.abs(found.interactions.sum(axis=2) - found.values[:6]).max() < 1e-4
    if (algorithm, target) not in (("CatBoost", "three"), ("LightGBM", "three")):  # shap's have other classes or axes
        pairs = np.asarray(reference.shap_interaction_values(encoded[:6]))
        pairs = pairs[..., 1] if pairs.ndim == 4 and pairs.shape[3] == 2 else pairs
        assert np.abs(found.interactions - pairs.reshape(found.interactions.shape) * scorer.scale).max() < 1e-5


@pytest.mark.parametrize(("algorithm", "target"), [("XGBoost", "three"), ("CatBoost", "amount"), ("Ridge", "amount")])
def test_asking_explainers_agree_on_the_margin(algorithm: str, target: str) -> None:
    scorer, rows = fitted(algorithm, target), table(200)
    exact = scorers.explain(scorer, rows[:12], rows, How("exact", interactions=3))
    estimate = scorers.explain(scorer, rows[:12], rows, How("permutation"))
    assert exact.interactions is not None and np.allclose(exact.interactions.sum(axis=2), exact.values[:3])
    assert estimate.error is not None
    within = np.abs(estimate.values - exact.values) <= 2 * estimate.error + 1e-6
    assert within.mean() > 0.95
    kernel = scorers.explain(scorer, rows[:2], rows, How("kernel"))
    assert np.abs(kernel.values - exact.values[:2]).max() < 1e-5  # all combinations of five features
    if algorithm == "Ridge":
        native = scorers.explain(scorer, rows[:12], rows, How(background_rows=200))
        every = scorers.explain(scorer, rows[:12], rows, How("exact", background_rows=200))
        assert np.abs(native.values - every.values).max() < 1e-9


def test_the_permutation_explainer_is_within_its_standard_error() -> None:
    r = np.random.default_rng(0)
    rows, background = r.normal(size=(40, 6)), r.normal(size=(30, 6))

    def function(x: Any) -> Any:
        return x[:, 0] * x[:, 1] * x[:, 2] + np.maximum(x[:, 3], x[:, 4]) * x[:, 0] + (x[:, 1] > 1.5) + x[:, 5]

    exact = asked.values(function, rows, background, "exact", 0)
    z = []
    for seed in range(5):
        found = asked.values(function, rows, background, "permutation", seed)
        z.append((found.values[:, :5] - exact.values[:, :5]) / found.error[:, :5])
        assert np.allclose(found.values[:, 5], exact.values[:, 5])  # alone in its sum: every order agrees
        assert np.allclose(found.values.sum(axis=1) + found.expected, function(rows))
    assert float(np.sqrt(np.mean(np.square(z)))) < 1.0
    assert np.mean(np.abs(z) <= 2) > 0.95
    again = asked.values(function, rows, background, "permutation", 4)
    assert np.array_equal(again.values, found.values)


def test_interactions_of_a_product_are_its_own() -> None:
    background = np.zeros((2, 3))
    found = asked.interactions(lambda x: x[:, 0] * x[:, 1] + x[:, 2], np.array([[2.0, 3.0, 5.0]]), background)[0]
    assert np.allclose(found, [[0, 3, 0], [3, 0, 0], [0, 0, 5]])


def run(ctx: LocalContext, algorithm: str = "XGBoost", target: str = "binary", **params: Any) -> ExplainOutputs:
    given = ctx.table(table(200).assign(id=[f"{i:03d}" for i in range(200)]))
    sizes = {SMALL[algorithm]: 8} if algorithm in SMALL else {}
    model = train(
        TrainParams(table=given, target=target, algorithm=algorithm, exclude=[*others(target), "id"], params=sizes), ctx
    ).model
    return asyncio.run(explain(ExplainParams(model=model, table=given, **{"plots": False, **params}), ctx))


def test_named_rows_are_explained_in_the_order_of_their_keys_with_all_plots(ctx: LocalContext) -> None:
    found = run(ctx, instances={"by": "id", "keys": ["017", "003"]}, interactions=True, plots=True)
    values, pairs = ctx.frame(found.values), ctx.frame(found.interactions)  # type: ignore[arg-type]
    assert values["id"].tolist() == ["017", "003"] and values["row"].tolist() == [17, 3]
    assert values["class"].tolist() == ["1", "1"]
    features = ["a", "b", "count", "flag", "kind"]
    for place, (_, of_row) in enumerate(pairs.groupby("row", sort=False)):
        assert of_row["feature"].tolist() == features
        assert np.allclose(of_row[features].sum(axis=1), values[features].iloc[place], atol=1e-5)
    known = {"bar", "beeswarm", "interactions", "interaction_1", "waterfall_1", "waterfall_2"}
    assert set(found.figures) == known | {f"dependence_{rank}" for rank in (1, 2, 3)}
    assert ctx.open(found.figures["waterfall_1"]).read_bytes().startswith(b"\x89PNG")
    page = (ctx.open(found.report) / "index.html").read_text(encoding="utf-8")
    assert "id 017" in page and "<code>tree</code>" in page and found.standard_error is None
    with pytest.raises(StepError, match="no row has 999 in the column 'id'"):
        run(ctx, instances={"by": "id", "keys": ["999"]})
    with pytest.raises(StepError, match="2 rows have these keys, and `rows` is 1"):
        run(ctx, instances={"by": "id", "keys": ["017", "003"]}, rows=1)


def test_an_explainer_that_does_not_suit_the_model_ends_the_step(ctx: LocalContext) -> None:
    with pytest.raises(StepError, match="`linear` needs a model of coefficients, and XGBoost is none"):
        run(ctx, explainer="linear")
    with pytest.raises(StepError, match="LightGBM has no interactions of categories, and 'kind' is one"):
        run(ctx, "LightGBM", interactions=True)
    found = run(ctx, "LightGBM", rows=5, interactions=True, interaction_rows=2, explainer="exact")
    assert found.explainer == "exact" and found.interactions is not None and found.interactions.rows == 2 * 5


def planned(algorithm: str | None, features: tuple[str, ...] = ("kind", "b"), **given: Any) -> Flow:
    known = KnownTable({"id": "string", "kind": "string", "b": "double", "y": "int64"})
    defaults = {"background": None, "instances": None, "explainer": "auto", "interactions": False}
    model = KnownModel("y", features, None, algorithm=algorithm)
    return shap_columns.explain({"model": model, "table": known, **defaults, **given}, NO_FILES)


def test_the_plan_knows_columns_and_misfits() -> None:
    flow = planned("XGBoost", interactions=True, instances={"by": "id", "keys": ["1"]})
    assert not flow.problems
    assert flow.outputs["interactions"].columns == {  # type: ignore[union-attr]
        "row": "int64", "id": "string", "class": "string", "feature": "string", "kind": "double", "b": "double"
    }  # fmt: skip

    def problem(flow: Flow) -> ColumnProblem:
        (found,) = flow.problems
        return found

    assert problem(planned("Ridge", explainer="tree")).code == "wrong-explainer"
    assert problem(planned("Ridge", interactions=True)).severity == "warning"
    assert problem(planned("LightGBM", interactions=True)).path == ("interactions",)
    assert problem(planned(None, instances={"by": "ID", "keys": ["1"]})).path == ("instances", "by")
    assert problem(planned(None, instances={"by": "id", "keys": ["1", 2]})).path == ("instances", "keys", 1)
    many = tuple("abcdefghijklmno")
    assert {found.code for found in planned("XGBoost", many, explainer="exact").problems} >= {"too-many-features"}
    assert not planned("LightGBM", interactions=True, explainer="exact").problems


def test_other_boosters_are_explained_by_the_explainer_that_is_asked_for() -> None:
    from e2i.tools.shap import live

    rows = table(60)[NUMBERS].fillna(0.0)
    model = xgboost.XGBRegressor(n_estimators=5).fit(rows, table(60)["amount"])
    exact = live.explain(model, rows[:8], How("exact"))
    pairs = live.interactions(model, rows[:8], How("exact"))
    assert np.allclose(pairs.sum(axis=2), exact.values[..., 0])
    with pytest.raises(StepError, match="`linear` does not suit XGBRegressor"):
        live.explain(model, rows, How("linear"))
