"""The algorithms of scikit-learn in the registry. Imports no library. Out: ``SKLEARN``, a part of ``ALGORITHMS``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from e2i.estimators.algorithm import Algorithm, Estimator, Task, both
from e2i.estimators.space import Choices, Dimension, FloatRange, IntRange

TREES = IntRange(low=50, high=200)
_FOREST: dict[str, Dimension] = {
    "n_estimators": TREES,
    "max_depth": IntRange(low=4, high=16),
    "min_samples_leaf": IntRange(low=1, high=50, log=True),
    "max_features": FloatRange(low=0.2, high=1.0),
}
_FOREST_PARAMS = (
    "n_estimators", "max_depth", "min_samples_leaf", "min_samples_split", "max_features", "max_leaf_nodes",
    "max_samples", "min_impurity_decrease", "min_weight_fraction_leaf", "bootstrap", "criterion", "class_weight",
    "ccp_alpha",
)  # fmt: skip
_ALPHA = FloatRange(low=1e-4, high=10.0, log=True)


def _new(estimator: Estimator, params: Iterable[str], space: dict[str, Dimension], **others: Any) -> Algorithm:
    about: dict[str, Any] = {"family": "linear", "encoding": "one-hot", "explainer": "linear"}
    return Algorithm(
        **{**about, **others},
        flavour="sklearn",
        estimator=estimator,
        precision="float64",
        module="e2i.estimators.scikit",
        tasks=tuple(estimator.classes),
        space=space,
        params=frozenset(params),
        requirements=("scikit-learn", "skops", "numpy", "pandas"),
    )


def _linear(name: str, task: Task, **others: Any) -> Estimator:
    return Estimator("sklearn.linear_model", {task: name}, threads="", **others)


SKLEARN: dict[str, Algorithm] = {
    "RandomForest": _new(
        Estimator("sklearn.ensemble", both("RandomForest")),
        _FOREST_PARAMS,
        _FOREST,
        family="forest",
        encoding="filled",
        explainer="tree",
    ),
    "LogisticRegression": _new(
        _linear("LogisticRegression", "classification", settings={"max_iter": 1000}),
        ("C", "class_weight", "fit_intercept", "max_iter", "tol", "solver", "l1_ratio"),
        {"C": FloatRange(low=1e-3, high=100.0, log=True)},
    ),
    "Ridge": _new(
        _linear("Ridge", "regression"),
        ("alpha", "fit_intercept", "max_iter", "tol", "solver", "positive"),
        {"alpha": FloatRange(low=1e-3, high=1000.0, log=True)},
    ),
    "Lasso": _new(
        _linear("Lasso", "regression"),
        ("alpha", "fit_intercept", "max_iter", "tol", "positive", "selection"),
        {"alpha": _ALPHA},
    ),
    "ElasticNet": _new(
        _linear("ElasticNet", "regression"),
        ("alpha", "l1_ratio", "fit_intercept", "max_iter", "tol", "positive", "selection"),
        {"alpha": _ALPHA, "l1_ratio": FloatRange(low=0.05, high=1.0)},
    ),
    "LinearRegression": _new(
        _linear("LinearRegression", "regression", seed=""),
        ("fit_intercept", "positive"),
        {"fit_intercept": Choices(choices=(True, False))},
    ),
    "QuantileLinear": _new(
        _linear("QuantileRegressor", "regression", seed="", settings={"alpha": 0}),
        ("alpha", "fit_intercept", "solver"),
        {"alpha": _ALPHA},
    ),
    "ExtraTrees": _new(
        Estimator("sklearn.ensemble", both("ExtraTrees")),
        _FOREST_PARAMS,
        _FOREST,
        family="forest",
        encoding="filled",
        explainer="tree",
    ),
    "HistGradientBoosting": _new(
        Estimator("sklearn.ensemble", both("HistGradientBoosting"), threads="", settings={"early_stopping": False}),
        (
            *("max_iter", "learning_rate", "max_leaf_nodes", "max_depth", "min_samples_leaf", "l2_regularization"),
            *("max_features", "max_bins", "class_weight"),
        ),
        {
            "max_iter": TREES,
            "learning_rate": FloatRange(low=0.02, high=0.3, log=True),
            "max_leaf_nodes": IntRange(low=8, high=128, log=True),
            "min_samples_leaf": IntRange(low=5, high=100),
            "l2_regularization": FloatRange(low=1e-3, high=10.0, log=True),
        },
        family="boosted trees",
        encoding="doubles",
        explainer="tree",
    ),
    "KNeighbors": _new(
        Estimator("sklearn.neighbors", both("KNeighbors"), seed="", settings={"algorithm": "brute"}),
        ("n_neighbors", "weights", "p", "metric"),
        {"n_neighbors": IntRange(low=3, high=60, log=True), "weights": Choices(choices=("uniform", "distance"))},
        family="neighbours",
        explainer=None,
    ),
    "Dummy": _new(
        Estimator("sklearn.dummy", both("Dummy"), seed="", threads=""),
        (),
        {},
        family="baseline",
        explainer=None,
    ),
}
"""A quantile is not drawn to 0 unless ``alpha`` asks for it. Neighbours are searched by brute force: another index of
scikit-learn has no form without a pickle.
"""
