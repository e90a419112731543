"""Derive the outputs of actions that judge models, while planning. In: known parameters. Out: tables and problems."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from e2i.catalog.columns import (
    UNKNOWN,
    ColumnProblem,
    Flow,
    Given,
    Known,
    KnownKeys,
    KnownModel,
    KnownTable,
    absent,
)
from e2i.catalog.files import Files
from e2i.estimators import columns
from e2i.estimators.details import JUDGED
from e2i.spec.problems import Code
from e2i.spec.suggest import few
from e2i.tools.model import tables
from e2i.tools.model.after_columns import cost_columns
from e2i.tools.model.decisions import DIRECTIONS, OF_TASK
from e2i.tools.model.params.fields import CONFIDENCE


def evaluate(given: Given, files: Files) -> Flow:
    model = given["model"]
    names = KnownKeys((*metrics_of(task_of(model)), *_decided(given, model)))
    bounds = KnownKeys(() if given.get("interval", UNKNOWN) is None else names.keys)
    problems = [*columns.uses(given, target=True), *absent(given["table"], ("group",), given.get("group"))]
    problems += [*slices(given, "by", model), *cost_columns(given)]
    problems += _not_of_two(given, model)
    for limits in ("at_least", "at_most"):
        problems += [*wrong_keys(given, limits, task_of(model)), *_undefined(given, limits, model)]
    outputs: dict[str, Known] = {
        "metrics": names,
        "intervals": bounds,
        "baseline": names,
        "slices": KnownTable(tables.SLICES),
        "classes": KnownTable(tables.CLASSES),
    }
    return Flow(outputs, problems)


def _not_of_two(given: Given, model: Any) -> Iterator[ColumnProblem]:
    """Yield a problem for each parameter that needs a model of two classes, when the model has none or more."""
    task = task_of(model)
    if task not in ("regression", "ranking") and not (isinstance(model, KnownModel) and model.binary is False):
        return
    for name, what in (("costs", "costs are of decisions between two classes"), ("positive", "one of two is positive")):
        if given.get(name, UNKNOWN) not in (None, UNKNOWN):
            has = f"is one of {task}" if task in ("regression", "ranking") else "has more than two classes"
            message = f"{what}, and the model {has}"
            yield ColumnProblem((name,), "wrong-task", message, hint=f"leave `{name}` out")


def _decided(given: Given, model: Any) -> Iterator[str]:
    """Yield the figures of decisions and intervals that an evaluation can have."""
    if given.get("costs") is not None:
        yield "cost"
    if not isinstance(model, KnownModel) or model.level is not False:
        of_task = OF_TASK.get(task_of(model) or "", tuple(DIRECTIONS))
        yield from (name for name in of_task if name != "cost")


def _undefined(given: Given, name: str, model: Any) -> Iterator[ColumnProblem]:
    """Yield a problem for each limit of a figure that needs costs or intervals, when there are none."""
    limits, task = given.get(name), task_of(model)
    for figure in limits if isinstance(limits, Mapping) else ():
        if figure == "cost" and given.get("costs", UNKNOWN) is None:
            yield ColumnProblem((name, figure), "wrong-metric", "cost needs `costs`", hint="set `costs`", at_key=True)
        elif figure in DIRECTIONS and task in OF_TASK and figure not in OF_TASK[task]:
            hint = f"choose one of {few(OF_TASK[task])}"
            yield ColumnProblem((name, figure), "wrong-metric", f"{figure} is not of {task}", hint=hint, at_key=True)
        elif figure in DIRECTIONS and figure != "cost" and isinstance(model, KnownModel) and model.level is False:
            message, hint = f"the model has no intervals, and so no {figure}", "fit them with model.conformal first"
            yield ColumnProblem((name, figure), "no-intervals", message, hint=hint, at_key=True)


def slices(given: Given, name: str, model: Any) -> Iterator[ColumnProblem]:
    """Yield a problem for each column in the parameter ``name`` that the table lacks or cannot be cut by."""
    table, by = given["table"], given.get(name)
    yield from absent(table, (name,), by)
    if not isinstance(by, list | tuple):
        return
    target = model.target if isinstance(model, KnownModel) else None
    for index, column in enumerate(by):
        if not isinstance(column, str):
            continue
        path, others = (name, index), len(by) > 1
        kind = table.columns.get(column) if isinstance(table, KnownTable) else None
        if column == target:
            message = f'"{column}" is the target of the model: every slice would have one label'
            yield ColumnProblem(path, "bad-slice", message, hint=f"remove it from `{name}`", take_out=others)
        elif column in by[:index]:
            yield ColumnProblem(path, "bad-slice", f'"{column}" is listed twice', take_out=True)
        elif kind is not None and kind.startswith(tables.NESTED):
            message = f'"{column}" is of {kind}, and no slices can be made of it'
            yield ColumnProblem(path, "bad-slice", message, hint="derive a column of plain values from it")
        elif column == given.get("group"):
            message = f'each slice of "{column}" is one group, so none has an interval'
            hint = f"remove it from `{name}`, or name another column in `group`"
            yield ColumnProblem(path, "bad-slice", message, hint=hint, severity="warning")


def wrong_keys(given: Given, name: str, task: str | None) -> Iterator[ColumnProblem]:
    """Yield a problem for each metric among the keys of a parameter that the task of the model does not have."""
    limits = given.get(name)
    for metric in limits if isinstance(limits, Mapping) and task is not None else ():
        if metric != CONFIDENCE and metric in JUDGED:
            yield from wrong_metric((name, metric), metric, task, at_key=True)


def wrong_metric(
    path: tuple[str | int, ...], metric: Any, task: str | None, *, able: Iterable[str] = JUDGED, at_key: bool = False
) -> Iterator[ColumnProblem]:
    """Yield a problem when the task does not have the metric."""
    known = JUDGED.get(metric) if isinstance(metric, str) else None
    if known is not None and task in ("classification", "regression", "ranking") and known.task != task:
        message, others = f"{metric} is not a metric of {task}", [name for name in able if JUDGED[name].task == task]
        yield ColumnProblem(path, "wrong-metric", message, hint=f"choose one of {few(others)}", at_key=at_key)


def not_ranking(model: Any, path: tuple[str, ...], what: str) -> Iterator[ColumnProblem]:
    """Yield a problem when a model is one of ranking, whose scores only order rows; ``what`` then has no meaning."""
    if task_of(model) == "ranking":
        message = f"{what}, and this is a model of ranking, whose scores only order the rows of a query"
        yield ColumnProblem(path, "wrong-task", message, hint="judge it by model.evaluate or model.compare")


def task_of(model: Any) -> str | None:
    return model.task if isinstance(model, KnownModel) else None


def metrics_of(task: str | None) -> tuple[str, ...]:
    """Return the metrics that a judged model of the task can have; of an unknown one all."""
    return tuple(name for name, metric in JUDGED.items() if task in (None, metric.task))


_EVALUATE = """steps:
  data: {uses: dataset.hcp}
  split: {uses: data.split, with: {table: "${{ steps.data.journeys }}", strategy: entity, by: hcp_id}}
  train:
    uses: model.train
    with: {table: "${{ steps.split.train }}", target: target, features: [region, call_frequency]}
  judge:
    uses: model.evaluate
    with:
      model: ${{ steps.train.model }}
      table: ${{ steps.split.test }}
"""
_COMPARE = """steps:
  data: {uses: dataset.hcp}
  split: {uses: data.split, with: {table: "${{ steps.data.journeys }}", strategy: entity, by: hcp_id}}
  train:
    uses: model.train
    with: {table: "${{ steps.split.train }}", target: target, features: [region, call_frequency]}
  other:
    uses: model.train
    with: {table: "${{ steps.split.train }}", target: target, features: [region]}
  compare:
    uses: model.compare
    with:
      models: {new: "${{ steps.train.model }}", old: "${{ steps.other.model }}"}
      table: ${{ steps.split.test }}
"""
_CURVE = """steps:
  data: {uses: dataset.hcp}
  split: {uses: data.split, with: {table: "${{ steps.data.journeys }}", strategy: entity, by: hcp_id}}
  curve:
    uses: model.learning_curve
    with:
      table: ${{ steps.split.train }}
      held_out: ${{ steps.split.test }}
      target: target
      features: [region, call_frequency]
"""
CODES = (
    Code(
        "bad-shares",
        "Shares of a learning curve that do not rise",
        "A learning curve goes from few rows to many; each share is larger than the one before.",
        "List each share once, in rising order.",
        _CURVE + "      shares: [0.5, 0.1, 1.0]\n",
        _CURVE + "      shares: [0.1, 0.5, 1.0]\n",
    ),
    Code(
        "bad-slice",
        "A column that rows cannot be judged by",
        "Slices are rows with equal values of a column. Slices of the target would each have one label, so that no "
        "metric of ranking is defined, and lists have no values to compare.",
        "Remove the column from `by`. `e2i fix` does this when others remain.",
        _EVALUATE + "      by: [region, target]\n",
        _EVALUATE + "      by: [region]\n",
    ),
    Code(
        "unknown-name",
        "A name that is not among those of the models",
        "`reference` of model.compare is one of the names in `models`. In a list, a model is named by its "
        "algorithm and its place, as in `XGBoost 1`, and a matrix combination by its values.",
        "Use a name listed in the hint.",
        _COMPARE + "      reference: olt\n",
        _COMPARE + "      reference: old\n",
    ),
)
