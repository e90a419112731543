"""Know the search space of effects: settings of a forest, and hyperparameters of the models of outcome and treatment.

In: parameters of ``optuna.tune``. Out: the space, the parts of a trial's parameters, and problems while planning. The
hyperparameters of a model have its role before them, such as ``outcome_model.max_depth``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec.structs import replace
from pydantic import TypeAdapter, ValidationError

from e2i.catalog.columns import ColumnProblem, Given, settled
from e2i.catalog.extensible import Named
from e2i.documents import Values
from e2i.estimators import algorithms, hyperparameters
from e2i.estimators.space import Choices, Dimension, IntRange
from e2i.tools.causal import forest_settings
from e2i.tools.causal.estimating import BOOSTED, Nuisance
from e2i.tools.optuna import ranges

ROLES = ("outcome_model", "treatment_model")
_SPACE: TypeAdapter[dict[str, Dimension]] = TypeAdapter(dict[str, Dimension])


def split(params: Values) -> tuple[Values, Mapping[str, Values]]:
    """Return the settings of the estimator, and the hyperparameters of each model by its role."""
    own: dict[str, Any] = {}
    models: dict[str, dict[str, Any]] = {role: {} for role in ROLES}
    for name, value in params.items():
        role, _, rest = name.partition(".")
        if role in ROLES and rest:
            models[role][rest] = value
        else:
            own[name] = value
    return own, models


def default(estimator: str, given: Mapping[str, Nuisance | None]) -> dict[str, Dimension]:
    """Return the space of a search without one: of a forest its settings, otherwise those of both models."""
    if estimator in forest_settings.SETTINGS:
        return dict(forest_settings.SPACE)
    found: dict[str, Dimension] = {}
    for role in ROLES:
        model = given[role]
        name = "LightGBM" if model is None else model.algorithm
        given_there = {} if model is None else model.params
        space = algorithms.of(name).space
        found |= {f"{role}.{key}": dimension for key, dimension in space.items() if key not in given_there}
    return found


def searched(given: Given) -> tuple[str, ...] | None:
    """Return the names that a search varies, while planning; None when they are not known."""
    estimator, question, space = given["algorithm"], given["effect"], given["space"]
    if isinstance(space, Mapping):
        return tuple(space)
    if space is not None or not isinstance(estimator, str) or not settled(question):
        return None
    try:
        given_models = {role: question.get(role) for role in ROLES}
        models = {role: one and Nuisance.model_validate(one) for role, one in given_models.items()}
    except ValidationError:  # reported as a wrong parameter
        return None
    return tuple(default(estimator, models))


def check(given: Given) -> Iterator[ColumnProblem]:
    """Yield names that neither the estimator nor its models have, and ranges that they refuse."""
    estimator, question, space, fixed = given["algorithm"], given["effect"], given["space"], given["fixed"]
    if not isinstance(estimator, str) or not isinstance(question, Mapping) or not isinstance(fixed, Mapping):
        return
    for parameter, chosen in (("space", space), ("fixed", fixed)):
        if not isinstance(chosen, Mapping):
            continue
        own, models = split(chosen)
        yield from _own(estimator, parameter, own)
        for role, named in models.items():
            yield from _of_model(role, question.get(role), parameter, named, given)
    if isinstance(space, Mapping) and settled(space):
        try:
            searched = _SPACE.validate_python(space)
        except ValidationError:  # reported as a wrong parameter
            return
        yield from _refused(estimator, searched)
        yield from ranges.of_space(given, searched, fixed)
        yield from hyperparameters.hidden(given, "space", by="fixed")


def _own(estimator: str, parameter: str, chosen: Values) -> Iterator[ColumnProblem]:
    known = forest_settings.SETTINGS.get(estimator, frozenset())
    for name in chosen:
        if name in known:
            continue
        message = f'{estimator} has no setting "{name}"'
        hint = f"hyperparameters of its models are {' and '.join(f'{role}.{name}' for role in ROLES)}"
        choices = (*known, *(f"{role}.{name}" for role in ROLES))
        path = (parameter, name)
        yield ColumnProblem(
            path, "unknown-hyperparameter", message, name, choices, None if known else hint, at_key=True
        )


def _of_model(role: str, model: Any, parameter: str, chosen: Values, given: Given) -> Iterator[ColumnProblem]:
    """Yield what is wrong with the hyperparameters of one model, at their full names."""
    if not chosen or not isinstance(model, Mapping | None):
        return
    name = "LightGBM" if model is None else model.get("algorithm")
    if not isinstance(name, str | Named) or algorithms.known(name) is None:
        return
    task = (
        "classification" if role == "treatment_model" and given["effect"].get("continuous") is False else "regression"
    )
    base = BOOSTED if model is None else model.get("params") or {}
    asked = {"algorithm": name, "space": None, "fixed": {}, "sampler": None, parameter: chosen}
    together = {**asked, "base": {key: value for key, value in dict(base).items() if key not in chosen}}
    found = [*hyperparameters.check(together, "base", parameter, task=task), *ranges.check(asked)]
    for problem in found:
        if problem.path[0] != parameter or len(problem.path) < 2:
            continue
        path = (parameter, f"{role}.{problem.path[1]}", *problem.path[2:])
        known = tuple(f"{role}.{one}" for one in problem.known)
        full, meant = (f"{role}.{one}" if one else "" for one in (problem.name, problem.meant))
        yield replace(problem, path=path, name=full, known=known, meant=meant)


def _refused(estimator: str, searched: Mapping[str, Dimension]) -> Iterator[ColumnProblem]:
    for name, dimension in searched.items():
        if name not in forest_settings.SETTINGS.get(estimator, ()):
            continue
        for place, value in _values(dimension):
            if needs := forest_settings.refused(name, value):
                message = f'{estimator} needs "{name}" to be {needs}; trials with {value:g} fail'
                path = ("space", name, *place)
                yield ColumnProblem(path, "bad-space", message, hint="set a range within these bounds, or a `step`")
                break


def _values(dimension: Dimension) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Yield values that a range has, each with its place: all choices; the ends, and of integers the second one."""
    if isinstance(dimension, Choices):
        yield from ((("choices", index), value) for index, value in enumerate(dimension.choices))
        return
    yield ("low",), dimension.low
    if isinstance(dimension, IntRange) and dimension.low + dimension.step <= dimension.high:
        yield ("low",), dimension.low + dimension.step
    yield ("high",), dimension.high
