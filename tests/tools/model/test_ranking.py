"""Rankings: the library's own model, judged by whole queries."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import catboost
import lightgbm
import mlflow.pyfunc
import numpy as np
import pandas as pd
import pytest
import xgboost
from sklearn.metrics import ndcg_score

from bento_copies import served
from context import LocalContext
from e2i.errors import StepError
from e2i.tools.data.actions import folds
from e2i.tools.data.folding import FoldsParams
from e2i.tools.mlflow.models import save_scoring
from e2i.tools.model.actions import (
    card,
    compare,
    conformal,
    cross_validate,
    errors,
    evaluate,
    fairness,
    predict,
    select,
    train,
)
from e2i.tools.model.params.after_training import ConformalParams
from e2i.tools.model.params.applying import PredictParams
from e2i.tools.model.params.card import CardParams
from e2i.tools.model.params.choosing import SelectParams
from e2i.tools.model.params.comparing import CompareParams
from e2i.tools.model.params.inspecting import ErrorsParams, FairnessParams
from e2i.tools.model.params.judging import EvaluateParams
from e2i.tools.model.params.training import CrossValidateParams, TrainParams
from e2i.tools.optuna import TuneParams
from e2i.tools.optuna.actions import tune
from e2i.tools.shap import ExplainParams
from e2i.tools.shap.actions import explain

FEATURES = ["a", "b", "c"]
BOOSTERS = ("XGBoost", "LightGBM", "CatBoost")


def results(queries: int = 60, seed: int = 0, first: int = 0) -> pd.DataFrame:
    """Rows of queries of 5 to 14 rows, one query after another, graded from 0 to 3."""
    r = np.random.default_rng(seed)
    query = np.repeat(np.arange(first, first + queries), r.integers(5, 15, queries))
    frame = pd.DataFrame(r.normal(size=(len(query), 3)), columns=FEATURES).assign(query=query)
    quality = frame["a"] + 0.5 * frame["b"] + r.normal(size=queries)[query - first] + 0.3 * r.normal(size=len(query))
    frame["grade"] = np.digitize(quality, [-0.5, 0.7, 1.8])
    return frame


def fit(ctx: LocalContext, frame: pd.DataFrame, algorithm: str = "XGBoost", **more: Any) -> Any:
    rounds = "iterations" if algorithm == "CatBoost" else "n_estimators"
    given = {"params": {rounds: 12, "learning_rate": 0.1}, "objective": "rank", "group": "query", **more}
    return train(TrainParams(table=ctx.table(frame), target="grade", algorithm=algorithm, seed=3, **given), ctx)


def scores(ctx: LocalContext, model: Any, frame: pd.DataFrame) -> Any:
    return ctx.frame(predict(PredictParams(model=model, table=ctx.table(frame)), ctx).table)["prediction"].to_numpy()


def direct(algorithm: str, frame: pd.DataFrame, test: pd.DataFrame) -> Any:
    """Scores of the library alone."""
    rows, other = frame[FEATURES].to_numpy(), test[FEATURES].to_numpy()
    sizes = frame.groupby("query", sort=False).size().to_numpy()
    if algorithm == "LightGBM":
        ranker: Any = lightgbm.LGBMRanker(
            n_estimators=12, random_state=3, deterministic=True, force_col_wise=True, verbosity=-1, n_jobs=1
        )
        return ranker.fit(rows, frame["grade"], group=sizes).predict(other)
    rows, other = rows.astype(np.float32), other.astype(np.float32)
    if algorithm == "XGBoost":
        ranker = xgboost.XGBRanker(
            objective="rank:ndcg", tree_method="hist", n_estimators=12, learning_rate=0.1, random_state=3, n_jobs=1
        )
        return ranker.fit(rows, frame["grade"], qid=frame["query"]).predict(other)
    ranker = catboost.CatBoost(
        {
            "loss_function": "YetiRank",
            "iterations": 12,
            "learning_rate": 0.1,
            "random_seed": 3,
            "thread_count": 1,
            "logging_level": "Silent",
            "allow_writing_files": False,
        }
    )
    return ranker.fit(catboost.Pool(rows, frame["grade"], group_id=frame["query"])).predict(other)


@pytest.mark.parametrize("algorithm", BOOSTERS)
def test_the_scores_are_those_of_the_library(ctx: LocalContext, algorithm: str) -> None:
    frame, test = results(), results(20, 1, 100)
    found = fit(ctx, frame, algorithm, features=FEATURES)
    assert found.model.task == "ranking"
    assert scores(ctx, found.model, test) == pytest.approx(direct(algorithm, frame, test), abs=1e-9)


def test_mlflow_and_a_service_answer_with_the_same_scores(ctx: LocalContext, tmp_path: Path) -> None:
    """Neither knows of queries: rows of one are ranked by the caller."""
    frame, test = results(), results(20, 1, 100)
    for algorithm in BOOSTERS:
        folder = ctx.open(fit(ctx, frame, algorithm, features=FEATURES).model)
        expected = direct(algorithm, frame, test)
        body = json.loads(test[FEATURES].to_json(orient="records", double_precision=15))
        answer = served(folder, tmp_path / f"bento-{algorithm}").answer(body)
        assert answer["predictions"] == pytest.approx(expected, abs=1e-9)
        save_scoring(folder, tmp_path / algorithm)
        loaded = mlflow.pyfunc.load_model(str(tmp_path / algorithm))
        assert loaded.predict(test[FEATURES]) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("algorithm", BOOSTERS)
def test_scores_are_explained(ctx: LocalContext, algorithm: str) -> None:
    frame = results()
    model = fit(ctx, frame, algorithm, features=FEATURES).model
    found = asyncio.run(explain(ExplainParams(model=model, table=ctx.table(frame), rows=50, plots=False), ctx))
    assert max(found.importance, key=lambda name: found.importance[name]) == "a"


@pytest.mark.parametrize("algorithm", ["XGBoost", "LightGBM"])
def test_queries_in_other_places_give_the_same_model(ctx: LocalContext, algorithm: str) -> None:
    frame, test = results(), results(20, 1, 100)
    turns = np.random.default_rng(5).permutation(len(frame))
    # the rows of a query keep their order, and queries that of their first rows, while rows of queries alternate
    place = frame.groupby("query").cumcount().to_numpy()
    mixed = frame.iloc[np.lexsort((frame["query"], place))].reset_index(drop=True)
    model = fit(ctx, frame, algorithm).model
    assert scores(ctx, fit(ctx, mixed, algorithm).model, test) == pytest.approx(scores(ctx, model, test), abs=1e-9)
    judged = [
        evaluate(EvaluateParams(model=model, table=ctx.table(one), plots=False), ctx).metrics
        for one in (test, test.iloc[turns[turns < len(test)]])
    ]
    assert judged[0] == pytest.approx(judged[1], abs=1e-12)


def test_figures_are_means_over_queries_with_intervals_of_queries(ctx: LocalContext) -> None:
    frame, test = results(), results(40, 1, 100)
    found = fit(ctx, frame, features=FEATURES)
    judged = evaluate(EvaluateParams(model=found.model, table=ctx.table(test)), ctx)
    own = scores(ctx, found.model, test)
    expected = [
        ndcg_score([2.0 ** test["grade"][inside] - 1], [own[inside]], k=5)
        for query in test["query"].unique()
        if (inside := (test["query"] == query).to_numpy()).any() and test["grade"][inside].any()
    ]
    assert judged.metrics["ndcg_at_5"] == pytest.approx(np.mean(expected), abs=1e-9)
    bounds = judged.intervals["ndcg_at_5"]
    assert bounds.low < judged.metrics["ndcg_at_5"] < bounds.high
    half = 1.96 * np.std(expected, ddof=1) / np.sqrt(len(expected))
    assert (bounds.high - bounds.low) / 2 == pytest.approx(half, rel=0.2)
    assert judged.baseline["ndcg"] < judged.metrics["ndcg"]
    page = (ctx.open(judged.report) / "index.html").read_text(encoding="utf-8")
    assert "40 queries; the constant answer is a random order" in page


@pytest.mark.parametrize("algorithm", BOOSTERS)
def test_rounds_are_judged_by_ndcg(ctx: LocalContext, algorithm: str) -> None:
    rounds = "iterations" if algorithm == "CatBoost" else "n_estimators"
    about = {"params": {rounds: 60, "learning_rate": 0.3}, "early_stopping": {"rounds": 5}}
    found = fit(ctx, results(), algorithm, validation=ctx.table(results(30, 2, 200)), **about)
    assert 0.5 < found.metrics["validation_ndcg"] <= 1
    assert found.metrics["validation_ndcg"] > found.baseline["validation_ndcg"]


def test_folds_and_searches_keep_queries_whole(ctx: LocalContext) -> None:
    rows = ctx.table(results())
    made = folds(FoldsParams(table=rows, strategy="group", by="query", folds=3), ctx).folds
    about: Any = {"folds": made, "target": "grade", "objective": "rank", "group": "query", "algorithm": "LightGBM"}
    found = cross_validate(CrossValidateParams(table=rows, params={"n_estimators": 8}, **about), ctx)
    assert found.metrics["ndcg"].mean > found.baseline["ndcg"].mean
    assert "query" in ctx.frame(found.oof).columns
    request = TuneParams(train=rows, trials=2, parallel=1, plots=False, metric="ndcg_at_5", **about)
    study: Any = asyncio.run(tune(request, ctx))
    assert study.best_value > 0.5 and study.model.task == "ranking"
    single = folds(FoldsParams(table=rows, strategy="kfold", folds=3), ctx).folds
    with pytest.raises(StepError, match="queries of 'query' have rows that are trained on and rows that are tested"):
        cross_validate(CrossValidateParams(table=rows, **{**about, "folds": single}), ctx)


def test_rankings_are_compared_by_whole_queries(ctx: LocalContext) -> None:
    frame = results()
    models = {"all": fit(ctx, frame).model, "noise": fit(ctx, frame, features=["c"]).model}
    table = ctx.table(results(40, 1, 100))
    found = compare(CompareParams(models=models, table=table, reference="noise", metric="ndcg", plots=False), ctx)
    assert found.better == ["all"]


def test_what_has_no_meaning_for_a_ranking_is_refused(ctx: LocalContext) -> None:
    frame = results()
    model, table = fit(ctx, frame).model, ctx.table(results(40, 1, 100))
    for act in (
        lambda: conformal(ConformalParams(model=model, table=table), ctx),
        lambda: errors(ErrorsParams(model=model, table=table), ctx),
        lambda: fairness(FairnessParams(model=model, table=table, by=["c"]), ctx),
    ):
        with pytest.raises(StepError, match="scores only order the rows of a query"):
            act()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda frame: frame.assign(grade=frame["grade"] - 0.5), "whole numbers from 0 to 31"),
        (lambda frame: frame.assign(query=frame["query"].where(frame.index > 3)), "the query 'query' is missing in 4"),
        (lambda frame: frame.assign(grade=frame["query"] % 4), "no order to learn"),
        (lambda frame: frame.drop(columns="query"), "no column 'query' of queries"),
    ],
)
def test_rows_that_are_no_ranking_are_refused(ctx: LocalContext, change: Any, said: str) -> None:
    with pytest.raises(StepError, match=said):
        fit(ctx, change(results()), features=FEATURES)


def test_rows_of_a_query_are_not_validated_on(ctx: LocalContext) -> None:
    frame = results()
    with pytest.raises(StepError, match="have rows that are trained on") as raised:
        fit(ctx, frame.iloc[::2], validation=ctx.table(frame.iloc[1::2]))
    assert raised.value.code == "split-query"


def test_cards_slices_choices_and_nested_searches_know_rankings(ctx: LocalContext) -> None:
    frame, test = results(), results(40, 1, 100)
    model, noise, table = fit(ctx, frame).model, fit(ctx, frame, features=["c"]).model, ctx.table(test)
    made = card(CardParams(model=model, intended_use="calls", test=table, training=ctx.table(frame)), ctx)
    assert "ranking of grade" in (ctx.open(made.card) / "index.html").read_text(encoding="utf-8")
    kinds = test.assign(kind=np.where(test["query"] % 2, "odd", "even"))
    judged = evaluate(EvaluateParams(model=model, table=ctx.table(kinds), by=["kind"]), ctx)
    assert "<th>ndcg_at_5</th>" in (ctx.open(judged.report) / "index.html").read_text(encoding="utf-8")
    lines = ctx.frame(judged.slices)
    even = kinds[kinds["kind"] == "even"]
    alone = evaluate(EvaluateParams(model=model, table=ctx.table(even), plots=False), ctx).metrics["ndcg"]
    found = lines[(lines["value"] == "even") & (lines["metric"] == "ndcg")]["estimate"].iloc[0]
    assert found == pytest.approx(alone, abs=1e-12)
    assert select(SelectParams(candidates=[noise, model], table=table, metric="ndcg"), ctx).model == model
    rows = ctx.table(frame)
    divided = folds(FoldsParams(table=rows, strategy="group", by="query", folds=2), ctx).folds
    search = {"trials": 2, "inner_folds": 2, "space": {"max_depth": {"type": "int", "low": 2, "high": 4}}}
    about: Any = {"objective": "rank", "group": "query", "params": {"n_estimators": 5}, "search": search}
    nested = cross_validate(CrossValidateParams(table=rows, folds=divided, target="grade", **about), ctx)
    assert nested.metrics["ndcg"].mean > nested.baseline["ndcg"].mean
