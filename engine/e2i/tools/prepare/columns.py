"""Derive the outputs of ``prepare.*`` while planning. In: known parameters. Out: what is known, and problems."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from e2i.catalog.columns import ColumnProblem, Flow, Given, KnownRecipe, KnownTable, absent, twice
from e2i.catalog.files import Files
from e2i.estimators import recipe_columns


def recipe(given: Given, files: Files) -> Flow:
    steps = given["steps"]
    if not isinstance(steps, list | tuple):
        return Flow({})
    operations = ((number, one) for number, one in enumerate(steps) if isinstance(one, Mapping))
    problems = [
        problem for number, one in operations for problem in twice(("steps", number, "columns"), one.get("columns"))
    ]
    return Flow({"recipe": KnownRecipe(tuple(steps))}, problems)


def preview(given: Given, files: Files) -> Flow:
    """Return the problems of the recipe with this table."""
    table, target, features, exclude = (given[name] for name in ("table", "target", "features", "exclude"))
    problems = [
        problem for name in ("target", "features", "exclude") for problem in absent(table, (name,), given[name])
    ]
    problems += _target_listed(features, target)
    problems += _needs_target(given["recipe"], target)
    if isinstance(table, KnownTable) and not problems and isinstance(exclude, list | tuple):
        chosen = tuple(table.columns) if features is None else features
        if isinstance(chosen, list | tuple) and all(isinstance(name, str) for name in (*chosen, *exclude)):
            used = tuple(name for name in chosen if name != target and name not in exclude)
            found = recipe_columns.check(given["recipe"], table, used, target, None)
            problems += [_at_recipe(problem) for problem in found.problems if problem.code != "bad-feature"]
    return Flow({}, problems)


def _target_listed(features: Any, target: Any) -> Iterator[ColumnProblem]:
    if isinstance(target, str) and isinstance(features, list | tuple) and target in features:
        path, message = ("features", list(features).index(target)), f'the target "{target}" is among the features'
        yield ColumnProblem(path, "target-leak", message, hint="remove it from `features`", take_out=len(features) > 1)


def _needs_target(recipe: Any, target: Any) -> Iterator[ColumnProblem]:
    if isinstance(recipe, KnownRecipe) and target is None:
        for step in recipe.steps:
            if isinstance(step, Mapping) and step.get("op") in ("target_encode", "select"):
                message = f"{step['op']} learns from the target, and `target` is not set"
                yield ColumnProblem(("recipe",), "bad-target", message, hint="set `target`")
                return


def _at_recipe(problem: ColumnProblem) -> ColumnProblem:
    """Return a problem at the parameter `recipe`, unless it is at the step of the recipe."""
    if problem.of:
        return problem
    return ColumnProblem(("recipe",), problem.code, problem.message, hint=problem.hint)
