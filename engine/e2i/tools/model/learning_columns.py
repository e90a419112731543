"""Derive the outputs of ``model.learning_curve`` while planning. In: known parameters. Out: the curve, and problems."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

from e2i.catalog.columns import UNKNOWN, ColumnProblem, Flow, Given, KnownTable, absent
from e2i.catalog.files import Files
from e2i.estimators import columns, hyperparameters, option_columns
from e2i.estimators.columns import lacking, seen
from e2i.estimators.metrics import MetricName
from e2i.tools.model import tables
from e2i.tools.model.judging_columns import not_ranking, wrong_metric


def learning_curve(given: Given, files: Files) -> Flow:
    problems = [*judged_fit(given, "table"), *_falling(given.get("shares"))]
    return Flow({"curve": KnownTable(tables.CURVE)}, problems)


def judged_fit(given: Given, grouped: str) -> list[ColumnProblem]:
    """Return the problems of fits to the parameter ``table`` that are judged by the rows of ``held_out``.

    ``grouped`` is the parameter of the table that has the column ``group``.
    """
    fit = {**given, "group": UNKNOWN}  # a unit of intervals here, and no query
    model, problems = columns.learn(fit, "table", "validation")
    problems += hyperparameters.check(given, "params", task=model.task)
    problems += option_columns.check(fit, model, "table", "params")
    if model.features is not None and not problems:
        problems += lacking(given["held_out"], ("held_out",), model.features, "used as features in training")
    if model.target is not None:
        problems += lacking(given["held_out"], ("held_out",), [model.target], "the target of training")
    problems += seen(given["held_out"], ("held_out",), model.trained_on)
    problems += absent(given[grouped], ("group",), given.get("group"))
    problems += not_ranking(model, (grouped,), "a curve is of fits to rows, not to queries")
    problems += wrong_metric(("metric",), given.get("metric"), model.task, able=get_args(MetricName))
    return problems


def _falling(shares: Any) -> Iterator[ColumnProblem]:
    known = isinstance(shares, list | tuple) and all(isinstance(share, int | float) for share in shares)
    if known and (rising := sorted(set(shares))) != list(shares):
        yield ColumnProblem(("shares",), "bad-shares", "the shares do not rise", hint=f"shares: {rising}")
