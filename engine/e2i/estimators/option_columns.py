"""Check the options of a fit while planning. In: known parameters of an action. Out: problems."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from e2i.catalog.columns import UNKNOWN, ColumnProblem, Given, KnownModel, KnownTable, absent, settled
from e2i.estimators import algorithms, options
from e2i.estimators.options import CODE
from e2i.estimators.recipe_columns import kind_of
from e2i.estimators.rounds import usable_of
from e2i.spec.problems import Code


def check(given: Given, model: KnownModel, table: str, params: str) -> Iterator[ColumnProblem]:
    """Yield problems of the options. ``table`` and ``params`` are the parameters of the rows and hyperparameters."""
    algorithm = given.get("algorithm")
    for fault in options.faults(algorithm if isinstance(algorithm, str) else None, model.task, given):
        yield ColumnProblem((fault.name,), CODE, fault.message, hint=fault.hint)
    yield from repeated(given, params)
    yield from _weights(given, table)
    if model.task == "ranking":
        yield from _query(given, table)
    yield from _monotone(given, model, table)
    yield from _stopped(given, model.task)
    yield from _rated(given, params)
    yield from _watched(given)


def repeated(given: Given, params: str) -> Iterator[ColumnProblem]:
    """Yield hyperparameters in ``params`` that set the same thing as an option."""
    chosen = given.get(params)
    for name, others in options.SAME.items():
        if given.get(name) is not None and isinstance(chosen, Mapping):
            for other in others:
                if other in chosen:
                    message = f"`{name}` and the hyperparameter `{other}` set the same"
                    yield ColumnProblem((params, other), CODE, message, hint="remove one of them", at_key=True)


def counted(given: Given) -> tuple[str, ...] | None:
    """Return the hyperparameter whose value early stopping in folds finds, if any; None when it is not known."""
    stop, algorithm = given.get("early_stopping"), algorithms.known(given.get("algorithm"))
    if stop is None:
        return ()
    return None if algorithm is None or not isinstance(stop, Mapping) else (algorithm.rounds,)


def _weights(given: Given, table: str) -> Iterator[ColumnProblem]:
    name, rows, features = given.get("weights"), given.get(table), given.get("features")
    if not isinstance(name, str):
        return
    yield from absent(rows, ("weights",), name)
    if name == given.get("target"):
        yield ColumnProblem(("weights",), CODE, f'"{name}" is the target', hint="choose the column of the weights")
    if isinstance(features, list | tuple) and name in features:
        path, message = ("features", list(features).index(name)), f'"{name}" is the weight of the rows'
        hint = "remove it from `features`: rows to predict have no weight"
        yield ColumnProblem(path, CODE, message, hint=hint, take_out=len(features) > 1)
    kind = rows.columns.get(name) if isinstance(rows, KnownTable) else None
    if kind == "bool" or kind_of(kind) in ("text", "time"):
        yield ColumnProblem(("weights",), CODE, f'"{name}" is a {kind}, and weights are numbers', hint="choose another")


def _query(given: Given, table: str) -> Iterator[ColumnProblem]:
    """Yield a column of queries that the rows lack, that is the target, or that is a feature."""
    name, features = given.get("group"), given.get("features")
    if not isinstance(name, str):
        return
    yield from absent(given.get(table), ("group",), name)
    if name == given.get("target"):
        yield ColumnProblem(("group",), CODE, f'"{name}" is the target', hint="choose the column of the queries")
    if isinstance(features, list | tuple) and name in features:
        path, message = ("features", list(features).index(name)), f'"{name}" is the query that rows are ranked within'
        hint = "remove it from `features`: it is the same for all rows of a query, and new queries have other values"
        yield ColumnProblem(path, CODE, message, hint=hint, take_out=len(features) > 1)


def _monotone(given: Given, model: KnownModel, table: str) -> Iterator[ColumnProblem]:
    constrained, rows, recipe = given.get("monotone"), given.get(table), given.get("prepare")
    if not isinstance(constrained, Mapping) or recipe is not None:
        return  # the columns that a recipe makes are known in the run
    for name in constrained:
        path = ("monotone", name)
        if model.features is not None and name not in model.features:
            yield ColumnProblem(path, CODE, f'"{name}" is not among the features', name, model.features, at_key=True)
        elif isinstance(rows, KnownTable) and kind_of(rows.columns.get(name)) == "text":
            message = f'"{name}" is a category, which has no order'
            yield ColumnProblem(path, CODE, message, hint="remove it", at_key=True)


def _stopped(given: Given, task: str | None) -> Iterator[ColumnProblem]:
    """Yield early stopping of an algorithm without rounds, and by a metric of another task."""
    stop, algorithm = given.get("early_stopping"), algorithms.known(given.get("algorithm"))
    if not isinstance(stop, Mapping):
        return
    if algorithm is not None and not algorithm.rounds:
        able = ", ".join(name for name, known in algorithms.ALGORITHMS.items() if known.rounds)
        message = f"{given['algorithm']} does not train in rounds, so it cannot stop early"
        hint = f"remove it, or use one of {able}"
        yield ColumnProblem(("early_stopping",), CODE, message, hint=hint, take_out=True)
    if given.get("validation", UNKNOWN) is None and given.get("folds") is None:
        message, hint = "early stopping needs a validation table", "set `validation`, or remove it"
        yield ColumnProblem(("early_stopping",), "no-validation", message, hint=hint)
    usable = usable_of(task)
    metric = stop.get("metric")
    if task is not None and isinstance(metric, str) and metric not in usable:
        message = f"{metric} is not a metric of the rounds of a {task}"
        yield ColumnProblem(("early_stopping", "metric"), CODE, message, hint=f"choose {' or '.join(usable)}")


def _rated(given: Given, params: str) -> Iterator[ColumnProblem]:
    """Yield a warning when CatBoost would derive another learning rate for all rows, from their number of rounds."""
    algorithm = algorithms.known(given.get("algorithm"))
    if (
        algorithm is None
        or algorithm.flavour != "catboost"
        or None in (given.get("early_stopping"), given.get("folds"))
    ):
        return
    search = given.get("search", given)  # optuna.tune has its space among its parameters
    space: object = {} if search is None else search.get("space") if isinstance(search, Mapping) else UNKNOWN
    places = [given.get(params), algorithm.space if space is None else space, algorithm.preset]
    if all(isinstance(place, Mapping) and "learning_rate" not in place for place in places):
        message = "CatBoost derives the learning rate from the number of rounds: all rows have another than the splits"
        hint = f"set `learning_rate` in `{params}`"
        yield ColumnProblem(("early_stopping",), CODE, message, hint=hint, severity="warning")


def _watched(given: Given) -> Iterator[ColumnProblem]:
    """Yield a problem where rounds cannot be judged by what is learned."""
    objective, quantiles, algorithm = given.get("objective"), given.get("quantiles"), str(given.get("algorithm"))
    name = "early_stopping" if given.get("early_stopping") is not None else "pruner"
    is_watched = name == "early_stopping" or (given.get("pruner") not in (None, "none") and given.get("folds") is None)
    if not is_watched or not settled([objective, quantiles, given.get(name)]):
        return
    if what := options.unheard(algorithm, given.get("device")):
        yield ColumnProblem((name,), CODE, what, hint="remove `device`, or set the number of rounds in `params`")
    quantile = quantiles[0] if isinstance(quantiles, list | tuple) and len(quantiles) == 1 else 0.5
    if what := options.unwatchable(algorithm, objective, quantile):
        hint = "set the number of rounds in `params`, or judge trials by `folds`"
        yield ColumnProblem((name,), CODE, f"rounds are judged by rmse or mae, which do not fit {what}", hint=hint)


_SPEC = """steps:
  data: {uses: dataset.hcp}
  train:
    uses: model.train
    with:
      table: ${{ steps.data.journeys }}
      target: target
      features: [region, call_frequency]
"""
CODES = (
    Code(
        CODE,
        "An option that the algorithm or the task does not have",
        "Weights, transformations of the target, objectives and constraints depend on what the library can fit, and on "
        "whether the target has classes or is a number. Some contradict each other or a hyperparameter.",
        "Remove the option, or choose an algorithm of the hint.",
        _SPEC + "      algorithm: LogisticRegression\n      monotone: {call_frequency: 1}\n",
        _SPEC + "      algorithm: LightGBM\n      monotone: {call_frequency: 1}\n",
    ),
)
