"""What is said of hyperparameters is true of the libraries."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from e2i.catalog.columns import ColumnProblem
from e2i.estimators import hyperparameters
from e2i.estimators.algorithms import ALGORITHMS

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 4))
Y = X[:, 0] * 3 + RNG.normal(size=300)


def problems(algorithm: str, task: str | None = None, **params: Any) -> list[ColumnProblem]:
    return list(hyperparameters.check({"algorithm": algorithm, "params": params}, "params", task=task))


@pytest.mark.parametrize("name", ["scale_pos_weight", "is_unbalance"])
def test_lightgbm_weighs_no_classes_in_a_regression(name: str) -> None:
    import lightgbm

    def fitted(**params: Any) -> Any:
        data = lightgbm.Dataset(X, np.where(Y > 0, 1.0, Y))
        return lightgbm.train({"objective": "regression", "verbosity": -1, **params}, data, 10).predict(X)

    assert np.array_equal(fitted(), fitted(**{name: 5 if name == "scale_pos_weight" else True}))
    (found,) = problems("LightGBM", "regression", **{name: 5})
    assert (found.code, found.severity) == ("idle-hyperparameter", "warning")
    assert problems("LightGBM", "classification", **{name: 5}) == []
    assert problems("LightGBM", None, **{name: 5}) == []


@pytest.mark.parametrize(
    ("idle", "other", "working"),
    [
        ({"min_data_in_leaf": 60}, {}, {"grow_policy": "Depthwise"}),
        ({"bagging_temperature": 9}, {"bootstrap_type": "MVS"}, {"bootstrap_type": "Bayesian"}),
    ],
)
def test_catboost_ignores_what_needs_another_setting(
    idle: dict[str, Any], other: dict[str, Any], working: dict[str, Any]
) -> None:
    from catboost import CatBoostRegressor

    def fitted(**params: Any) -> Any:
        model = CatBoostRegressor(iterations=10, verbose=0, random_seed=1, allow_writing_files=False, **params)
        return model.fit(X, Y).predict(X)

    assert np.array_equal(fitted(**other), fitted(**other, **idle))
    assert not np.array_equal(fitted(**working), fitted(**working, **idle))
    assert [found.code for found in problems("CatBoost", **other, **idle)] == ["idle-hyperparameter"]
    assert problems("CatBoost", **working, **idle) == []


def test_every_name_and_alias_is_one_of_an_algorithm() -> None:
    known = frozenset[str]().union(*(algorithm.params for algorithm in ALGORITHMS.values()))
    assert set(hyperparameters.ALIASES) <= known
    for case in hyperparameters.IDLE:
        assert set(case.names) <= ALGORITHMS[case.algorithm].params


@pytest.mark.parametrize(
    ("algorithm", "name", "meant"),
    [("XGBoost", "eta", "learning_rate"), ("CatBoost", "max_depth", "depth"), ("LightGBM", "lambda_l2", "reg_lambda"),
     ("Ridge", "gamma", ""), ("RandomForest", "num_trees", "n_estimators")],
)  # fmt: skip
def test_another_name_of_a_hyperparameter_is_recognised(algorithm: str, name: str, meant: str) -> None:
    (found,) = problems(algorithm, **{name: 1})
    assert (found.code, found.meant) == ("unknown-hyperparameter", meant)


def test_what_is_not_known_yet_is_no_problem() -> None:
    assert list(hyperparameters.check({"algorithm": object(), "params": {"x": 1}}, "params", task=None)) == []
    assert list(hyperparameters.check({"algorithm": "Ridge", "params": object()}, "params", task=None)) == []
