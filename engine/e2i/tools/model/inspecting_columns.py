"""Derive the outputs of model.errors and model.fairness while planning. In: known parameters. Out: tables, problems."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import get_args

import msgspec

from e2i.catalog.columns import ColumnProblem, Flow, Given, KnownKeys, KnownModel, KnownTable, absent
from e2i.catalog.files import Files
from e2i.estimators import columns
from e2i.spec.suggest import few
from e2i.tools.model import tables
from e2i.tools.model.disparities import DISPARITIES
from e2i.tools.model.judging_columns import not_ranking, slices, task_of, wrong_metric
from e2i.tools.model.params.inspecting import RowMetric


def errors(given: Given, files: Files) -> Flow:
    problems = [*columns.uses(given, target=True), *absent(given["table"], ("group",), given.get("group"))]
    problems += slices({**given, "group": None}, "columns", given["model"])
    problems += not_ranking(given["model"], ("model",), "slices are found by the error of each row")
    problems += wrong_metric(("metric",), given.get("metric"), task_of(given["model"]), able=get_args(RowMetric))
    return Flow({"slices": KnownTable(tables.REGIONS)}, problems)


def fairness(given: Given, files: Files) -> Flow:
    problems = [*columns.uses(given, target=True), *absent(given["table"], ("group",), given.get("group"))]
    problems += slices(given, "by", given["model"])
    problems += not_ranking(given["model"], ("model",), "groups are compared by decisions and errors")
    task = task_of(given["model"])
    for limits in ("at_least", "at_most"):
        problems += _wrong_limits(given, limits, task)
    return Flow(
        {
            "worst": KnownKeys(_disparities(task)),
            "disparities": KnownTable(tables.DISPARITIES),
            "groups": KnownTable(tables.SLICES),
        },
        problems,
    )


def card(given: Given, files: Files) -> Flow:
    model, test, training = given["model"], given.get("test"), given.get("training")
    problems = columns.uses({"model": model, "table": test}, target=True)
    of_test = [msgspec.structs.replace(problem, path=("test",)) for problem in problems]
    names = [model.target] if isinstance(model, KnownModel) and model.target is not None else []
    return Flow({}, [*of_test, *columns.lacking(training, ("training",), names, "the target of the model")])


def _wrong_limits(given: Given, name: str, task: str | None) -> Iterator[ColumnProblem]:
    """Yield a problem for each limit of a disparity that the task does not have."""
    limits = given.get(name)
    for disparity in limits if isinstance(limits, Mapping) and task is not None else ():
        if disparity in DISPARITIES and disparity not in _disparities(task):
            message, hint = f"{disparity} is not a disparity of {task}", f"choose one of {few(_disparities(task))}"
            yield ColumnProblem((name, disparity), "wrong-metric", message, hint=hint, at_key=True)


def _disparities(task: str | None) -> tuple[str, ...]:
    able = {"regression": {"regression"}, "classification": {"binary", "many"}}.get(task or "")
    return tuple(name for name, one in DISPARITIES.items() if able is None or able & set(one.shapes))
