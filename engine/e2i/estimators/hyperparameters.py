"""Check hyperparameters while planning.

In: an algorithm and its hyperparameters. Out: unknown ones, and those without effect.

Each statement about a library is proven by a test that fits its models.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping

from msgspec import Struct

from e2i.catalog.columns import ColumnProblem
from e2i.documents import Values
from e2i.estimators import algorithms
from e2i.spec.problems import Code
from e2i.spec.suggest import few, nearest


class Idle(Struct, frozen=True):
    """Hyperparameters of an algorithm that have no effect in some case, and the case."""

    algorithm: str
    names: tuple[str, ...]
    applies: Callable[[Values, str | None], bool]
    """Returns True for the hyperparameters and the task of the case."""
    why: str


IDLE = (
    Idle(
        "LightGBM",
        ("scale_pos_weight", "is_unbalance"),
        lambda chosen, task: task in ("regression", "ranking"),
        "it weighs the classes of a classification",
    ),
    Idle(
        "CatBoost",
        ("min_data_in_leaf",),
        lambda chosen, task: chosen.get("grow_policy", "SymmetricTree") == "SymmetricTree",
        "it needs grow_policy: Depthwise or Lossguide",
    ),
    Idle(
        "CatBoost",
        ("bagging_temperature",),
        lambda chosen, task: chosen.get("bootstrap_type", "Bayesian") in ("MVS", "Bernoulli", "No", "Poisson"),
        "it needs bootstrap_type: Bayesian",
    ),
)


ALIASES = {
    "learning_rate": ("eta", "shrinkage_rate"),
    "n_estimators": ("num_boost_round", "num_round", "num_iterations", "num_trees", "n_trees", "iterations"),
    "iterations": ("num_boost_round", "num_trees", "n_trees", "n_estimators"),
    "depth": ("max_depth",),
    "reg_lambda": ("lambda", "lambda_l2", "l2_regularization"),
    "reg_alpha": ("lambda_l1", "l1_regularization"),
    "l2_leaf_reg": ("reg_lambda", "lambda"),
    "gamma": ("min_split_loss",),
    "min_split_gain": ("min_gain_to_split",),
    "subsample": ("bagging_fraction",),
    "subsample_freq": ("bagging_freq",),
    "colsample_bytree": ("feature_fraction",),
    "rsm": ("colsample_bylevel",),
    "min_child_samples": ("min_data_in_leaf",),
    "max_leaves": ("num_leaves",),
    "num_leaves": ("max_leaves",),
    "border_count": ("max_bin",),
}
"""Other names of the same hyperparameter, in the same library or in another one of boosted trees."""


def check(given: Values, *parameters: str, task: str | None) -> Iterator[ColumnProblem]:
    """Yield problems of the hyperparameters in parameters of an action. The last of repeated ones count."""
    name = given["algorithm"]
    held = {key: given[key] for key in parameters if isinstance(given[key], Mapping)}
    algorithm = algorithms.known(name)
    if algorithm is None:
        return
    known = algorithm.params
    together = dict(algorithm.preset) | {key: value for found in held.values() for key, value in found.items()}
    for parameter, chosen in held.items():
        for key in chosen:
            if key not in known:
                message = f'{name} has no hyperparameter "{key}"'
                meant = known_as(key, known)
                listed = None if nearest(key, known) else f"{name} has {few(sorted(known), most=25)}"
                hint = f'it is called "{meant}" here' if meant else listed
                path, code = (parameter, key), "unknown-hyperparameter"
                yield ColumnProblem(path, code, message, key, known, hint, at_key=True, meant=meant)
            elif reason := _idle(algorithms.recorded(name), key, together, task):
                message = f'"{key}" has no effect here: {reason}'
                yield ColumnProblem(
                    (parameter, key), "idle-hyperparameter", message, at_key=True, severity="warning", hint="remove it"
                )


def hidden(given: Values, parameter: str, by: str) -> Iterator[ColumnProblem]:
    """Yield a warning for each hyperparameter in one parameter that another one overrides."""
    chosen, fixed = given[parameter], given[by]
    if isinstance(chosen, Mapping) and isinstance(fixed, Mapping):
        for key in chosen.keys() & fixed.keys():
            message = f'"{key}" is not searched: `{by}` gives it a value'
            yield ColumnProblem(
                (parameter, key), "idle-hyperparameter", message, at_key=True, severity="warning", hint="remove one"
            )


def known_as(key: str, known: Collection[str]) -> str:
    """Return the hyperparameter that a library also calls by this name, or an empty text."""
    found = [name for name in known if key in ALIASES.get(name, ())]
    return found[0] if len(found) == 1 else ""


def _idle(algorithm: str, key: str, chosen: Values, task: str | None) -> str | None:
    cases = (idle for idle in IDLE if idle.algorithm == algorithm and key in idle.names)
    return next((idle.why for idle in cases if idle.applies(chosen, task)), None)


_EXAMPLE = """steps:
  data: {uses: dataset.hcp}
  train:
    uses: model.train
    with:
      table: ${{ steps.data.journeys }}
      target: target
      features: [brand, region]
"""
CODES = (
    Code(
        "unknown-hyperparameter",
        "A hyperparameter that the algorithm does not have",
        "Each algorithm has its own hyperparameters, by their names in the library's scikit-learn interface.",
        "Use one of the names in the hint.",
        _EXAMPLE + "      params: {max_dept: 3}\n",
        _EXAMPLE + "      params: {max_depth: 3}\n",
    ),
    Code(
        "idle-hyperparameter",
        "A hyperparameter without effect",
        "The library accepts the hyperparameter, but together with the others it changes nothing. This is a warning.",
        "Remove it, or set what it needs.",
        _EXAMPLE + "      algorithm: CatBoost\n      params: {min_data_in_leaf: 20}\n",
        _EXAMPLE + "      algorithm: CatBoost\n      params: {min_data_in_leaf: 20, grow_policy: Depthwise}\n",
    ),
)
