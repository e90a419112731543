"""Derive while planning what a model will predict. In: known parameters of a fit. Out: task, classes and quantile."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from e2i.catalog.columns import UNKNOWN, ColumnProblem, Given, KnownTable, settled
from e2i.estimators import algorithms, options


def quantile_of(given: Given) -> float | bool | None:
    """Return the quantile that a model will predict; False: it predicts none. None: not known."""
    objective, quantiles, algorithm = given.get("objective"), given.get("quantiles"), given.get("algorithm")
    if objective is None:
        known = algorithms.known(algorithm)
        objective = options.default(str(algorithm)) if known is not None else UNKNOWN
    if not isinstance(objective, str) or not settled(quantiles):
        return None
    if objective == "absolute":
        return 0.5
    if objective != "quantile":
        return False
    return float(quantiles[0]) if quantiles and isinstance(quantiles[0], int | float) else 0.5


def is_binary(given: Given, rows: Any) -> bool | None:
    """Return whether the target will have two classes; False: more. None: a regression, or the values decide."""
    weights, task = given.get("class_weight"), task_of(given, rows)
    if task in ("regression", "ranking"):
        return None
    if kind_of(given, rows) == "bool" or isinstance(given.get("positive"), bool | int | float | str):
        return True
    return False if isinstance(weights, Mapping) and len(weights) > 2 else None


def wrong_positive(given: Given, rows: Any) -> Iterator[ColumnProblem]:
    """Yield a problem when no target of these values has the positive class."""
    positive, weights = given.get("positive"), given.get("class_weight")
    if not isinstance(positive, bool | int | float | str):
        return
    kind, hint = kind_of(given, rows), "remove `positive`"
    if (task := task_of(given, rows)) in ("regression", "ranking"):
        message = f"`positive` is one of two classes, and the target of a {task} has none"
        yield ColumnProblem(("positive",), "wrong-task", message, hint=hint, take_out=True)
    elif isinstance(weights, Mapping) and len(weights) > 2:
        message = f"`positive` is one of two classes, and `class_weight` names {len(weights)}"
        yield ColumnProblem(("positive",), "wrong-task", message, hint=hint, take_out=True)
    elif kind == "bool" and not isinstance(positive, bool):
        message = f"{positive!r} is not a class of the target, which is true or false"
        yield ColumnProblem(("positive",), "wrong-task", message, hint="write `positive: true` or `positive: false`")


def kind_of(given: Given, rows: Any) -> str | None:
    """Return the Arrow type of the target, if known."""
    return rows.columns.get(given["target"]) if isinstance(rows, KnownTable) and settled(given["target"]) else None


def task_of(given: Given, rows: Any) -> str | None:
    """Return the task that is set, or that algorithm, target or options imply; None when the values decide."""
    task, algorithm = given["task"], given["algorithm"]
    if isinstance(task, str):
        return task
    if given.get("objective") == "rank":
        return "ranking"
    known = algorithms.known(algorithm)
    if known and len(known.tasks) == 1:
        return known.tasks[0]
    if kind_of(given, rows) in ("bool", "string", "large_string"):
        return "classification"
    chosen = [given.get(name) for name in ("target_transform", "objective")]
    if any(isinstance(value, str) for value in chosen):
        return "regression"  # classification has neither
    return "classification" if isinstance(given.get("positive"), bool | int | float | str) else None
