"""The registry of trainable algorithms: one place for all that is known of each. No library is imported.

In: nothing. Out: ``ALGORITHMS``, the one mapping from an algorithm's name to its description. Training, searches,
explanations, MLflow's flavours and the checks of a plan read it.
"""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches
from typing import Annotated, Any

from e2i.catalog.extensible import Extensible, Named
from e2i.errors import StepError
from e2i.estimators.algorithm import (
    Algorithm,
    Estimator,
    Family,
    Flavour,
    Precision,
    Task,
    with_ranker,
)
from e2i.estimators.sklearn_algorithms import SKLEARN, TREES
from e2i.estimators.space import FloatRange, IntRange

__all__ = ["ALGORITHMS", "Algorithm", "AlgorithmName", "Family", "Flavour", "Precision", "Task"]


def of(name: str) -> Algorithm:
    """Return the algorithm of a name: one that was added to the registry is in the name itself. Raises KeyError."""
    return name.about if isinstance(name, Named) else ALGORITHMS[name]


def of_library(flavour: str) -> Algorithm:
    """Return an algorithm of e2i's whose models are saved and loaded as all of that library are."""
    return next(found for found in ALGORITHMS.values() if found.flavour == flavour)


def known(name: Any) -> Algorithm | None:
    """Return the algorithm of a name; None when it is not known, or is only known in a run."""
    return of(name) if isinstance(name, Named) or (isinstance(name, str) and name in ALGORITHMS) else None


def recorded(name: str) -> str:
    """Return the name in a saved model: of a preset, that of its algorithm."""
    return of(name).of or str(name)


def learnt(name: str) -> str:
    """Return the name in a saved model, with what was added under it."""
    return Named(recorded(name), of(name), name.distribution) if isinstance(name, Named) else name


def named(estimator: Any) -> str | None:
    """Return the algorithm that a live estimator is of, by its class or as a booster; None when none is known."""
    root, kind = type(estimator).__module__.partition(".")[0], type(estimator).__name__
    for name, known in ALGORITHMS.items():
        if known.flavour == root and (root != "sklearn" or kind in known.estimator.classes.values()):
            return name
    return None


def precision(name: str) -> Precision:
    """Return the precision of an algorithm; of one that is not listed, the lower one."""
    known = ALGORITHMS.get(name)
    return "float32" if known is None else known.precision


def check(name: str, task: str, params: Collection[str]) -> Algorithm:
    """Return the algorithm of that name. Raises StepError when it does not support the task or a parameter."""
    algorithm = of(name)
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


ENSEMBLE = "Ensemble"
"""The name in a saved model that combines others. It is no algorithm that a step can train."""
_ALL: tuple[Task, ...] = ("classification", "regression", "ranking")
_RATE = FloatRange(low=0.02, high=0.3, log=True)

ALGORITHMS: dict[str, Algorithm] = {
    "XGBoost": Algorithm(
        family="boosted trees",
        flavour="xgboost",
        estimator=Estimator("xgboost", with_ranker("XGB"), settings={"enable_categorical": True}),
        explainer="tree",
        precision="float32",
        module="e2i.estimators.xgboost",
        encoding="codes",
        tasks=_ALL,
        space={
            "n_estimators": TREES,
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
        rounds="n_estimators",
    ),
    "LightGBM": Algorithm(
        family="boosted trees",
        flavour="lightgbm",
        estimator=Estimator(
            "lightgbm", with_ranker("LGBM"), settings={"verbosity": -1, "deterministic": True, "force_col_wise": True}
        ),
        explainer="tree",
        precision="float64",
        module="e2i.estimators.lightgbm",
        encoding="doubles",
        tasks=_ALL,
        space={
            "n_estimators": TREES,
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
        rounds="n_estimators",
    ),
    "CatBoost": Algorithm(
        family="boosted trees",
        flavour="catboost",
        estimator=Estimator(
            "catboost",
            with_ranker("CatBoost"),
            "random_seed",
            "thread_count",
            {"allow_writing_files": False, "verbose": False},
        ),
        explainer="tree",
        precision="float64",
        module="e2i.estimators.catboost",
        encoding="frame",
        tasks=_ALL,
        space={
            "iterations": TREES,
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
        rounds="iterations",
    ),
    **SKLEARN,
}
AlgorithmName = Annotated[str, Extensible("algorithms", tuple(ALGORITHMS))]
"""A parameter with the name of an algorithm, also of one that a plug-in or the settings add."""
