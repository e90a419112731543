"""``OptunaTuner`` against the real Optuna: studies in the store, in a SQLite file and in PostgreSQL."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import optuna
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn import metrics
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.preprocessing import OneHotEncoder

from e2i.errors import ToolUnavailable
from e2i.estimators.algorithms import ALGORITHMS
from e2i.estimators.metrics import METRICS, MetricName
from e2i.mlops import BadCall
from e2i.mlops.mlflow_run import current_run
from e2i.mlops.optuna import Best, OptunaConfig, OptunaTuner
from live.servers import Postgres
from project import until

SPACES: dict[str, dict[str, Any]] = {
    "XGBoost": {
        "max_depth": (2, 4),
        "learning_rate": {"low": 0.02, "high": 0.3, "log": True},
        "n_estimators": [10, 20],
    },
    "LightGBM": {"num_leaves": (4, 9), "subsample": (0.6, 1.0), "n_estimators": [10, 20]},
    "CatBoost": {"depth": (2, 4), "iterations": [10, 20]},
    "RandomForest": {"max_depth": (2, 5), "n_estimators": [5, 10]},
    "LogisticRegression": {"C": {"low": 0.01, "high": 10, "log": True}},
    "Ridge": {"alpha": (0.1, 9.0)},
    "Lasso": {"alpha": (0.01, 0.5)},
    "ElasticNet": {"alpha": (0.01, 0.5), "l1_ratio": (0.1, 0.9)},
    "LinearRegression": {"fit_intercept": [True, False]},
    "QuantileLinear": {"alpha": (0.001, 0.1)},
    "ExtraTrees": {"max_depth": (2, 5), "n_estimators": [5, 10]},
    "HistGradientBoosting": {"max_iter": [5, 10], "max_leaf_nodes": (4, 9)},
    "KNeighbors": {"n_neighbors": (3, 9), "weights": ["uniform", "distance"]},
}
FORMS: dict[str, Callable[[Any], Any]] = {
    "pandas": pd.DataFrame,
    "polars": pl.DataFrame,
    "arrow": lambda table: pa.Table.from_pandas(table),
    "numpy": pd.DataFrame.to_numpy,
    "lists": lambda table: table.to_numpy().tolist(),
}


def rows(count: int = 300, seed: int = 0) -> tuple[pd.DataFrame, Any]:
    """Features, and a signal that targets are made of."""
    r = np.random.default_rng(seed)
    table = pd.DataFrame(r.normal(size=(count, 3)), columns=["calls", "samples", "tenure"])
    return table, (table.calls + table.samples * table.tenure + 0.5 * r.normal(size=count)).to_numpy()


def halves(y: Any, form: Callable[[pd.DataFrame], Any] = pd.DataFrame) -> tuple[Any, Any, Any, Any]:
    table, _ = rows(len(y))
    middle = len(y) // 2
    return form(table[:middle]), y[:middle], form(table[middle:]), y[middle:]


def target(kind: str) -> Any:
    signal_ = rows()[1]
    return {
        "numbers": (signal_ > 0).astype(int),
        "texts": np.where(signal_ > 0, "yes", "no"),
        "booleans": signal_ > 0,
        "three": np.array(["low", "middle", "high"])[np.digitize(signal_, [-0.7, 0.7])],
        "amount": signal_ + 10,
    }[kind]


def optimize(algorithm: Any, space: Any, y: Any, tuner: OptunaTuner | None = None, **options: Any) -> Best:
    given = {"n_trials": 4, "seed": 3, **options}
    return asyncio.run((tuner or OptunaTuner()).optimize(algorithm, space, *halves(y), **given))


def brief(best: Best) -> list[Any]:
    return [(trial.number, trial.params, trial.value, trial.state.name) for trial in best.trials]


@pytest.fixture(
    params=["embedded", pytest.param("file", marks=pytest.mark.slow), pytest.param("postgres", marks=pytest.mark.slow)]
)
def tuner(request: pytest.FixtureRequest, workspace: Path) -> OptunaTuner:
    if request.param == "embedded":
        return OptunaTuner()
    if request.param == "file":
        return OptunaTuner(OptunaConfig(study_storage=f"sqlite:///{workspace / 'own.db'}"))
    server: Postgres = request.getfixturevalue("postgres")
    return OptunaTuner(OptunaConfig(study_storage=server.database()))


def address(tuner: OptunaTuner) -> str:
    if tuner.config.study_storage is None:
        return f"sqlite:///{tuner.home / 'studies.db'}"
    return tuner.config.study_storage.get_secret_value().replace("postgresql:", "postgresql+psycopg:")


def test_the_signature_is_that_of_the_interface() -> None:
    found = inspect.signature(OptunaTuner.optimize).parameters
    names = "algorithm search_space X_train y_train X_val y_val n_trials metric direction timeout study_name sampler pruner seed"
    extra = "treatment choose stop warm_start parallel"
    assert list(found)[1:] == [*names.split(), *extra.split()]
    defaults = {name: found[name].default for name in names.split()[6:]}
    assert defaults == {
        "n_trials": 50, "metric": "auc", "direction": "maximize", "timeout": None, "study_name": None, "sampler": "tpe",
        "pruner": None, "seed": None,
    }  # fmt: skip


def test_a_search_is_a_study_that_optuna_reads(tuner: OptunaTuner) -> None:
    best = optimize("XGBoost", SPACES["XGBoost"], target("numbers"), tuner, n_trials=6)
    assert set(best) == set(SPACES["XGBoost"]) and best == dict(best)
    study = optuna.load_study(study_name=best.study_name, storage=address(tuner))
    assert (study.best_params, study.best_value, len(study.trials)) == (best, best.value, 6)
    assert [trial.number for trial in best.trials] == list(range(6))


def test_a_named_study_is_resumed_to_the_number_of_trials_in_all(tuner: OptunaTuner) -> None:
    y, space = target("numbers"), SPACES["XGBoost"]
    whole = optimize("XGBoost", space, y, tuner, n_trials=14, study_name="whole")
    first = optimize("XGBoost", space, y, tuner, n_trials=5, study_name="kept", seed=3)
    rest = optimize("XGBoost", space, y, tuner, n_trials=14, study_name="kept", seed=3)
    again = optimize("XGBoost", space, y, tuner, n_trials=14, study_name="kept", seed=3)
    assert brief(rest)[:5] == brief(first)
    assert brief(rest) == brief(whole) == brief(again)
    assert [trial.datetime_start for trial in again.trials] == [trial.datetime_start for trial in rest.trials]
    fewer = optimize("XGBoost", space, y, tuner, n_trials=2, study_name="kept")
    assert (len(fewer.trials), fewer.value) == (14, rest.value)


def test_without_a_seed_a_named_study_goes_on_with_the_one_that_it_began_with(workspace: Path) -> None:
    y, space = target("numbers"), SPACES["XGBoost"]
    first = optimize("XGBoost", space, y, n_trials=3, study_name="s", seed=None)
    rest = optimize("XGBoost", space, y, n_trials=13, study_name="s", seed=None)
    assert rest.seed == first.seed
    assert brief(optimize("XGBoost", space, y, n_trials=13, seed=first.seed)) == brief(rest)


def test_another_search_goes_on_with_the_trials_of_a_study(workspace: Path) -> None:
    y = target("numbers")
    optimize("XGBoost", {"max_depth": (2, 4)}, y, n_trials=3, study_name="s", seed=1)
    best = optimize("XGBoost", {"max_depth": (2, 6), "subsample": (0.5, 1.0)}, y, n_trials=8, study_name="s", seed=2)
    assert [set(trial.params) for trial in best.trials] == [{"max_depth"}] * 3 + [{"max_depth", "subsample"}] * 5
    with pytest.raises(ValueError, match="another search space"):
        optimize("XGBoost", {"max_depth": [2, 6]}, y, n_trials=9, study_name="s")
    with pytest.raises(ValueError, match="begun with the metric roc_auc, not accuracy"):
        optimize("XGBoost", {"max_depth": (2, 6)}, y, n_trials=9, study_name="s", metric="accuracy")
    with pytest.raises(ValueError, match="to maximize, not to minimize"):
        optimize("XGBoost", {"max_depth": (2, 6)}, y, n_trials=9, study_name="s", metric="log_loss")


def test_a_study_of_optunas_own_is_resumed_and_its_running_trials_are_left_alone(tuner: OptunaTuner) -> None:
    space = {"C": optuna.distributions.FloatDistribution(0.1, 9.0)}
    study = optuna.create_study(study_name="theirs/2026 é", storage=address(tuner), direction="maximize")
    study.tell(study.ask(space), 0.5)
    running = study.ask(space)
    best = optimize(
        "LogisticRegression", {"C": (0.1, 9.0)}, target("numbers"), tuner, n_trials=4, study_name="theirs/2026 é"
    )
    assert len(best.trials) == 4 and best.trials[0].value == 0.5
    assert study.trials[running.number].state.name == "RUNNING"
    assert sum(trial.state.is_finished() for trial in study.trials) == 4


PROGRAM = """
import asyncio, json, os, sys, time
import numpy as np
from sklearn.linear_model import LogisticRegression
from e2i.mlops.optuna import OptunaConfig, OptunaTuner

r = np.random.default_rng(0)
X = r.normal(size=(200, 3)); y = (X[:, 0] + r.normal(size=200) > 0).astype(int)

def model(C):
    with open("tried", "a") as file:
        file.write(f"{C!r}\\n")
    time.sleep(float(sys.argv[2]))
    return LogisticRegression(C=C)

config = OptunaConfig(study_storage=sys.argv[3]) if len(sys.argv) > 3 else None
best = asyncio.run(OptunaTuner(config).optimize(
    model, {"C": (0.01, 9.0)}, X[:100], y[:100], X[100:], y[100:], n_trials=int(sys.argv[1]), study_name="s", seed=5))
print(json.dumps([dict(best), best.value, [t.params for t in best.trials]]))
"""


def program(workspace: Path, *arguments: object) -> subprocess.Popen[str]:
    (workspace / "program.py").write_text(PROGRAM, "utf-8")
    given = [sys.executable, "program.py", *map(str, arguments)]
    return subprocess.Popen(given, cwd=workspace, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def result(process: subprocess.Popen[str]) -> Any:
    return json.loads(process.communicate(timeout=120)[0])


def tried(workspace: Path) -> list[str]:
    file = workspace / "tried"
    return file.read_text("utf-8").split() if file.exists() else []


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_search_that_was_killed_ends_as_one_that_was_not(workspace: Path) -> None:
    killed = program(workspace, 12, 0.3)
    assert until(lambda: len(tried(workspace)) >= 4, 60)
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    before = len(tried(workspace))
    resumed = result(program(workspace, 12, 0))
    assert len(tried(workspace)) in (12, 13) and before < 12  # the trial that was killed is tried again
    other = workspace / "other"
    (other / ".git").mkdir(parents=True)
    assert resumed == result(program(other, 12, 0))


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("mode", ["embedded", "postgres"])
def test_two_processes_on_one_study_never_repeat_a_trial(
    mode: str, workspace: Path, request: pytest.FixtureRequest
) -> None:
    where = [] if mode == "embedded" else [request.getfixturevalue("postgres").database()]
    both = [program(workspace, 10, 0.05, *where) for _ in range(2)]
    first, second = map(result, both)
    assert first == second
    assert len(tried(workspace)) == len(set(tried(workspace))) == 10


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS.keys() - {"Dummy"}))  # which has nothing to search
def test_the_value_is_that_of_the_estimator_that_fit_returns(algorithm: str, workspace: Path) -> None:
    regression = "classification" not in ALGORITHMS[algorithm].tasks
    y = target("amount" if regression else "texts")
    table, labels, val_table, held_out = halves(y)
    best = optimize(algorithm.swapcase(), SPACES[algorithm], y, metric="RMSE" if regression else "auc", n_trials=3)
    model = best.fit(table, labels)
    if regression:
        assert best.value == pytest.approx(
            metrics.root_mean_squared_error(held_out, model.predict(val_table)), abs=1e-12
        )
        return
    assert best.value == pytest.approx(metrics.roc_auc_score(held_out == "yes", model.predict_proba(val_table)[:, 1]))
    assert set(model.predict(val_table)) <= {"yes", "no"} and list(model.classes_) == ["no", "yes"]


KINDS = {"regression": ("amount",), "classification": ("numbers", "booleans", "three")}
MEASURED = [
    pytest.param(metric, kind, marks=() if metric in ("rmse", "roc_auc") else pytest.mark.slow)
    for metric in get_args(MetricName)
    for kind in KINDS.get(METRICS[metric].task, ())
]


def test_the_order_within_queries_is_judged_in_specs_only(workspace: Path) -> None:
    with pytest.raises(BadCall, match="search a ranking"):
        optimize("XGBoost", SPACES["XGBoost"], target("amount"), metric="ndcg", n_trials=2)


@pytest.mark.parametrize(("metric", "kind"), MEASURED)
def test_every_metric_of_the_catalogue(metric: str, kind: str, workspace: Path) -> None:
    y = target(kind)
    table, labels, val_table, held_out = halves(y)
    best = optimize("RandomForest", SPACES["RandomForest"], y, metric=metric, n_trials=2)
    model = best.fit(table, labels)
    assert best.value == pytest.approx(_reference(metric, kind, model, val_table, held_out))


def _reference(metric: str, kind: str, model: Any, val_table: Any, held_out: Any) -> float:
    decided = model.predict(val_table)
    if kind == "amount":
        found = {
            "rmse": metrics.root_mean_squared_error, "mae": metrics.mean_absolute_error, "r2": metrics.r2_score,
            "mape": metrics.mean_absolute_percentage_error,
        }  # fmt: skip
        return float(found[metric](held_out, decided))
    probabilities = model.predict_proba(val_table)
    binary = kind != "three"
    positive = held_out == model.classes_[1] if binary else np.asarray(held_out)[:, None] == model.classes_
    scores = probabilities[:, 1] if binary else probabilities
    average: dict[str, Any] = {} if binary else {"average": "macro"}
    match metric:
        case "roc_auc" | "average_precision":
            return float(getattr(metrics, f"{metric}_score")(positive, scores, **average))
        case "log_loss":
            return float(metrics.log_loss(held_out, probabilities, labels=model.classes_))
        case "brier":
            return float(
                ((scores - positive) ** 2).sum(axis=-1).mean() if not binary else ((scores - positive) ** 2).mean()
            )
        case "accuracy":
            return float(metrics.accuracy_score(held_out, decided))
        case _:
            name = f"{metric}_score"
            return float(getattr(metrics, name)(held_out, decided, **(average or {"pos_label": model.classes_[1]})))


CLASSIFIERS = ["XGBoost", "LightGBM", "CatBoost", "RandomForest", "LogisticRegression"]
TABLES = [
    pytest.param(
        algorithm,
        form,
        marks=()
        if (name, algorithm) == ("polars", "XGBoost") or algorithm == "LogisticRegression"
        else pytest.mark.slow,
    )
    for algorithm in CLASSIFIERS
    for name, form in FORMS.items()
]
"""Each form with one algorithm, and another algorithm with one form; the others are slow."""


@pytest.mark.parametrize(("algorithm", "form"), TABLES)
def test_a_table_may_have_any_form(algorithm: str, form: Callable[[Any], Any], workspace: Path) -> None:
    y = target("numbers")
    table, labels, val_table, held_out = halves(y, form)
    run = OptunaTuner().optimize(
        algorithm, SPACES[algorithm], table, pl.Series(labels), val_table, list(held_out), n_trials=2, seed=3
    )
    best = asyncio.run(run)
    assert (best, best.value) == ((other := optimize(algorithm, SPACES[algorithm], y, n_trials=2)), other.value)
    assert best.fit(table, pa.array(labels)).n_features_in_ == 3


def test_every_form_of_a_search_space(workspace: Path) -> None:
    seen: list[dict[str, Any]] = []

    def model(**params: Any) -> LogisticRegression:
        seen.append(params)
        return LogisticRegression()

    space: dict[str, Any] = {
        "choice": ["a", None, 3, 0.5, True],
        "whole": (1, 9),
        "number": (0.1, 0.9),
        "mixed": (0, 1.5),
        "log": {"low": 1, "high": 1000, "log": True},
        "stepped": {"type": "int", "low": 10, "high": 50, "step": 20},
        "plain": {"low": 2, "high": 4},
        "numpy": (np.int64(1), np.int64(3)),
        "named": {"type": "float", "low": 0.0, "high": 1.0, "step": 0.5},
    }
    best = optimize(model, space, target("numbers"), n_trials=30, sampler="random")
    assert set(best) == set(space) and len(seen) == 30
    assert {repr(params["choice"]) for params in seen} == {"'a'", "None", "3", "0.5", "True"}
    assert {type(params["whole"]) for params in seen} == {int} == {type(params["numpy"]) for params in seen}
    assert {params["stepped"] for params in seen} == {10, 30, 50} and {params["plain"] for params in seen} == {2, 3, 4}
    assert all(0.1 <= params["number"] <= 0.9 and 0 <= params["mixed"] <= 1.5 for params in seen)
    assert all(isinstance(params["log"], float) for params in seen)
    assert sum(params["log"] < 32 for params in seen) > 8
    assert {params["named"] for params in seen} == {0.0, 0.5, 1.0}


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ((1, 2, 3), "a tuple is a range of two ends"),
        ((True, False), "a list is a choice"),
        (("a", "b"), "a list is a choice"),
        ((9, 1), "low (9) is greater than high (1)"),
        ([], "at least 1"),
        ([object()], "a study keeps None, booleans, numbers and texts"),
        ({"low": 0, "high": 1, "log": True}, "must start above 0"),
        ({"type": "int", "low": 0.5, "high": 2}, "valid integer"),
        ({"low": 1}, "high: Field required"),
        (5, "5 is not a range"),
    ],
)
def test_a_wrong_range_names_the_parameter_and_says_what_to_write(form: Any, said: str, workspace: Path) -> None:
    with pytest.raises(ValueError, match="search space of 'max_depth'") as caught:
        optimize("XGBoost", {"max_depth": form}, target("numbers"))
    assert said in str(caught.value) and "[a, b] to choose" in str(caught.value)


Y = target("numbers")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"algorithm": "XGBost"}, 'did you mean "XGBoost"'),
        ({"algorithm": "CausalForest"}, "estimates effects of a treatment"),
        ({"algorithm": "linear_dml"}, "treatment=(t_train, t_val)"),
        ({"algorithm": "Ridge"}, "Ridge does not support classification"),
        ({"space": {"max_dept": (1, 2)}}, 'did you mean "max_depth"'),
        ({"space": {"eta": (0.1, 0.2)}}, 'did you mean "learning_rate"'),
        ({"space": {}}, "at least one parameter"),
        ({"metric": "auk"}, 'did you mean "auc"'),
        ({"metric": "r_score"}, "treatment=(t_train, t_val)"),
        ({"metric": "dr_score"}, "treatment=(t_train, t_val)"),
        ({"treatment": (Y, Y)}, 'set metric="r_score"'),
        ({"treatment": (Y, Y), "metric": "r_score"}, "XGBoost does not estimate effects"),
        (
            {"treatment": Y, "metric": "r_score", "algorithm": "LinearDML", "space": {"cv": (2, 3)}},
            "not the treatments",
        ),
        (
            {"treatment": (Y, Y), "metric": "r_score", "algorithm": "LinearDML", "space": {"cvv": (2, 3)}},
            'did you mean "cv"',
        ),
        ({"direction": "minimize"}, 'set direction="maximize"'),
        ({"direction": "up"}, "not a direction"),
        ({"metric": "log_loss", "direction": "maximize"}, 'set direction="minimize"'),
        ({"sampler": "annealing"}, "there is no sampler"),
        ({"sampler": "grid"}, "a grid needs a finite number of values"),
        ({"pruner": "wild"}, "there is no pruner"),
        ({"pruner": "median", "metric": "accuracy"}, "not computed round by round"),
        ({"pruner": "median", "algorithm": "RandomForest", "space": {"max_depth": (2, 3)}}, "does not train in rounds"),
        ({"n_trials": 0}, "not a number of trials"),
        ({"timeout": -1}, "not a number of seconds"),
        ({"seed": -1}, "not between"),
    ],
)
def test_a_mistake_raises_at_once_with_a_hint(change: dict[str, Any], said: str, workspace: Path) -> None:
    given = {"algorithm": "XGBoost", "space": SPACES["XGBoost"], **change}
    with pytest.raises(ValueError) as caught:
        optimize(given.pop("algorithm"), given.pop("space"), Y, **given)
    assert said in str(caught.value)
    assert OptunaTuner().state == "closed"


@pytest.mark.parametrize(
    ("table", "y", "said"),
    [
        (np.zeros(9), Y[:9], "not (rows, features)"),
        (np.zeros((0, 3)), Y[:0], "has no rows"),
        (np.zeros((9, 3)), Y[:8], "one label for each row"),
        (np.zeros((9, 3)), [None] * 9, "missing in 9 of 9 rows"),
        (np.zeros((9, 3)), np.zeros(9), "has one class"),
        (np.zeros((9, 2)), Y[:9], "2 features and `X_val` has 3"),
        (pd.DataFrame({"calls": ["x"] * 9, "samples": 1, "tenure": 2}), Y[:9], "takes no texts"),
        (rows()[0], rows()[1], "too many for classes"),
    ],
)
def test_a_table_that_does_not_fit_is_refused_before_any_trial(table: Any, y: Any, said: str, workspace: Path) -> None:
    with pytest.raises(ValueError) as caught:
        asyncio.run(
            OptunaTuner().optimize("XGBoost", SPACES["XGBoost"], table, y, *halves(Y)[2:], n_trials=2, study_name="s")
        )
    assert said in str(caught.value)
    assert asyncio.run(OptunaTuner().client.count_trials("s")) == 0


def test_the_direction_of_a_metric_is_its_own_when_left_out(workspace: Path) -> None:
    best = optimize("Ridge", SPACES["Ridge"], target("amount"), metric="rmse", n_trials=5)
    assert best.value == min(trial.value for trial in best.trials)


def test_the_same_seed_gives_the_same_parameters(workspace: Path) -> None:
    found = [optimize("LightGBM", SPACES["LightGBM"], Y, n_trials=12, seed=seed) for seed in (7, 7, 8)]
    assert brief(found[0]) == brief(found[1]) != brief(found[2])
    assert found[0].study_name != found[1].study_name


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["tpe", "random", "grid", "cmaes", "qmc", "CMA-ES"])
def test_every_sampler_repeats_itself_and_resumes(sampler: str, workspace: Path) -> None:
    space = (
        {"C": [0.1, 1.0, 10.0], "tol": [1e-4, 1e-3]} if sampler == "grid" else {"C": (0.1, 9.0), "tol": (1e-5, 1e-3)}
    )
    given: dict[str, Any] = {"sampler": sampler, "n_trials": 14}
    whole = optimize("LogisticRegression", space, Y, **given)
    optimize("LogisticRegression", space, Y, study_name="s", **{**given, "n_trials": 4})
    assert brief(optimize("LogisticRegression", space, Y, study_name="s", **given)) == brief(whole)
    other = optimize("LogisticRegression", space, Y, study_name="s", seed=9, **given)
    distinct = {tuple(sorted(trial.params.items())) for trial in other.trials}
    assert len(distinct) == len(other.trials) == (6 if sampler == "grid" else 14)


PRUNED = [
    pytest.param(algorithm, pruner, marks=() if (algorithm, pruner) == ("XGBoost", "hyperband") else pytest.mark.slow)
    for algorithm in ("XGBoost", "LightGBM", "CatBoost")
    for pruner in ("median", "hyperband", "successive_halving")
]


@pytest.mark.parametrize(("algorithm", "pruner"), PRUNED)
def test_pruners_see_the_metric_of_each_tenth_round(algorithm: str, pruner: str, workspace: Path) -> None:
    rounds = "iterations" if algorithm == "CatBoost" else "n_estimators"
    space = {**SPACES[algorithm], rounds: [40]}
    best = optimize(algorithm, space, target("texts"), pruner=pruner, n_trials=20, study_name="s")
    assert "PRUNED" in {trial.state.name for trial in best.trials}
    complete = next(trial for trial in best.trials if trial.state.name == "COMPLETE")
    assert list(complete.intermediate_values) == [9, 19, 29, 39]
    assert complete.intermediate_values[39] == pytest.approx(complete.value, abs=1e-6)
    table, labels, val_table, held_out = halves(target("texts"))
    model = Best(complete.params, value=0, study_name="", trials=[], recipe=best._recipe, features=best._features).fit(
        table, labels
    )
    assert metrics.roc_auc_score(held_out == "yes", model.predict_proba(val_table)[:, 1]) == pytest.approx(
        complete.value
    )
    again = optimize(algorithm, space, target("texts"), pruner=pruner, n_trials=22, study_name="s")
    assert brief(again)[:20] == brief(best)


def test_pruning_works_for_an_estimator_of_the_programs_own(workspace: Path) -> None:
    from xgboost import XGBClassifier

    def model(max_depth: int) -> XGBClassifier:
        return XGBClassifier(max_depth=max_depth, n_estimators=30)

    best = optimize(model, {"max_depth": (1, 6)}, target("texts"), pruner="median", n_trials=12)
    assert all(9 in trial.intermediate_values for trial in best.trials)
    with pytest.raises(ValueError, match="does not train in rounds"):
        optimize(lambda c: LogisticRegression(C=c), {"c": (0.1, 1.0)}, Y, pruner="median")


def test_a_callable_gets_tables_and_labels_as_they_are(workspace: Path) -> None:
    from sklearn.compose import make_column_transformer
    from sklearn.pipeline import make_pipeline

    frame = rows()[0].assign(region=np.where(rows()[0].calls > 0.3, "north", "south"))

    def model(c: float) -> Any:
        encoder = make_column_transformer((OneHotEncoder(), ["region"]), remainder="passthrough")
        return make_pipeline(encoder, LogisticRegression(C=c))

    y = target("texts")
    best = asyncio.run(
        OptunaTuner().optimize(model, {"c": (0.1, 9.0)}, frame[:150], y[:150], frame[150:], y[150:], n_trials=3, seed=1)
    )
    fitted = best.fit(frame[:150], y[:150], logisticregression__sample_weight=np.ones(150))
    assert best.value == pytest.approx(metrics.roc_auc_score(y[150:] == "yes", fitted.predict_proba(frame[150:])[:, 1]))
    ranked = optimize(lambda alpha: SGDClassifier(alpha=alpha, random_state=0), {"alpha": (1e-4, 1e-2)}, y)
    assert 0.5 < ranked.value < 1
    with pytest.raises(ValueError, match="gives no probabilities"):
        optimize(lambda alpha: SGDClassifier(alpha=alpha), {"alpha": (1e-4, 1e-2)}, y, metric="log_loss")


def test_categories_are_taken_where_the_library_takes_them(workspace: Path) -> None:
    frame = rows()[0].assign(region=np.where(rows()[0].calls > 0.3, "north", "south"))
    for algorithm, kind in (("CatBoost", object), ("XGBoost", "category"), ("LightGBM", "category")):
        typed = frame.astype({"region": kind})
        call = OptunaTuner().optimize(
            algorithm, SPACES[algorithm], typed[:150], Y[:150], typed[150:], Y[150:], n_trials=2, seed=1
        )
        best = asyncio.run(call)
        assert best.fit(typed[:150], Y[:150]).predict(typed[150:]).shape == (150,)


def test_a_trial_that_fails_is_recorded_and_the_search_goes_on(workspace: Path) -> None:
    def model(c: float) -> LogisticRegression:
        if c > 5:
            raise RuntimeError("too large")
        return LogisticRegression(C=c)

    best = optimize(model, {"c": (0.1, 9.0)}, Y, n_trials=10, sampler="random", study_name="s")
    failed = [trial for trial in best.trials if trial.state.name == "FAIL"]
    assert 0 < len(failed) < 10 and {trial.user_attrs["reason"] for trial in failed} == {"RuntimeError: too large"}
    assert len(optimize(model, {"c": (0.1, 9.0)}, Y, n_trials=10, sampler="random", study_name="s").trials) == 10


def test_a_search_in_which_every_trial_fails_raises_the_reasons(workspace: Path) -> None:
    def model(c: float) -> LogisticRegression:
        raise RuntimeError("no licence")

    with pytest.raises(ValueError, match=r"no trial was completed: RuntimeError: no licence \(4 of 4\)"):
        optimize(model, {"c": (0.1, 9.0)}, Y)


def test_no_trial_begins_after_the_timeout(workspace: Path) -> None:
    with pytest.raises(ValueError, match="none was started before the timeout"):
        optimize("XGBoost", SPACES["XGBoost"], Y, timeout=1e-9)


def test_an_open_search_does_not_block_the_loop_and_ends_when_it_is_cancelled(workspace: Path) -> None:
    reached, let_go = threading.Event(), threading.Event()

    def model(c: float) -> LogisticRegression:
        reached.set()
        assert let_go.wait(60)  # a loop that is blocked by the search would never set it
        return LogisticRegression(C=c)

    async def cancelled() -> None:
        search = asyncio.create_task(
            OptunaTuner().optimize(model, {"c": (0.1, 9.0)}, *halves(Y), n_trials=50, study_name="s", seed=1)
        )
        while not reached.is_set():
            await asyncio.sleep(0.01)
        search.cancel()
        with pytest.raises(asyncio.CancelledError):
            await search
        let_go.set()

    asyncio.run(cancelled())
    assert len(optimize(model, {"c": (0.1, 9.0)}, Y, n_trials=3, study_name="s").trials) == 3


@pytest.mark.slow
def test_several_searches_share_a_connector_and_a_loop(workspace: Path) -> None:
    async def both() -> list[Best]:
        tuner = OptunaTuner()
        calls = [
            tuner.optimize("LogisticRegression", SPACES["LogisticRegression"], *halves(Y), n_trials=4, seed=seed)
            for seed in (1, 2, 1)
        ]
        return await asyncio.gather(*calls)

    found = asyncio.run(both())
    assert brief(found[0]) == brief(found[2]) != brief(found[1])


class FakeRun:
    tracking_uri: str | None = None

    def __init__(self) -> None:
        self.children: list[dict[str, Any]] = []

    async def log_child(self, **child: Any) -> None:
        self.children.append(child)


def test_each_new_trial_is_a_nested_run_of_the_open_run(workspace: Path) -> None:
    run = FakeRun()

    async def search(trials: int) -> Best:
        token = current_run.set(run)  # type: ignore[arg-type]
        try:
            return await OptunaTuner().optimize(
                "XGBoost", SPACES["XGBoost"], *halves(Y), n_trials=trials, study_name="s", seed=3
            )
        finally:
            current_run.reset(token)

    best = asyncio.run(search(3))
    assert [child["name"] for child in run.children] == ["trial-0000", "trial-0001", "trial-0002"]
    assert [child["params"] for child in run.children] == [trial.params for trial in best.trials]
    assert [child["metrics"] for child in run.children] == [{"roc_auc": trial.value} for trial in best.trials]
    assert all(child["status"] == "finished" and child["started_ms"] <= child["ended_ms"] for child in run.children)
    asyncio.run(search(5))
    assert [child["name"] for child in run.children][3:] == ["trial-0003", "trial-0004"]


def test_nested_runs_are_in_mlflow(workspace: Path) -> None:
    mlflow = pytest.importorskip("mlflow")
    from e2i.mlops import MLflowConnector

    async def search() -> tuple[str, Best]:
        async with MLflowConnector().start_run(experiment_name="tuning", run_name="parent") as run:
            best = await OptunaTuner().optimize("XGBoost", SPACES["XGBoost"], *halves(Y), n_trials=3, seed=3)
            await run.log_params(best)
        return run.run_id, best

    parent, best = asyncio.run(search())
    client = mlflow.MlflowClient()
    experiment = client.get_run(parent).info.experiment_id
    children = client.search_runs([experiment], f"tags.mlflow.parentRunId = '{parent}'")
    assert sorted(child.data.metrics["roc_auc"] for child in children) == sorted(trial.value for trial in best.trials)


@pytest.mark.parametrize(("address", "said"), [("http://u:p@one:5000", "on http://one:5000"), (None, "embedded")])
def test_a_tracker_other_than_the_open_runs_is_refused(address: str | None, said: str, workspace: Path) -> None:
    run = FakeRun()
    run.tracking_uri = address

    async def search(wanted: str) -> Best:
        token = current_run.set(run)  # type: ignore[arg-type]
        try:
            tuner = OptunaTuner(OptunaConfig(mlflow_tracking_uri=wanted))
            return await tuner.optimize("Ridge", {"alpha": (0.1, 1.0)}, *halves(target("amount")), 1, "rmse")
        finally:
            current_run.reset(token)

    with pytest.raises(ValueError, match=f"http://two:5000, and the open run is {said}"):
        asyncio.run(search("http://two:5000"))
    if address is not None:
        asyncio.run(search(f"{address}/"))
        assert len(run.children) == 1


def test_a_database_that_is_down_is_unavailable_and_its_password_is_not_shown(workspace: Path) -> None:
    tuner = OptunaTuner(OptunaConfig(study_storage="postgresql://e2i:hunter2@127.0.0.1:1/studies"))
    with pytest.raises(ToolUnavailable) as caught:
        optimize("XGBoost", SPACES["XGBoost"], Y, tuner)
    assert "hunter2" not in str(caught.value)


@pytest.mark.slow
def test_trials_survive_a_database_that_dies_in_mid_search(postgres: Postgres, workspace: Path) -> None:
    tuner = OptunaTuner(OptunaConfig(study_storage=postgres.database(), deadline=30))
    count = 0

    def model(c: float) -> LogisticRegression:
        nonlocal count
        count += 1
        if count == 3:
            postgres.kill()
        return LogisticRegression(C=c)

    space = {"c": (0.1, 9.0)}
    with pytest.raises(ToolUnavailable):
        optimize(model, space, Y, tuner, n_trials=6, study_name="s")
    postgres.start()
    best = optimize(model, space, Y, tuner, n_trials=6, study_name="s")
    assert brief(best) == brief(optimize(model, space, Y, n_trials=6))


@pytest.mark.parametrize("address", ["sqlite://", "sqlite:///:memory:", "redis://host", "studies.db"])
def test_a_storage_that_keeps_no_study_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="study_storage"):
        OptunaConfig(study_storage=address)


def test_several_metrics_give_a_front_and_stop_and_know_other_studies(tuner: OptunaTuner) -> None:
    y, space = (
        target("texts"),
        {**SPACES["XGBoost"], "max_leaves": {"type": "int", "low": 3, "high": 9, "when": {"n_estimators": 20}}},
    )
    given: dict[str, Any] = {"metric": ["auc", "brier"], "n_trials": 40, "stop": {"no_improvement": 9}, "parallel": 3}
    rule = {"rule": "constraint", "best": "brier", "at_least": {"roc_auc": 0.5}}
    best = optimize("XGBoost", space, y, tuner, study_name="first", choose=rule, pruner="median", **given)
    assert 9 < len(best.trials) < 40
    study = optuna.load_study(study_name="first", storage=address(tuner))
    assert {tuple(trial.values) for trial in study.best_trials} == {tuple(trial.values) for trial in best.front}
    assert best.metrics["brier"] == min(trial.values[1] for trial in best.front)
    assert (best.value, list(best.metrics)) == (best.metrics["roc_auc"], ["roc_auc", "brier"])
    assert all(("max_leaves" in trial.params) == (trial.params["n_estimators"] == 20) for trial in best.trials)
    warm = optimize("XGBoost", space, y, tuner, study_name="warm", warm_start=["first"], **{**given, "n_trials": 3})
    again = optimize("XGBoost", space, y, tuner, warm_start=["first"], **{**given, "n_trials": 3})
    assert [trial.params for trial in warm.trials] == [trial.params for trial in again.trials]
    with pytest.raises(ValueError, match="so their values cannot be compared"):
        optimize("XGBoost", space, y, tuner, warm_start=["first"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"metric": ["auc", "rmse"]}, "cannot be searched by together"),
        ({"metric": []}, "neither a name nor a list"),
        ({"metric": ["auc", "brier"], "direction": "minimize"}, "`direction` is for one metric"),
        ({"choose": {"rule": "knee"}}, "`choose` is about several metrics"),
        ({"choose": {"rule": "best"}}, "`choose`: "),
        ({"stop": {"no_improvement": 0}}, "`stop.no_improvement`"),
        ({"parallel": 0}, "`parallel` is 0"),
        ({"warm_start": ["nowhere"]}, "no study 'nowhere'"),
    ],
)
def test_wrong_options_are_refused(change: dict[str, Any], said: str, workspace: Path) -> None:
    with pytest.raises(ValueError, match=said):
        optimize("LogisticRegression", {"C": (0.1, 1.0)}, Y, **change)


def test_a_search_for_effects_repeats_itself_and_its_estimator_is_econmls(workspace: Path) -> None:
    dml = pytest.importorskip("econml.dml")
    r = np.random.default_rng(0)
    x = pd.DataFrame(r.normal(size=(480, 2)), columns=["calls", "tenure"])
    t = r.binomial(1, 1 / (1 + np.exp(-x.tenure)))
    y = (1 + x.calls) * t + x.tenure + r.normal(size=480)

    async def search(name: str = "LinearDML", metric: str = "r_score", times: float = 1, **space: list[int]) -> Best:
        given = times * t
        return await OptunaTuner().optimize(
            name, space or {"cv": [2, 3]}, x[:240], y[:240], x[240:], y[240:],
            n_trials=2, metric=metric, seed=1, treatment=(given[:240], given[240:]),
        )  # fmt: skip

    one, other = asyncio.run(search()), asyncio.run(search())
    assert dict(one) == dict(other) and one.value == other.value > 0
    model = one.fit(x[:240], y[:240], treatment=t[:240])
    assert type(model) is dml.LinearDML and abs(float(np.mean(model.effect(x[240:]))) - 1) < 0.5
    with pytest.raises(ValueError, match="treatment"):
        one.fit(x, y)
    learner = asyncio.run(search("TLearner", "dr_score", n_estimators=[20, 40]))  # of its models of the outcome
    assert learner.value > 0 and type(learner.fit(x, y, treatment=t)).__name__ == "TLearner"
    with pytest.raises(ValueError, match="DRLearner needs a treatment of 0 and 1"):
        asyncio.run(search("DRLearner", times=1.5))
    with pytest.raises(ValueError, match="XLearner has no parameter"):
        asyncio.run(search("XLearner", depth=[1]))
