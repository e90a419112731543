"""Check the search of a nested validation while planning. In: known parameters. Out: problems, and what is searched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec.structs import replace

from e2i.catalog.columns import ColumnProblem, Given
from e2i.estimators import algorithms, hyperparameters, option_columns, recipe_choices, recipe_space
from e2i.estimators.metrics import METRICS
from e2i.tools.optuna import ranges


def check(given: Given, task: str | None) -> Iterator[ColumnProblem]:
    """Yield what is wrong with the parameter ``search``, while planning."""
    search = given.get("search")
    if not isinstance(search, Mapping):
        return
    whole = search.get("space")
    space = {
        "algorithm": given.get("algorithm"),
        "space": whole,
        "prepare": given.get("prepare"),
        "fixed": given.get("params"),
        "sampler": "tpe",
    }
    own = recipe_choices.split(whole)[0] if isinstance(whole, Mapping) else whole
    found = [*hyperparameters.check({**space, "space": own, "fixed": {}}, "space", task=task), *ranges.check(space)]
    found += recipe_space.check(space)
    found += hyperparameters.hidden({**given, **space}, "space", by="params")
    for problem in found:
        name, *rest = problem.path
        yield replace(problem, path=("params", *rest) if name == "fixed" else ("search", name, *rest))
    metric = search.get("metric")
    if isinstance(metric, str) and metric in METRICS and task not in (None, METRICS[metric].task):
        able = ", ".join(name for name, known in METRICS.items() if known.task == task and name != "prevalence")
        message = f"{metric} is not a metric of {task}"
        yield ColumnProblem(("search", "metric"), "wrong-metric", message, hint=f"choose one of {able}")


def names(given: Given) -> tuple[str, ...] | None:
    """Return the hyperparameters of the model, fixed and searched; None when they are not known."""
    search, fixed, algorithm = given.get("search"), given.get("params"), given.get("algorithm")
    if not isinstance(fixed, Mapping) or not isinstance(search, Mapping | None):
        return None
    space = {} if search is None else search.get("space")
    if space is None and (known := algorithms.known(algorithm)) is not None:
        space = known.space
    if not isinstance(space, Mapping) or any(isinstance(one, Mapping) and one.get("when") for one in space.values()):
        return None
    counted = option_columns.counted(given)
    searched = recipe_choices.split(space)[0]
    return None if counted is None else tuple(dict.fromkeys([*fixed, *searched, *counted]))
