"""Check how the options of ``optuna.tune`` go together, while planning. In: known parameters. Out: problems."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from typing import Any

from e2i.catalog.columns import UNKNOWN, ColumnProblem, Given
from e2i.estimators import algorithms
from e2i.estimators.algorithms import ALGORITHMS
from e2i.estimators.metrics import METRICS
from e2i.estimators.rounds import USABLE, usable_of
from e2i.spec.problems import Code
from e2i.tools.optuna.ranges import TUNE

GP = 'pip install "e2i[optuna-gp]" where the step runs, or choose the sampler tpe'
UNGUIDED = ("random", "grid", "qmc")
"""Samplers that do not use the results of other trials."""


def metrics(given: Given) -> tuple[str, ...]:
    """Return the metrics of the search, as far as all of them are known."""
    several = given["metrics"]
    found = [given["metric"]] if several is None else []
    if isinstance(several, list | tuple):
        found = [goal.get("name") if isinstance(goal, Mapping) else None for goal in several]
    return tuple(found) if all(isinstance(name, str) and name in METRICS for name in found) else ()


def check(given: Given, names: tuple[str, ...], task: str | None) -> Iterator[ColumnProblem]:
    """Yield options that contradict each other, and trials that cannot be pruned. ``names`` are the metrics."""
    several = given["metrics"]
    if isinstance(several, list | tuple):
        for other in ("metric", "direction"):
            if isinstance(given[other], str):
                yield _bad((other,), f"`{other}` is for one metric, and `metrics` names several", f"remove `{other}`")
        yield from _repeated(names)
        if given["sampler"] == "cmaes":
            yield _bad(("sampler",), "cmaes searches by one metric", "choose tpe, or give one `metric`")
    if given["sampler"] == "gp" and find_spec("torch") is None:
        message = "the sampler gp needs the package torch, which is not installed here"
        yield _bad(("sampler",), message, GP, "warning")
    yield from _tasks(several, names, task)
    yield from _chosen(given, names)
    yield from _stop(given, names)
    warm = given["warm_start"]
    if isinstance(warm, list | tuple) and warm and given["sampler"] in UNGUIDED:
        message = f"{given['sampler']} does not use the results of other trials, so `warm_start` has no effect"
        yield _bad(("warm_start",), message, "choose another sampler", "warning")
    yield from _pruned(given, names, task)
    yield from _stopped(given, names, task)


def _stopped(given: Given, names: tuple[str, ...], task: str | None) -> Iterator[ColumnProblem]:
    """Yield a problem when rounds would be judged by two metrics: one for the pruner, one for early stopping."""
    stop = given.get("early_stopping")
    if given.get("folds", UNKNOWN) is not None or given["pruner"] == "none" or not isinstance(stop, Mapping):
        return
    usable = usable_of(task)
    watched = next((name for name in names if name in usable), None)
    metric = stop.get("metric")
    if isinstance(given["pruner"], str) and isinstance(metric, str) and watched is not None and metric != watched:
        message = f"rounds are judged by one metric, and the pruner has {watched}"
        yield _bad(("early_stopping", "metric"), message, f"set {watched}, or leave it out")


def _repeated(names: tuple[str, ...]) -> Iterator[ColumnProblem]:
    for index, name in enumerate(names):
        if name in names[:index]:
            yield _bad(("metrics", index, "name"), f"the metric {name} is named twice", "remove it")


def _tasks(several: Any, names: tuple[str, ...], task: str | None) -> Iterator[ColumnProblem]:
    for index, name in enumerate(names):
        if task is not None and METRICS[name].task != task:
            able = ", ".join(other for other, known in METRICS.items() if known.task == task and other != "prevalence")
            path = ("metric",) if several is None else ("metrics", index, "name")
            yield _bad(path, f"{name} is not a metric of {task}", f"choose one of {able}")


def _chosen(given: Given, names: tuple[str, ...]) -> Iterator[ColumnProblem]:
    rule = given["choose"]
    if not isinstance(rule, Mapping):
        return
    if given["metrics"] is None:
        hint = "remove it, or name the metrics in `metrics`"
        yield _bad(("choose",), "`choose` takes a trial of the Pareto front of several metrics, and there is one", hint)
    elif names:
        places: list[tuple[tuple[str, ...], Any]] = [(("best",), rule.get("best"))]
        for key in ("weights", "at_least", "at_most"):
            if isinstance(rule.get(key), Mapping):
                places += [((key, name), name) for name in rule[key]]
        for place, name in places:
            if isinstance(name, str) and name not in names:
                message, at_key = f"the search is not by {name}", len(place) == 2
                yield ColumnProblem(("choose", *place), "bad-search", message, name, names, at_key=at_key)


def _stop(given: Given, names: tuple[str, ...]) -> Iterator[ColumnProblem]:
    rule = given["stop"]
    target = rule.get("target") if isinstance(rule, Mapping) else None
    if isinstance(target, Mapping):
        for name in target:
            if given["metrics"] is None:
                hint = "write the number alone"
                yield _bad(("stop", "target"), "targets by metric are for several metrics", hint)
                return
            if names and name not in names:
                path, message = ("stop", "target", name), f"the search is not by {name}"
                yield ColumnProblem(path, "bad-search", message, name, names, at_key=True)
    elif isinstance(target, int | float) and isinstance(given["metrics"], list | tuple):
        first = names[0] if names else "roc_auc"
        hint = f"write it by metric, such as {{{first}: {target}}}"
        yield _bad(("stop", "target"), "the target is one number, and the search is by several metrics", hint)


def _pruned(given: Given, names: tuple[str, ...], task: str | None) -> Iterator[ColumnProblem]:
    algorithm = given["algorithm"]
    if given["pruner"] in (None, "none") or not isinstance(given["pruner"], str) or given["folds"] is not None:
        return  # with folds, trials are pruned after a split, whatever the algorithm and the metric
    chosen = algorithms.known(algorithm)
    if chosen is not None and not chosen.rounds:
        able = ", ".join(name for name, known in ALGORITHMS.items() if known.rounds)
        message = f"{algorithm} does not train in rounds, so its trials cannot be pruned"
        yield ColumnProblem(("pruner",), "unprunable", message, hint=f"remove it, or use one of {able}", take_out=True)
        return
    usable = [name for shape, found in USABLE.items() for name in found if _fits(shape, task)]
    if names and not any(name in usable for name in names):
        what = f"{names[0]} is" if len(names) == 1 else f"{' and '.join(names)} are"
        message = f"{what} not computed round by round, so trials cannot be pruned"
        hint = f"remove it, or search by {' or '.join(dict.fromkeys(usable))}"
        yield ColumnProblem(("pruner",), "unprunable", message, hint=hint, take_out=True)


def _fits(shape: str, task: str | None) -> bool:
    return task is None or shape == task or (task == "classification" and shape in ("binary", "multiclass"))


def _bad(path: tuple[str | int, ...], message: str, hint: str, severity: Any = "error") -> ColumnProblem:
    return ColumnProblem(path, "bad-search", message, hint=hint, severity=severity)


CODES = (
    Code(
        "bad-search",
        "Options of a search that contradict each other",
        "A search by several metrics has `metrics`, and `choose` takes one trial of its Pareto front; a search by one "
        "has `metric` and `direction`. Rules name only metrics of the search.",
        "Change the option as the hint says.",
        TUNE + "      metric: roc_auc\n      choose: {rule: knee}\n",
        TUNE + "      metrics: [{name: roc_auc}, {name: brier}]\n      choose: {rule: knee}\n",
    ),
    Code(
        "unprunable",
        "Trials that cannot be pruned",
        "A pruner judges trials while they are trained. The algorithm does not train in rounds, or the metric is not "
        "computed after each round.",
        "Remove `pruner`, or choose an algorithm and a metric of the hint; or judge by `folds`: trials are then pruned "
        "after a split.",
        TUNE + "      algorithm: LogisticRegression\n      pruner: median\n",
        TUNE + "      algorithm: XGBoost\n      pruner: median\n",
    ),
)
