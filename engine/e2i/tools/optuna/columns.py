"""Derive the columns of ``optuna.tune`` while planning. In: known parameters. Out: columns and problems."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from e2i.catalog.columns import Flow, Given, KnownKeys, KnownTable
from e2i.catalog.files import Files
from e2i.estimators import columns, hyperparameters
from e2i.estimators.algorithms import ALGORITHMS


def tune(given: Given, files: Files) -> Flow:
    model, problems = columns.learn(given, "train", "validation")
    problems += hyperparameters.check(given, "space", "fixed", task=model.task)
    problems += hyperparameters.hidden(given, "space", by="fixed")
    searched, fixed = _space(given), given["fixed"]
    if searched is None or not isinstance(fixed, Mapping):
        return Flow({}, problems)
    names = [name for name in searched if name not in fixed]
    trials = ["number", "state", "value", *(f"params_{name}" for name in names), "reason"]
    return Flow(
        {"best_params": KnownKeys((*fixed, *names)), "trials": KnownTable(dict.fromkeys(trials))},
        problems,
    )


def _space(given: Given) -> Mapping[str, Any] | None:
    """Return the hyperparameters to search; None when they are not known."""
    space, algorithm = given["space"], given["algorithm"]
    if space is None and isinstance(algorithm, str) and algorithm in ALGORITHMS:
        return ALGORITHMS[algorithm].space
    return space if isinstance(space, Mapping) else None
