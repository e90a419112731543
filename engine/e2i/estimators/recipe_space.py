"""Check the choices of a recipe in a search space while planning. In: known parameters. Out: problems."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from e2i.catalog.columns import UNKNOWN, ColumnProblem, Given, KnownRecipe, settled
from e2i.estimators import recipe_choices


def check(given: Given) -> Iterator[ColumnProblem]:
    """Yield choices without a recipe, of a step or parameter that it does not have, and with values it refuses."""
    space, recipe = given["space"], given["prepare"]
    if not isinstance(space, Mapping):
        return
    steps = _steps(recipe)
    for name, dimension in recipe_choices.split(space)[1].items():
        if recipe is None:
            message, hint = f'"{name}" is a choice of a recipe, and there is none', "set `prepare`"
            yield ColumnProblem(("space", name), "bad-space", message, hint=hint, at_key=True)
        elif steps is not None and isinstance(dimension, Mapping) and settled(dimension):
            named = _values(dimension.get("choices"), dimension.get("low"), dimension.get("high"))
            yield from _refused(steps, name, named)


def _values(choices: Any, low: Any, high: Any) -> list[tuple[tuple[str | int, ...], Any]]:
    """Return the values that a dimension names, with their places in it."""
    if isinstance(choices, list | tuple):
        return [(("choices", index), value) for index, value in enumerate(choices)]
    return [(("low",), low), (("high",), high)]


def _refused(
    steps: tuple[Any, ...], name: str, places: list[tuple[tuple[str | int, ...], Any]]
) -> Iterator[ColumnProblem]:
    reasons = [(place, recipe_choices.fault(steps, name, value)) for place, value in places]
    if len({reason for _, reason in reasons}) == 1 and reasons[0][1] is not None:
        hint = recipe_choices.misspelt(steps, name)
        yield ColumnProblem(("space", name), "bad-space", f'"{name}": {reasons[0][1]}', hint=hint, at_key=True)
        return
    for place, reason in reasons:
        if reason is not None:
            yield ColumnProblem(("space", name, *place), "bad-space", f'"{name}": {reason}')


def _steps(recipe: Any) -> tuple[Any, ...] | None:
    """Return the steps of a recipe, if all of them are known."""
    if recipe is UNKNOWN:
        return None
    steps = (
        recipe.steps
        if isinstance(recipe, KnownRecipe)
        else recipe.get("steps")
        if isinstance(recipe, Mapping)
        else None
    )
    is_known = (
        isinstance(steps, list | tuple) and settled(list(steps)) and all(isinstance(one, Mapping) for one in steps)
    )
    return tuple(steps) if is_known and steps is not None and all("op" in one for one in steps) else None
