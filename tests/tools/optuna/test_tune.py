"""optuna.tune on real tables, with Optuna's own storage asked afterwards."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
import xgboost
from pydantic import ValidationError
from sklearn.metrics import brier_score_loss, log_loss, recall_score, roc_auc_score

from context import LocalContext
from e2i.errors import StepError
from e2i.estimators import folding, saved
from e2i.estimators.algorithms import ALGORITHMS
from e2i.estimators.options import EarlyStop
from e2i.tools.data.actions import folds
from e2i.tools.data.folding import FoldsParams
from e2i.tools.optuna import TuneOutputs, TuneParams
from e2i.tools.optuna.actions import tune
from learning import others, table

SMALL: dict[str, Any] = {
    "n_estimators": {"type": "int", "low": 5, "high": 20},
    "max_depth": {"type": "int", "low": 2, "high": 4},
    "learning_rate": {"type": "float", "low": 0.05, "high": 0.3, "log": True},
}


def run(ctx: LocalContext, **params: Any) -> TuneOutputs:
    frame = table(400)
    target = params.setdefault("target", "binary")
    given = {"exclude": others(target), "space": SMALL, "trials": 6, "plots": False, **params}
    return asyncio.run(tune(TuneParams(train=ctx.table(frame[:300]), validation=ctx.table(frame[300:]), **given), ctx))


def stored(ctx: LocalContext, name: str) -> optuna.Study:
    return optuna.load_study(study_name=name, storage=f"sqlite:///{ctx.home('optuna') / 'studies.db'}")


def test_the_storage_holds_exactly_the_trials_asked_for(ctx: LocalContext) -> None:
    found = run(ctx, trials=5)
    study = stored(ctx, found.study.name)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 5
    assert study.best_params == found.best_params
    assert study.best_value == found.best_value
    assert found.study.trials == found.trials.rows == 5
    assert [child.name for child in ctx.children] == [f"trial-{n:04d}" for n in range(5)]
    assert ctx.metrics["best_roc_auc"] == found.best_value


def test_one_at_a_time_equals_a_sequential_study_of_optuna_with_xgbclassifier(ctx: LocalContext) -> None:
    frame = table(400)
    features = ["a", "b", "count"]
    train, validation = frame[:300], frame[300:]

    def objective(trial: optuna.Trial) -> float:
        model = xgboost.XGBClassifier(
            tree_method="hist",
            random_state=ctx.seed,
            n_estimators=trial.suggest_int("n_estimators", 5, 20),
            max_depth=trial.suggest_int("max_depth", 2, 4),
            learning_rate=trial.suggest_float("learning_rate", 0.05, 0.3, log=True),
        ).fit(train[features], train["binary"])
        return float(roc_auc_score(validation["binary"], model.predict_proba(validation[features])[:, 1]))

    plain = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=ctx.seed))
    plain.optimize(objective, n_trials=14)
    ours = stored(ctx, run(ctx, trials=14, parallel=1, features=features, exclude=()).study.name)
    assert [trial.params for trial in ours.trials] == [trial.params for trial in plain.trials]
    assert np.allclose([t.value for t in ours.trials], [t.value for t in plain.trials], rtol=0, atol=1e-12)


def test_side_by_side_repeats_exactly(ctx: LocalContext, tmp_path: Path) -> None:
    other = LocalContext(tmp_path / "other", step="another")
    first, second = run(ctx, trials=12, parallel=3), run(other, trials=12, parallel=3)
    assert ctx.frame(first.trials).equals(other.frame(second.trials))
    other.close()


def test_a_finished_study_is_not_run_again(ctx: LocalContext) -> None:
    first = run(ctx)
    before = [trial.datetime_complete for trial in stored(ctx, first.study.name).trials]
    assert run(ctx) == first
    assert [trial.datetime_complete for trial in stored(ctx, first.study.name).trials] == before


@pytest.mark.parametrize(("parallel", "kept"), [(1, 4), (2, 4), (2, 3)])
def test_an_interrupted_study_ends_as_one_that_was_not(
    ctx: LocalContext, tmp_path: Path, parallel: int, kept: int
) -> None:
    whole = LocalContext(tmp_path / "whole")
    expected = run(whole, trials=14, parallel=parallel)
    url = f"sqlite:///{ctx.home('optuna') / 'studies.db'}"
    cut = optuna.create_study(study_name=expected.study.name, storage=url, direction="maximize")
    cut.add_trials(stored(whole, expected.study.name).trials[:kept])
    resumed = run(ctx, trials=14, parallel=parallel)
    assert resumed == expected
    assert len(stored(ctx, resumed.study.name).trials) == 14
    whole.close()


def test_a_trial_left_running_is_failed_and_the_study_ends_as_one_without_it(ctx: LocalContext, tmp_path: Path) -> None:
    other = LocalContext(tmp_path / "other")
    expected = run(other, trials=4)
    other.close()
    url = f"sqlite:///{ctx.home('optuna') / 'studies.db'}"
    study = optuna.create_study(study_name=expected.study.name, storage=url, direction="maximize")
    study.ask()
    assert run(ctx, trials=4) == expected
    study.ask()
    assert run(ctx, trials=4) == expected
    states = [trial.state.name for trial in stored(ctx, expected.study.name).trials]
    assert states == ["FAIL", *["COMPLETE"] * 4, "FAIL"]
    assert [child.name for child in ctx.children] == [f"trial-{n:04d}" for n in range(4)] * 2


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
def test_every_algorithm_is_tuned_over_its_own_space(ctx: LocalContext, algorithm: str) -> None:
    target = "amount" if "classification" not in ALGORITHMS[algorithm].tasks else "binary"
    fixed = {name: 8 for name in ("n_estimators", "iterations") if name in ALGORITHMS[algorithm].params}
    found = run(ctx, algorithm=algorithm, target=target, space=None, fixed=fixed, trials=2)
    assert set(found.best_params) == set(ALGORITHMS[algorithm].space)
    assert {**found.best_params, **fixed} == found.best_params


def test_no_completed_trial_is_an_error_with_the_reasons(ctx: LocalContext) -> None:
    space = {"base_score": {"type": "float", "low": 5, "high": 6}}
    with pytest.raises(StepError, match=r"no trial was completed: XGBoost: .*base_score.*\(\d of 3\)"):
        run(ctx, space=space, trials=3)


def test_an_unknown_hyperparameter_is_refused_before_any_trial(ctx: LocalContext) -> None:
    with pytest.raises(StepError, match="has no parameter 'max_dept'") as caught:
        run(ctx, space={"max_dept": {"type": "int", "low": 1, "high": 2}})
    assert "did you mean 'max_depth'" in str(caught.value.hint)
    assert not ctx.children


def folded(ctx: LocalContext, **params: Any) -> TuneOutputs:
    rows = ctx.table(table(400))
    target = params.setdefault("target", "binary")
    about = {"strategy": "kfold", "folds": 3, **params.pop("about", {})}
    made = folds(FoldsParams(table=rows, **about), ctx).folds
    given = {"exclude": others(target), "space": SMALL, "trials": 6, "plots": False, **params}
    return asyncio.run(tune(TuneParams(train=rows, folds=made, **given), ctx))


def test_a_trial_with_folds_is_the_mean_over_models_of_xgboost(ctx: LocalContext) -> None:
    frame, features = table(400), ["a", "b", "count"]
    found = folded(ctx, trials=4, features=features, exclude=(), metric="log_loss")
    made = folds(FoldsParams(table=ctx.table(frame), strategy="kfold", folds=3), ctx).folds
    splits = folding.read(made, ctx.table(frame), ctx)
    for trial in stored(ctx, found.study.name).trials:
        values = []
        for roles in splits:
            train, test = frame[roles == folding.TRAIN], frame[roles == folding.TEST]
            model = xgboost.XGBClassifier(tree_method="hist", random_state=ctx.seed, **trial.params)
            model.fit(train[features], train["binary"])
            values.append(log_loss(test["binary"], model.predict_proba(test[features])[:, 1].astype(float)))
        assert trial.value == pytest.approx(np.mean(values), abs=1e-9)
    best = xgboost.XGBClassifier(tree_method="hist", random_state=ctx.seed, **found.best_params)
    best.fit(frame[features], frame["binary"])
    ours = saved.open_model(found.model, ctx).predict(frame)
    assert np.abs(ours - best.predict_proba(frame[features])[:, 1]).max() < 1e-9, "the best is fitted to all rows"


def test_trials_stop_early_in_each_split_and_the_best_is_fitted_with_the_median_of_rounds(ctx: LocalContext) -> None:
    frame, features = table(400), ["a", "b", "count"]
    space = {"max_depth": SMALL["max_depth"]}
    more = {"features": features, "exclude": (), "metric": "log_loss", "early_stopping": {"rounds": 4}, "trials": 3}
    found = folded(ctx, space=space, fixed={"n_estimators": 80, "learning_rate": 0.2}, **more)
    made = folds(FoldsParams(table=ctx.table(frame), strategy="kfold", folds=3), ctx).folds
    settings = {"tree_method": "hist", "random_state": ctx.seed, "learning_rate": 0.2, "eval_metric": "logloss"}
    rounds = {}
    for trial in stored(ctx, found.study.name).trials:
        values, kept = [], []
        for roles in folding.read(made, ctx.table(frame), ctx):
            train, test = frame[roles == folding.TRAIN], frame[roles == folding.TEST]
            model = xgboost.XGBClassifier(n_estimators=80, early_stopping_rounds=4, **settings, **trial.params)
            held_out = [(test[features], test["binary"])]
            model.fit(train[features], train["binary"], eval_set=held_out, verbose=False)
            values.append(log_loss(test["binary"], model.predict_proba(test[features])[:, 1].astype(float)))
            kept.append(model.best_iteration + 1)
        assert trial.value == pytest.approx(np.mean(values), abs=1e-9)
        rounds[trial.number] = int(np.median(kept))
    best = stored(ctx, found.study.name).best_trial
    assert found.best_params["n_estimators"] == rounds[best.number] < 80
    again = folded(ctx, space=space, fixed={"n_estimators": 80, "learning_rate": 0.2}, **more)
    assert again.best_params == found.best_params and len(stored(ctx, found.study.name).trials) == 3, "resumed"
    whole = xgboost.XGBClassifier(n_estimators=rounds[best.number], **settings, **best.params)
    wanted = whole.fit(frame[features], frame["binary"]).predict_proba(frame[features])[:, 1]
    assert np.abs(saved.open_model(found.model, ctx).predict(frame) - wanted).max() < 1e-9


def test_trials_stop_early_by_the_validation_rows_also_with_a_pruner(ctx: LocalContext) -> None:
    features = ["a", "b", "count"]
    train, held_out = table(300), table(150, seed=1)
    fixed = {"n_estimators": 80, "learning_rate": 0.2}
    space = {"max_depth": SMALL["max_depth"]}
    more = {"target": "binary", "features": features, "metric": "log_loss", "space": space, "fixed": fixed, "trials": 3}
    settings = {"tree_method": "hist", "random_state": ctx.seed, "learning_rate": 0.2, "eval_metric": "logloss"}
    for pruner in ("none", "median"):
        rows = {"train": ctx.table(train), "validation": ctx.table(held_out)}
        given = TuneParams(**rows, **more, early_stopping={"rounds": 4}, pruner=pruner, study=pruner)
        found = asyncio.run(tune(given, ctx))
        best = stored(ctx, found.study.name).best_trial
        model = xgboost.XGBClassifier(n_estimators=80, early_stopping_rounds=4, **settings, **best.params)
        model.fit(train[features], train["binary"], eval_set=[(held_out[features], held_out["binary"])], verbose=False)
        assert found.best_params["n_estimators"] == model.best_iteration + 1 < 80
        wanted = model.predict_proba(held_out[features])[:, 1]
        assert np.abs(saved.open_model(found.model, ctx).predict(held_out) - wanted).max() < 1e-9
    again = asyncio.run(tune(given, ctx))
    assert (again.best_params, again.model.digest) == (found.best_params, found.model.digest), "resumed"
    wrong = given.model_copy(update={"early_stopping": EarlyStop(rounds=4, metric="roc_auc"), "study": "wrong"})
    with pytest.raises(StepError, match="one metric, and the pruner has log_loss"):
        asyncio.run(tune(wrong, ctx))


def test_trials_are_pruned_after_a_split_whatever_the_algorithm(ctx: LocalContext) -> None:
    space = {"C": {"type": "float", "low": 1e-5, "high": 10, "log": True}}
    more = {"algorithm": "LogisticRegression", "pruner": "median", "metric": "accuracy", "trials": 16}
    found = folded(ctx, space=space, about={"folds": 4}, **more)
    trials = stored(ctx, found.study.name).trials
    assert {"PRUNED", "COMPLETE"} == {trial.state.name for trial in trials}
    assert all(len(trial.intermediate_values) < 4 for trial in trials if trial.state.name == "PRUNED")


def test_rows_to_judge_by_are_one_table_or_folds(ctx: LocalContext) -> None:
    rows = ctx.table(table(60))
    with pytest.raises(ValidationError, match="set either `validation` or `folds`"):
        TuneParams(train=rows, target="binary")
    with pytest.raises(StepError, match="training rows of a split lack a class"):
        frame = table(60).assign(three=["a"] * 20 + ["b"] * 20 + ["c"] * 20, at=range(60))
        made = folds(FoldsParams(table=ctx.table(frame), strategy="time", time="at", folds=3), ctx).folds
        asyncio.run(tune(TuneParams(train=ctx.table(frame), folds=made, target="three", plots=False), ctx))


def test_trials_behind_the_median_are_pruned(ctx: LocalContext) -> None:
    space = {"learning_rate": {"type": "float", "low": 0.0001, "high": 0.5, "log": True}}
    found = run(ctx, space=space, fixed={"n_estimators": 40}, trials=14, pruner="median", metric="log_loss")
    states = ctx.frame(found.trials)["state"].tolist()
    assert "pruned" in states and "complete" in states
    assert stored(ctx, found.study.name).best_params.items() <= found.best_params.items()


@pytest.mark.parametrize("sampler", ["random", "qmc"])
def test_other_samplers_repeat_exactly(ctx: LocalContext, tmp_path: Path, sampler: str) -> None:
    other = LocalContext(tmp_path / "other")
    assert run(ctx, sampler=sampler) == run(other, sampler=sampler)
    other.close()


def test_a_categorical_of_several_types_is_searched_and_listed(ctx: LocalContext) -> None:
    space = {"class_weight": {"type": "categorical", "choices": [None, "balanced"]}}
    found = run(ctx, algorithm="LogisticRegression", space=space, fixed={"C": 0.5}, trials=3)
    assert found.best_params["C"] == 0.5
    assert "params_class_weight" in found.trials.names


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": "int", "low": 3, "high": 1},
        {"type": "float", "low": 0.0, "high": 1.0, "log": True},
        {"type": "int", "low": 0, "high": 1.5},
        {"low": 1, "high": 3},
        [1, 2, 3],
    ],
)
def test_a_range_that_optuna_would_sample_wrongly_is_refused(wrong: Any) -> None:
    from pydantic import TypeAdapter, ValidationError

    from e2i.estimators.space import Dimension

    with pytest.raises(ValidationError):
        TypeAdapter(Dimension).validate_python(wrong)


def test_trials_that_tie_and_proposals_without_knowledge_are_named(ctx: LocalContext) -> None:
    run(ctx, algorithm="Lasso", target="amount", space={"alpha": {"type": "float", "low": 1e6, "high": 1e7}}, trials=12)
    assert any("all 12 trials have the same value" in warning for warning in ctx.warned)
    assert any("only 2 of 12 trials were proposed with knowledge of others" in warning for warning in ctx.warned)
    ctx.warned.clear()
    run(ctx, trials=6, sampler="random")
    assert ctx.warned == []


def test_default_spaces_do_not_reweigh_the_classes() -> None:
    for name, known in ALGORITHMS.items():
        assert not {"class_weight", "scale_pos_weight", "is_unbalance", "auto_class_weights"} & set(known.space), name


def test_a_validation_table_of_one_class_is_refused(ctx: LocalContext) -> None:
    frame = table(200)
    held_out = frame[frame["binary"] == 1]
    params = TuneParams(
        train=ctx.table(frame),
        validation=ctx.table(held_out),
        target="binary",
        exclude=others("binary"),
        metric="log_loss",
    )
    with pytest.raises(StepError, match="rows of one class, so no trial can be judged"):
        asyncio.run(tune(params, ctx))


GRID: dict[str, Any] = {
    "n_estimators": {"type": "int", "low": 4, "high": 12, "step": 4},
    "max_depth": {"type": "categorical", "choices": [1, 3]},
    "learning_rate": {"type": "float", "low": 0.1, "high": 0.5, "step": 0.2},
}


@pytest.mark.slow
def test_the_pareto_front_of_a_grid_equals_brute_force(ctx: LocalContext) -> None:
    features = ["a", "b", "count"]
    metrics = [{"name": "roc_auc"}, {"name": "brier"}, {"name": "recall"}]
    given: dict[str, Any] = {"space": GRID, "sampler": "grid", "trials": 100, "metrics": metrics, "plots": True}
    found = run(ctx, features=features, exclude=(), **given)
    frame = table(400)
    points = {}
    for rounds, depth, rate in itertools.product([4, 8, 12], [1, 3], [0.1, 0.1 + 0.2, 0.5]):
        model = xgboost.XGBClassifier(
            tree_method="hist", random_state=ctx.seed, n_estimators=rounds, max_depth=depth, learning_rate=rate
        ).fit(frame[:300][features], frame[:300]["binary"])
        truth, p = frame[300:]["binary"], model.predict_proba(frame[300:][features])[:, 1].astype(float)
        figures = roc_auc_score(truth, p), -brier_score_loss(truth, p), recall_score(truth, p >= 0.5)
        points[rounds, depth, round(rate, 9)] = tuple(round(float(figure), 9) for figure in figures)
    ahead = {
        key for key, one in points.items()
        if not any(two != one and all(b >= a for a, b in zip(one, two, strict=True)) for two in points.values())
    }  # fmt: skip
    front, trials = ctx.frame(found.front), ctx.frame(found.trials)
    names = ["params_n_estimators", "params_max_depth", "params_learning_rate"]
    assert len(trials) == 18
    assert {(n, d, round(r, 9)) for n, d, r in front[names].itertuples(index=False)} == ahead
    assert front["roc_auc"].is_monotonic_decreasing and front["chosen"].sum() == 1
    chosen = front[front["chosen"]].iloc[0]
    assert found.best_params == {name.removeprefix("params_"): chosen[name] for name in names}
    assert found.best_values == {name: chosen[name] for name in ("roc_auc", "brier", "recall")}
    study = stored(ctx, found.study.name)
    assert {trial.number for trial in study.best_trials} == set(front["number"])
    scorer = saved.open_model(found.model, ctx)
    p = saved.predict(scorer, frame[300:])
    assert roc_auc_score(frame[300:]["binary"], p) == found.best_values["roc_auc"] == found.best_value
    resumed = run(ctx, features=features, exclude=(), **{**given, "plots": False})
    report = found.report  # the model is equal too, which is then fitted again
    assert resumed.model_copy(update={"report": report}) == found
    pictures = {path.name for path in ctx.open(found.report).iterdir()}
    assert {"index.html", "pareto_0_1.png", "history_0.png", "importance_2.png", "slices_1.png"} <= pictures
    assert {"contour_0.png", "parallel_1.png"} <= pictures


def test_options_that_are_known_only_in_the_run_are_checked_there(ctx: LocalContext) -> None:
    with pytest.raises(StepError, match="pruner: RandomForest does not train in rounds") as caught:
        run(ctx, algorithm="RandomForest", space=None, pruner="median")
    assert caught.value.code == "unprunable"
    with pytest.raises(StepError, match="accuracy is not computed round by round"):
        run(ctx, metric="accuracy", pruner="median")
    assert not ctx.children


def test_a_warm_search_knows_the_study_of_another_step(ctx: LocalContext, tmp_path: Path) -> None:
    first = run(ctx, trials=12, plots=False)
    other = LocalContext(ctx.workspace.parent, step="another")
    warm = run(other, trials=3, warm_start=(first.study,), seed=3)
    assert len(other.frame(warm.trials)) == 3 and other.warned == []
    assert run(other, trials=3, warm_start=(first.study,), seed=3) == warm
    third = LocalContext(ctx.workspace.parent, step="third")
    with pytest.raises(StepError, match=r"is to maximize roc_auc, this search is to minimize brier") as caught:
        run(third, trials=3, warm_start=(first.study.name,), metric="brier")
    assert caught.value.code == "other-study"
    with pytest.raises(StepError, match="no study 'nowhere'"):
        run(third, trials=3, warm_start=("nowhere",))
    other.close()
    third.close()
