"""model.cross_validate: figures of rows that no model has seen."""

from __future__ import annotations

import asyncio
from typing import Any

import catboost
import numpy as np
import pandas as pd
import pytest
import xgboost
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, TargetEncoder
from threadpoolctl import threadpool_limits

from context import LocalContext
from e2i.errors import StepError
from e2i.estimators import folding, saved
from e2i.tools.data.actions import folds
from e2i.tools.data.folding import FoldsParams
from e2i.tools.model.actions import cross_validate, train
from e2i.tools.model.params.training import CrossValidateOutputs, CrossValidateParams, TrainParams
from e2i.tools.optuna import TuneParams
from e2i.tools.optuna.actions import tune
from e2i.tools.prepare import RecipeParams
from e2i.tools.prepare.actions import recipe
from learning import others, table


def crossed(ctx: LocalContext, frame: pd.DataFrame, target: str, steps: Any = (), **more: Any) -> CrossValidateOutputs:
    rows = ctx.table(frame)
    about = {"strategy": "kfold", "folds": 3, **more.pop("about", {})}
    made = folds(FoldsParams(table=rows, **about), ctx).folds
    prepare = recipe(RecipeParams(steps=steps), ctx).recipe if steps else None
    return cross_validate(CrossValidateParams(table=rows, folds=made, target=target, prepare=prepare, **more), ctx)


@pytest.mark.parametrize(
    ("target", "algorithm"), [("binary", "XGBoost"), ("three", "RandomForest"), ("amount", "Ridge")]
)
def test_each_row_is_predicted_by_a_model_that_has_not_seen_it(ctx: LocalContext, target: str, algorithm: str) -> None:
    frame = table(240)
    params = {} if algorithm == "Ridge" else {"n_estimators": 8}
    steps = [{"op": "target_encode", "columns": ["kind"]}, {"op": "impute", "types": ["number"]}]
    found = crossed(ctx, frame, target, steps, algorithm=algorithm, params=params, exclude=others(target))
    oof = ctx.frame(found.oof)
    assert sorted(oof["row"]) == list(range(240)) and set(oof["split"]) == {0, 1, 2}
    assert (oof[target].to_numpy() == frame[target].to_numpy()[oof["row"]]).all()
    for name, figures in found.metrics.items():
        assert figures.mean == pytest.approx(np.mean(figures.folds)) and len(figures.folds) == 3, name
        assert figures.sd == pytest.approx(np.std(figures.folds, ddof=1)), name
    if target == "binary":
        one = oof[oof["split"] == 1]
        assert found.metrics["roc_auc"].folds[1] == pytest.approx(roc_auc_score(one["binary"], one["probability"]))
    if target == "amount":
        assert found.metrics["r2"].mean > 0.7
    assert saved.open_model(found.model, ctx).predict(frame).shape[0] == 240, "fitted to all rows"


def test_options_of_a_fit_apply_in_each_split_and_its_search(ctx: LocalContext) -> None:
    frame = table(240).drop(columns=["kind", "flag"]).assign(w=np.linspace(0.2, 3, 240))
    about: dict[str, Any] = {"exclude": others("amount"), "algorithm": "XGBoost", "params": {"n_estimators": 20}}
    chosen = {"objective": "quantile", "quantiles": (0.9,), "weights": "w", "monotone": {"b": 1}}
    space = {"max_depth": {"type": "int", "low": 2, "high": 4}}
    search = {"trials": 2, "inner_folds": 2, "space": space, "metric": "mae"}
    found = crossed(ctx, frame, "amount", **about, **chosen, target_transform="yeo_johnson", search=search)
    oof = ctx.frame(found.oof)
    assert 0.75 < (oof["amount"] <= oof["prediction"]).mean() < 0.97
    assert found.model.features == ("a", "b", "count"), "the weight is no feature"
    assert found.baseline["mae"].mean > found.metrics["mae"].mean and set(found.baseline) <= set(found.metrics)
    rows = ctx.table(frame)
    made = folds(FoldsParams(table=rows, strategy="kfold", folds=3), ctx).folds
    given = {"train": rows, "target": "amount", "plots": False, "trials": 2, "fixed": about.pop("params")}
    tuned = asyncio.run(tune(TuneParams(folds=made, space=space, metric="mae", **about, **chosen, **given), ctx))
    fitted = train(TrainParams(table=rows, target="amount", **about, **chosen, params=tuned.best_params), ctx)
    answers = [saved.open_model(one.model, ctx).predict(frame) for one in (tuned, fitted)]
    assert np.abs(answers[0] - answers[1]).max() < 1e-9, "the three actions take the options alike"
    assert fitted.baseline.keys() <= fitted.metrics.keys()


@pytest.mark.parametrize("algorithm", ["XGBoost", pytest.param("CatBoost", marks=pytest.mark.slow)])
def test_each_split_stops_early_by_its_tested_rows_and_all_rows_take_the_median(
    ctx: LocalContext, algorithm: str
) -> None:
    features = ["a", "b", "count"]
    frame = table(240)[[*features, "binary"]]
    counted, made = ("n_estimators", xgb) if algorithm == "XGBoost" else ("iterations", cat)
    params = {counted: 80, "learning_rate": 0.2}
    more: dict[str, Any] = {"algorithm": algorithm, "params": params, "early_stopping": {"rounds": 4}}
    found = crossed(ctx, frame, "binary", metrics=("log_loss",), **more)
    rows = ctx.table(frame)
    oof = ctx.frame(found.oof)
    division = folds(FoldsParams(table=rows, strategy="kfold", folds=3), ctx).folds
    for number, roles in enumerate(folding.read(division, rows, ctx)):
        train, test = frame[roles == folding.TRAIN], frame[roles == folding.TEST]
        model = made(80, ctx.seed, early_stopping_rounds=4)
        model.fit(train[features], train["binary"], eval_set=[(test[features], test["binary"])], verbose=False)
        best_round = model.best_iteration if algorithm == "XGBoost" else model.best_iteration_
        assert found.rounds[number] == best_round + 1
        wanted = model.predict_proba(test[features])[:, 1].astype(float)
        assert np.abs(oof["probability"][oof["split"] == number].to_numpy() - wanted).max() < 1e-6
        assert found.metrics["log_loss"].folds[number] == pytest.approx(log_loss(test["binary"], wanted), abs=1e-6)
    middle = int(np.median(found.rounds))
    assert found.best_params == {**params, counted: middle} and int(ctx.params[counted]) == middle
    whole = made(middle, ctx.seed).fit(frame[features], frame["binary"], verbose=False)
    ours = saved.open_model(found.model, ctx).predict(frame)
    assert np.abs(ours - whole.predict_proba(frame[features])[:, 1]).max() < 1e-6
    if algorithm == "XGBoost":
        search = {"trials": 2, "inner_folds": 2, "space": {"max_depth": {"type": "int", "low": 2, "high": 3}}}
        nested = crossed(ctx, frame, "binary", search=search, **more)
        assert nested.rounds == tuple(one["n_estimators"] for one in nested.searched) and max(nested.rounds) < 80
        assert saved.open_model(nested.model, ctx).manifest["params"] == nested.best_params


def xgb(rounds: int, seed: int, **more: Any) -> Any:
    more |= {"eval_metric": "logloss", "learning_rate": 0.2}
    return xgboost.XGBClassifier(n_estimators=rounds, tree_method="hist", random_state=seed, **more)


def cat(rounds: int, seed: int, **more: Any) -> Any:
    more |= {"allow_writing_files": False, "thread_count": 1, "learning_rate": 0.2}
    return catboost.CatBoostClassifier(iterations=rounds, random_seed=seed, **more)


def test_chosen_metrics_are_those_of_every_split(ctx: LocalContext) -> None:
    frame = table(200)
    more = {"exclude": others("binary"), "params": {"n_estimators": 5}}
    assert list(crossed(ctx, frame, "binary", metrics=("brier",), **more).metrics) == ["brier"]
    with pytest.raises(StepError, match="rmse is not a metric of classification"):
        crossed(ctx, frame, "binary", metrics=("rmse",), **more)


@pytest.mark.parametrize("strategy", ["kfold", pytest.param("group", marks=pytest.mark.slow)])
def test_a_search_within_each_split_chooses_as_scikit_learn_does_by_the_same_inner_folds(
    ctx: LocalContext, strategy: str
) -> None:
    frame = table(240)[["a", "b", "count", "binary"]].fillna({"a": 0.0}).assign(key=np.arange(240) // 3)
    choices = [0.0001, 0.05, 10.0]
    about: dict[str, Any] = {"strategy": strategy, **({"by": "key"} if strategy == "group" else {})}
    search = {"trials": 10, "inner_folds": 2, "space": {"C": {"type": "categorical", "choices": choices}}}
    more = {"algorithm": "LogisticRegression", "exclude": ("key",), "metrics": ("log_loss",)}
    found = crossed(ctx, frame, "binary", about={**about, "folds": 2}, search=search, **more)
    rows = ctx.table(frame)
    splits = folding.read(folds(FoldsParams(table=rows, folds=2, **about), ctx).folds, rows, ctx)
    parts = [frame[roles == folding.TRAIN] for roles in splits]
    chosen = [*found.searched, found.best_params]
    with threadpool_limits(1):
        assert [{"C": best(part, strategy, choices, ctx.seed)} for part in (*parts, frame)] == chosen
    wanted = [saved.open_model(found.model, ctx).manifest["params"], chosen[-1]]
    assert wanted[0] == wanted[1], "the model of all rows has the parameters of inner folds of all rows"


def best(frame: pd.DataFrame, strategy: str, choices: list[float], seed: int) -> float:
    """The choice with the least mean loss over the inner folds of these rows."""
    keys = folding.Keys(
        len(frame),
        pd.factorize(frame["key"])[0] if strategy == "group" else None,
        None if strategy == "group" else pd.factorize(frame["binary"])[0],
    )
    inner = "group" if strategy == "group" else "stratified"
    losses = {}
    for choice in choices:
        found = []
        for roles in folding.splits(keys, folding.Division(inner, 2), seed):  # type: ignore[arg-type]
            train, test = frame[roles == folding.TRAIN], frame[roles == folding.TEST]
            model = make_pipeline(StandardScaler(), LogisticRegression(C=choice, max_iter=1000))
            model.fit(train[["a", "b", "count"]], train["binary"])
            found.append(log_loss(test["binary"], model.predict_proba(test[["a", "b", "count"]])[:, 1]))
        losses[choice] = np.mean(found)
    return min(choices, key=lambda choice: losses[choice])


def test_folds_of_another_table_are_refused(ctx: LocalContext) -> None:
    made = folds(FoldsParams(table=ctx.table(table(100)), strategy="kfold"), ctx).folds
    with pytest.raises(StepError, match="made from another table"):
        cross_validate(CrossValidateParams(table=ctx.table(table(100, seed=1)), folds=made, target="binary"), ctx)


@pytest.mark.parametrize(("strategy", "warned"), [("stratified", True), ("group", False)])
def test_repeated_rows_are_warned_of_when_folds_part_them(ctx: LocalContext, strategy: str, warned: bool) -> None:
    r = np.random.default_rng(0)
    once = pd.DataFrame({"key": range(60), "a": r.normal(size=60), "b": r.normal(size=60), "y": r.integers(0, 2, 60)})
    about = {"strategy": strategy, **({"by": "key"} if strategy == "group" else {"target": "y"})}
    frame = pd.concat([once] * 4, ignore_index=True)
    more = {"algorithm": "KNeighbors", "exclude": ("key",), "metrics": ("roc_auc",)}
    crossed(ctx, frame, "y", about=about, **more)
    assert any("are training rows too" in one for one in ctx.warned) == warned


def test_equal_rows_by_chance_are_not_warned_of(ctx: LocalContext) -> None:
    r = np.random.default_rng(0)
    frame = pd.DataFrame({"a": r.integers(0, 9, 240), "b": r.integers(0, 3, 240), "y": r.integers(0, 2, 240)})
    crossed(ctx, frame, "y", algorithm="KNeighbors")
    assert not any("training rows too" in one for one in ctx.warned)


def noise(seed: int, rows: int = 800) -> pd.DataFrame:
    """A target that nothing tells of, many values and many numbers."""
    r = np.random.default_rng(seed)
    frame = pd.DataFrame(r.normal(size=(rows, 100)), columns=[f"n{number}" for number in range(100)])
    for number in range(3):
        frame[f"text{number}"] = [f"v{value}" for value in r.integers(0, 120, rows)]
    return frame.assign(target=r.integers(0, 2, rows))


LEAKING = [{"op": "target_encode", "types": ["text"]}, {"op": "select", "k": 10}]


@pytest.mark.parametrize("seeds", [1, pytest.param(50, marks=pytest.mark.sweep)])
@pytest.mark.timeout(1800)
def test_noise_is_not_learnt_when_recipe_and_search_are_within_each_split(ctx: LocalContext, seeds: int) -> None:
    search = {"trials": 4, "inner_folds": 2, "space": {"C": {"type": "float", "low": 1e-4, "high": 10, "log": True}}}
    found = []
    for seed in range(seeds):
        more = {"algorithm": "LogisticRegression", "metrics": ("roc_auc",), "seed": seed, "search": search}
        about = {"strategy": "stratified", "target": "target", "folds": 5, "seed": seed}
        found.append(crossed(ctx, noise(seed), "target", LEAKING, about=about, **more).metrics["roc_auc"].mean)
    bound = 0.03 if seeds == 50 else 0.1  # one seed has a standard error of about 0.02
    assert np.mean(found) == pytest.approx(0.5, abs=bound), found


def test_noise_is_learnt_when_the_whole_table_is_prepared_first() -> None:
    frame = noise(0)
    texts = [name for name in frame if name.startswith("text")]
    y = frame.pop("target")
    frame[texts] = TargetEncoder().fit(frame[texts], y).transform(frame[texts])
    chosen = SelectKBest(k=10).fit_transform(frame, y)
    predicted = cross_val_predict(LogisticRegression(), chosen, y, cv=5, method="predict_proba")[:, 1]
    assert roc_auc_score(y, predicted) > 0.6, "which is why no action prepares a whole table"
