"""Describe the trainable algorithms without importing their libraries.

In: nothing. Out: ``ALGORITHMS``, the one mapping from an algorithm's name to its description.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Literal

from msgspec import Struct

from e2i.documents import Values
from e2i.errors import StepError
from e2i.estimators.space import Dimension, FloatRange, IntRange

AlgorithmName = Literal["XGBoost", "LightGBM", "CatBoost", "RandomForest", "LogisticRegression", "Ridge", "Lasso"]
Task = Literal["classification", "regression"]


class Algorithm(Struct, frozen=True):
    """One algorithm. ``module`` implements ``library.Library``; ``encoding`` is one of ``scoring.encode``.

    ``params`` are its hyperparameters, by their scikit-learn names. Anything else is refused, so that no parameter is
    silently ignored and none names a file. ``rounds`` is true when the algorithm trains in rounds, so that it supports
    early stopping and pruning. ``requirements`` are the packages needed to load a saved model. ``explainer`` is the one
    that computes exact SHAP values.
    """

    module: str
    encoding: Literal["doubles", "codes", "frame", "filled", "one-hot"]
    tasks: tuple[Task, ...]
    space: Mapping[str, Dimension]
    params: frozenset[str]
    requirements: tuple[str, ...]
    rounds: bool = False
    explainer: Literal["tree", "linear"] = "tree"


def check(name: str, task: str, params: Values) -> Algorithm:
    """Return the algorithm of that name. Raises StepError when it does not support the task or a parameter."""
    algorithm = ALGORITHMS[name]
    if task not in algorithm.tasks:
        able = ", ".join(other for other, found in ALGORITHMS.items() if task in found.tasks)
        raise StepError(f"{name} does not support {task}", code="wrong-task", hint=f"algorithms for {task}: {able}")
    unknown = sorted(set(params) - algorithm.params)
    if unknown:
        near = get_close_matches(unknown[0], algorithm.params, n=1)
        raise StepError(
            f"{name} has no parameter {', '.join(map(repr, unknown))}",
            code="unknown-hyperparameter",
            hint=(f"did you mean {near[0]!r}? " if near else "") + f"parameters: {', '.join(sorted(algorithm.params))}",
        )
    return algorithm


_BOTH: tuple[Task, ...] = ("classification", "regression")
_TREES = IntRange(low=50, high=200)
_RATE = FloatRange(low=0.02, high=0.3, log=True)

ALGORITHMS: dict[str, Algorithm] = {
    "XGBoost": Algorithm(
        module="e2i.estimators.xgboost",
        encoding="codes",
        tasks=_BOTH,
        space={
            "n_estimators": _TREES,
            "max_depth": IntRange(low=3, high=8),
            "learning_rate": _RATE,
            "subsample": FloatRange(low=0.6, high=1.0),
            "colsample_bytree": FloatRange(low=0.5, high=1.0),
        },
        params=frozenset(
            [
                "n_estimators",
                "max_depth",
                "learning_rate",
                "subsample",
                "colsample_bytree",
                "colsample_bylevel",
                "colsample_bynode",
                "min_child_weight",
                "gamma",
                "reg_alpha",
                "reg_lambda",
                "max_leaves",
                "grow_policy",
                "max_delta_step",
                "scale_pos_weight",
                "num_parallel_tree",
                "max_cat_to_onehot",
                "max_cat_threshold",
                "base_score",
            ]
        ),
        requirements=("xgboost", "numpy", "pandas"),
        rounds=True,
    ),
    "LightGBM": Algorithm(
        module="e2i.estimators.lightgbm",
        encoding="doubles",
        tasks=_BOTH,
        space={
            "n_estimators": _TREES,
            "num_leaves": IntRange(low=8, high=128, log=True),
            "learning_rate": _RATE,
            "min_child_samples": IntRange(low=5, high=100),
            "subsample": FloatRange(low=0.6, high=1.0),
            "colsample_bytree": FloatRange(low=0.5, high=1.0),
        },
        params=frozenset(
            [
                "n_estimators",
                "num_leaves",
                "max_depth",
                "learning_rate",
                "subsample",
                "subsample_freq",
                "colsample_bytree",
                "min_child_samples",
                "min_child_weight",
                "min_split_gain",
                "reg_alpha",
                "reg_lambda",
                "scale_pos_weight",
                "is_unbalance",
                "path_smooth",
                "extra_trees",
                "max_cat_threshold",
                "cat_smooth",
                "cat_l2",
            ]
        ),
        requirements=("lightgbm", "numpy", "pandas"),
        rounds=True,
    ),
    "CatBoost": Algorithm(
        module="e2i.estimators.catboost",
        encoding="frame",
        tasks=_BOTH,
        space={
            "iterations": _TREES,
            "depth": IntRange(low=3, high=8),
            "learning_rate": _RATE,
            "l2_leaf_reg": FloatRange(low=1.0, high=10.0, log=True),
            "random_strength": FloatRange(low=0.0, high=2.0),
        },
        params=frozenset(
            [
                "iterations",
                "depth",
                "learning_rate",
                "l2_leaf_reg",
                "random_strength",
                "bagging_temperature",
                "bootstrap_type",
                "subsample",
                "rsm",
                "border_count",
                "grow_policy",
                "min_data_in_leaf",
                "max_leaves",
                "scale_pos_weight",
                "auto_class_weights",
                "one_hot_max_size",
                "leaf_estimation_iterations",
            ]
        ),
        requirements=("catboost", "numpy", "pandas"),
        rounds=True,
    ),
    "RandomForest": Algorithm(
        module="e2i.estimators.forest",
        encoding="filled",
        tasks=_BOTH,
        space={
            "n_estimators": _TREES,
            "max_depth": IntRange(low=4, high=16),
            "min_samples_leaf": IntRange(low=1, high=50, log=True),
            "max_features": FloatRange(low=0.2, high=1.0),
        },
        params=frozenset(
            [
                "n_estimators",
                "max_depth",
                "min_samples_leaf",
                "min_samples_split",
                "max_features",
                "max_leaf_nodes",
                "max_samples",
                "min_impurity_decrease",
                "min_weight_fraction_leaf",
                "bootstrap",
                "criterion",
                "class_weight",
                "ccp_alpha",
            ]
        ),
        requirements=("scikit-learn", "skops", "numpy", "pandas"),
    ),
    "LogisticRegression": Algorithm(
        module="e2i.estimators.linear",
        explainer="linear",
        encoding="one-hot",
        tasks=("classification",),
        space={"C": FloatRange(low=1e-3, high=100.0, log=True)},
        params=frozenset(["C", "class_weight", "fit_intercept", "max_iter", "tol", "solver", "l1_ratio"]),
        requirements=("scikit-learn", "skops", "numpy", "pandas"),
    ),
    "Ridge": Algorithm(
        module="e2i.estimators.linear",
        explainer="linear",
        encoding="one-hot",
        tasks=("regression",),
        space={"alpha": FloatRange(low=1e-3, high=1000.0, log=True)},
        params=frozenset(["alpha", "fit_intercept", "max_iter", "tol", "solver", "positive"]),
        requirements=("scikit-learn", "skops", "numpy", "pandas"),
    ),
    "Lasso": Algorithm(
        module="e2i.estimators.linear",
        explainer="linear",
        encoding="one-hot",
        tasks=("regression",),
        space={"alpha": FloatRange(low=1e-4, high=10.0, log=True)},
        params=frozenset(["alpha", "fit_intercept", "max_iter", "tol", "positive", "selection"]),
        requirements=("scikit-learn", "skops", "numpy", "pandas"),
    ),
}
