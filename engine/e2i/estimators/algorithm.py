"""Describe one trainable algorithm, without importing its library. Out: the types of ``algorithms.ALGORITHMS``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from e2i.estimators.space import Dimension

Task = Literal["classification", "regression", "ranking"]
Hyperparameters = Mapping[str, bool | int | float | str | None]
"""Hyperparameters by their names in the library's scikit-learn interface."""
Encoding = Literal["doubles", "codes", "frame", "filled", "one-hot"]
"""The form of the rows that the library is given, as ``scoring.encode`` describes it."""
Family = Literal["boosted trees", "forest", "linear", "neighbours", "baseline"]
Flavour = Literal["xgboost", "lightgbm", "catboost", "sklearn"]
"""The root module of a library, and MLflow's name of its flavour. ``scoring`` reads a file of each."""
Explainer = Literal["tree", "linear"] | None
"""Where exact SHAP values come from: the paths of the trees, or the coefficients; None: nowhere."""
Precision = Literal["float32", "float64"]
"""Numbers in which a model adds up its margin and its SHAP values, so how far the two may differ."""


class Estimator(Struct, frozen=True):
    """The library's own estimators of an algorithm: ``module``, and the class for each task.

    ``seed`` and ``threads`` are the names of those parameters; an empty name means that there is none. ``settings`` are
    set unless a program sets them.
    """

    module: str
    classes: Mapping[Task, str]
    seed: str = "random_state"
    threads: str = "n_jobs"
    settings: Mapping[str, bool | int | str] = {}


class Algorithm(Struct, frozen=True, kw_only=True):
    """One algorithm. ``module`` implements ``library.Library``; ``encoding`` is one of ``encoding.encode``.

    ``space`` is searched unless a spec says otherwise. ``params`` are its hyperparameters, by their scikit-learn names.
    Anything else is refused, so that no parameter is silently ignored and none names a file. ``rounds`` is the
    hyperparameter that counts the rounds of an algorithm that trains in rounds, so that it supports early stopping and
    pruning; empty for others. ``requirements`` are the packages
    needed to load a saved model.
    """

    family: Family
    flavour: Flavour
    module: str
    encoding: Encoding
    tasks: tuple[Task, ...]
    estimator: Estimator
    explainer: Explainer
    precision: Precision
    space: Mapping[str, Dimension]
    params: frozenset[str]
    requirements: tuple[str, ...]
    rounds: str = ""
    preset: Mapping[str, bool | int | float | str | None] = {}
    """Hyperparameters that are set unless a spec sets them."""
    of: str = ""
    """The algorithm that a preset of the settings is of; empty: it is none. Saved models have this name."""


def with_ranker(stem: str) -> Mapping[Task, str]:
    """Return the classes of a library that also names one after the ranking."""
    return {**both(stem), "ranking": f"{stem}Ranker"}


def both(stem: str) -> Mapping[Task, str]:
    """Return the classes of a library that names them after the task."""
    return {"classification": f"{stem}Classifier", "regression": f"{stem}Regressor"}
