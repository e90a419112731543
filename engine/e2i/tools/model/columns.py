"""Derive the outputs of ``model.*`` while planning. In: known parameters. Out: what is known of the outputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from e2i.catalog.columns import (
    ColumnProblem,
    Flow,
    Given,
    Known,
    KnownKeys,
    KnownModel,
    KnownTable,
    absent,
    settled,
)
from e2i.catalog.files import Files
from e2i.catalog.known_models import chosen
from e2i.estimators import columns, fold_columns, hyperparameters, option_columns
from e2i.estimators.metrics import METRICS, MetricName
from e2i.spec.suggest import few
from e2i.tools.model import searching_columns
from e2i.tools.model.after_columns import without_intervals
from e2i.tools.model.known_candidates import known_models


def train(given: Given, files: Files) -> Flow:
    model, problems = columns.learn(given, "table", "validation")
    problems += hyperparameters.check(given, "params", task=model.task)
    problems += option_columns.check(given, model, "table", "params")
    parts = ("train",) if given["validation"] is None else ("train", "validation")
    names = tuple(f"{part}_{name}" for part in parts for name in _metrics(model.task))
    return Flow({"model": model, "metrics": KnownKeys(names), "baseline": KnownKeys(names)}, problems)


def cross_validate(given: Given, files: Files) -> Flow:
    model, problems = columns.learn({**given, "validation": None}, "table", "validation")
    problems += hyperparameters.check(given, "params", task=model.task)
    problems += option_columns.check(given, model, "table", "params")
    problems += fold_columns.check(given, model, "table")
    problems += searching_columns.check(given, model.task)
    chosen = given["metrics"]
    names = _metrics(model.task) if chosen is None else chosen if settled(chosen) else ()
    for index, name in enumerate(chosen if isinstance(chosen, list | tuple) else ()):
        if isinstance(name, str) and name in METRICS and model.task not in (None, METRICS[name].task):
            message = f"{name} is not a metric of {model.task}"
            able = [name for name in get_args(MetricName) if METRICS[name].task == model.task]
            hint = f"choose one of {few(able)}"
            problems.append(ColumnProblem(("metrics", index), "wrong-metric", message, hint=hint))
    outputs: dict[str, Known] = {"model": model}
    if names:
        outputs["metrics"] = outputs["baseline"] = KnownKeys(tuple(names))
    if (chosen_params := searching_columns.names(given)) is not None:
        outputs["best_params"] = KnownKeys(chosen_params)
    return Flow(outputs, problems)


def predict(given: Given, files: Files) -> Flow:
    """Return the columns of predictions, if known. For classification they depend on the classes in the data."""
    table, keep = given["table"], given["keep"]
    problems = [*columns.uses(given), *absent(table, ("keep",), keep)]
    if not isinstance(table, KnownTable) or not settled(keep):
        return Flow({}, problems)
    kept = table if keep is None else table.only(keep)
    task, intervals = _task(given["model"]), given.get("intervals")
    added: Mapping[str, str | None] = columns.EFFECTS if task == "effect" else {"prediction": None}
    problems += without_intervals(given)
    if task == "regression" and intervals is True:
        added = {"prediction": None, "lower": "double", "upper": "double"}
    if task == "classification" and _is_binary(given["model"]):
        added = {"prediction": None, "probability": None}
    hint = "list the columns to copy in `keep`, without it"
    problems += [
        ColumnProblem(("table",), "duplicate-column", f'the table already has a column "{name}"', hint=hint)
        for name in added
        if name in kept.columns
    ]
    of_classes = task == "classification" and (intervals is True or not _is_binary(given["model"]))
    if task is None or of_classes or not settled(intervals):
        return Flow({}, problems)
    return Flow({"table": kept.plus(added)}, problems)


def select(given: Given, files: Files) -> Flow:
    """Return the properties of the chosen model that all candidates share."""
    models = list(known_models(given["candidates"]))
    judged = given["table"] is not None
    problems: list[ColumnProblem] = []
    for model in dict.fromkeys(models):
        problems += columns.uses({"model": model, "table": given["table"]}, target=True)
    model = chosen(models)
    outputs: dict[str, Known] = {"model": model}
    return Flow(
        outputs | ({"metrics": KnownKeys(_metrics(model.task))} if judged else {}), tuple(dict.fromkeys(problems))
    )


def _task(model: Any) -> str | None:
    return model.task if isinstance(model, KnownModel) else None


def _is_binary(model: Any) -> bool:
    return isinstance(model, KnownModel) and model.binary is True


def _metrics(task: str | None) -> tuple[str, ...]:
    return tuple(name for name, metric in METRICS.items() if task in (None, metric.task))
