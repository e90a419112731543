"""Derive the outputs of ``optuna.tune`` while planning. In: known parameters. Out: columns and problems."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from e2i.catalog.columns import Flow, Given, Known, KnownKeys, KnownTable, settled
from e2i.catalog.files import Files
from e2i.estimators import (
    algorithms,
    columns,
    fold_columns,
    hyperparameters,
    option_columns,
    recipe_choices,
    recipe_space,
)
from e2i.estimators.metrics import METRICS
from e2i.tools.optuna import effect_columns, effect_space, options, ranges

CODES = (*ranges.CODES, *options.CODES)


def tune(given: Given, files: Files) -> Flow:
    """Return what is known of a search, of predictions or of effects, and its problems."""
    if given.get("effect") is not None:
        return _of_effect(given, files)
    model, problems = columns.learn(given, "train", "validation")
    problems += fold_columns.check(given, model, "train")
    problems += option_columns.check(given, model, "train", "fixed")
    space = given["space"]
    own = {**given, "space": recipe_choices.split(space)[0] if isinstance(space, Mapping) else space}
    problems += option_columns.repeated(own, "space")
    problems += hyperparameters.check(own, "space", "fixed", task=model.task)
    problems += hyperparameters.hidden(own, "space", by="fixed")
    problems += [*ranges.check(given), *recipe_space.check(given)]
    names = options.metrics(given)
    problems += options.check(given, names, model.task or _task(names))
    outputs: dict[str, Known] = {"model": model}
    if names:
        outputs["best_values"] = KnownKeys(names)
    searched, fixed = _space(given), given["fixed"]
    counted = option_columns.counted(given)
    if searched is not None and isinstance(fixed, Mapping):
        free = [name for name in searched if name not in fixed]
        hyper = [name for name in free if not name.startswith(recipe_choices.PREFIX)]
        if counted is not None:
            outputs["best_params"] = KnownKeys(tuple(dict.fromkeys([*fixed, *hyper, *counted])))
        if given["metrics"] is None or len(names) > 1:
            outputs |= _tables(free, names if given["metrics"] is not None else ("value",))
    return Flow(outputs, problems)


def _of_effect(given: Given, files: Files) -> Flow:
    flow = effect_columns.tune(given, files)
    outputs = dict(flow.outputs)
    searched, fixed = effect_space.searched(given), given["fixed"]
    if searched is not None and isinstance(fixed, Mapping):
        free = [name for name in searched if name not in fixed]
        outputs |= _tables(free, ("value",))
        outputs["best_params"] = KnownKeys((*fixed, *free))
    return Flow(outputs, flow.problems)


def _tables(free: list[str], values: tuple[str, ...]) -> dict[str, Known]:
    params = [f"params_{name}" for name in free]
    trials = ["number", "state", *values, *params, "reason"]
    front = ["number", *values, *params, "chosen"]
    return {"trials": KnownTable(dict.fromkeys(trials)), "front": KnownTable(dict.fromkeys(front))}


def _task(names: tuple[str, ...]) -> str | None:
    return METRICS[names[0]].task if names else None


def _space(given: Given) -> Mapping[str, Any] | None:
    """Return the hyperparameters to search; None when they are not known."""
    space, algorithm = given["space"], given["algorithm"]
    if space is None and (known := algorithms.known(algorithm)) is not None:
        return known.space
    return space if isinstance(space, Mapping) and settled(space) else None
