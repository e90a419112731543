"""Choose parameters of a recipe in a search. In: a recipe and the choices of a trial. Out: the recipe of the trial.

A choice is named by its place in the recipe: ``prepare.steps.0.strategy`` is ``strategy`` of the first operation.
``prepare.steps.0.use`` says whether the operation is applied at all. Pure, without what fits a recipe.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, get_args

from pydantic import ValidationError

from e2i.catalog.artifacts import Recipe
from e2i.errors import StepError
from e2i.estimators.space import Value
from e2i.spec import suggest

T = TypeVar("T")
PREFIX = "prepare."
USE = "use"
"""The choice whether an operation is applied."""
FORM = re.compile(r"prepare\.steps\.(?P<place>\d{1,4})\.(?P<name>[a-z_]+)")
FIXED = ("op", "columns", "types")
"""Parameters of an operation that are no choices: its columns are those that the plan follows."""


def split(values: Mapping[str, T]) -> tuple[dict[str, T], dict[str, T]]:
    """Return the hyperparameters, and the choices of the recipe."""
    own = {name: value for name, value in values.items() if not name.startswith(PREFIX)}
    return own, {name: value for name, value in values.items() if name.startswith(PREFIX)}


def applied(steps: Sequence[Any], choices: Mapping[str, Value]) -> list[Any]:
    """Return the steps of a recipe with these choices, whose names have the form and a step of the recipe."""
    changed = [dict(step) for step in steps]
    left_out = set()
    for name, value in choices.items():
        if (found := FORM.fullmatch(name)) is None:
            raise KeyError(name)
        place = int(found["place"])
        if found["name"] != USE:
            changed[place][found["name"]] = value
        elif not value:
            left_out.add(place)
    return [step for place, step in enumerate(changed) if place not in left_out]


def chosen(recipe: Recipe, choices: Mapping[str, Value]) -> Recipe:
    """Return a recipe with the choices of a trial. Raises pydantic's ValidationError."""
    from e2i.estimators import recipes

    changed = recipe.model_copy(update={"steps": tuple(applied(recipe.steps, choices))})
    return recipes.recipe_of(recipes.steps_of(changed))


def refined(recipe: Recipe | None, choices: Mapping[str, Value]) -> Recipe | None:
    """Return the recipe of a trial; None without a recipe. Raises StepError for a value that the recipe refuses."""
    if recipe is None or not choices:
        return recipe
    try:
        return chosen(recipe, choices)
    except ValidationError as error:
        said = error.errors(include_url=False)[0]["msg"]
        raise StepError(f"the recipe does not take {dict(choices)}: {said}", code="bad-space") from error


def misspelt(steps: Sequence[Any], name: str) -> str | None:
    """Return a hint for a choice of a parameter that its operation does not have; None for any other."""
    from e2i.estimators.recipes import Step

    found = FORM.fullmatch(name)
    if found is None or (place := int(found["place"])) >= len(steps):
        return None
    kinds = {op: kind for kind in get_args(get_args(Step)[0]) for op in get_args(kind.model_fields["op"].annotation)}
    fields = kinds[steps[place]["op"]].model_fields
    return None if found["name"] in fields else suggest.hint(found["name"], [*fields.keys() - FIXED, USE])


def fault(steps: Sequence[Any], name: str, value: Any) -> str | None:
    """Return why a choice cannot have a value; None when it can. ``steps`` are those of a recipe that is valid."""
    from pydantic import TypeAdapter

    from e2i.estimators.recipes import Step

    found = FORM.fullmatch(name)
    if found is None:
        return 'a choice of the recipe is named as in "prepare.steps.0.strategy"'
    place, parameter = int(found["place"]), found["name"]
    if place >= len(steps):
        return f"the recipe has {len(steps)} steps, counted from 0"
    if parameter == USE:
        return None if isinstance(value, bool) else "`use` is true or false"
    op = steps[place]["op"]
    if parameter in FIXED:
        return f"`{parameter}` of {op} cannot be searched"
    try:
        TypeAdapter(Step).validate_python({**steps[place], parameter: value})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        if first["type"] == "extra_forbidden":
            return f"{op} has no parameter `{parameter}`"
        said = first["msg"].removeprefix("Value error, ").replace("Input should be", "it should be")
        return f"{op} does not take {value!r} as `{parameter}`: {said}"
    return None
