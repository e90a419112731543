"""Check the search space of ``optuna.tune`` while planning. In: known parameters. Out: problems."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from e2i.catalog.columns import ColumnProblem, Given, settled
from e2i.estimators import algorithms
from e2i.estimators.bounds import BOUNDS
from e2i.estimators.space import Choices, Dimension, conditions, may_have, ordered
from e2i.spec.problems import Code

_SPACE: TypeAdapter[dict[str, Dimension]] = TypeAdapter(dict[str, Dimension])


def check(given: Given) -> Iterator[ColumnProblem]:
    """Yield ranges that the algorithm refuses, conditions that cannot be met, and what a grid cannot list."""
    space, fixed, algorithm = given["space"], given["fixed"], given["algorithm"]
    known = algorithms.known(algorithm)
    if known is None or not isinstance(fixed, Mapping):
        return
    algorithm, fixed = algorithms.recorded(algorithm), {**known.preset, **fixed}
    yield from _fixed(algorithm, fixed)
    if space is None:
        searched = {name: found for name, found in known.space.items() if name not in fixed}
        yield from _finite(given, searched, written=False)
    elif settled(space):
        try:
            searched = _SPACE.validate_python(space)
        except ValidationError:  # reported as a wrong parameter
            return
        for name, dimension in searched.items():
            yield from _bounded(algorithm, name, dimension)
        yield from of_space(given, searched, fixed)


def of_space(given: Given, searched: Mapping[str, Dimension], fixed: Mapping[str, Any]) -> Iterator[ColumnProblem]:
    """Yield conditions of a written space that cannot be met, and what a grid cannot list."""
    yield from _conditions(searched, fixed)
    yield from _finite(given, {name: found for name, found in searched.items() if name not in fixed}, written=True)


def _fixed(algorithm: str, fixed: Mapping[str, Any]) -> Iterator[ColumnProblem]:
    for name, value in fixed.items():
        bound = BOUNDS.get(algorithm, {}).get(name)
        if bound is None or isinstance(value, bool) or not isinstance(value, int | float) or bound.allows(value):
            continue
        message = f'{algorithm} needs "{name}" {bound}, not {value:g}'
        yield ColumnProblem(("fixed", name), "bad-space", message, hint="set a value within these bounds")


def _bounded(algorithm: str, name: str, dimension: Dimension) -> Iterator[ColumnProblem]:
    bound = BOUNDS.get(algorithm, {}).get(name)
    if bound is None:
        return
    places: list[tuple[tuple[str | int, ...], Any]]
    if isinstance(dimension, Choices):
        places = [(("choices", index), value) for index, value in enumerate(dimension.choices)]
    else:
        places = [(("low",), dimension.low), (("high",), dimension.high)]
    for place, value in places:
        if isinstance(value, int | float) and not isinstance(value, bool) and not bound.allows(value):
            message = f'{algorithm} needs "{name}" {bound}, so trials with {value:g} fail'
            path = ("space", name, *place)
            yield ColumnProblem(path, "bad-space", message, hint="set a range within these bounds")


def _conditions(searched: Mapping[str, Dimension], fixed: Mapping[str, Any]) -> Iterator[ColumnProblem]:
    known = {**searched, **fixed}
    unknown = False
    for name, dimension in searched.items():
        for other, values in conditions(dimension):
            path = ("space", name, "when", other)
            if other not in known:
                unknown = True
                message = f'"when" names "{other}", which is neither searched nor fixed'
                yield ColumnProblem(path, "bad-space", message, other, tuple(known), at_key=True)
                continue
            for value in values:
                if not _possible(searched, fixed, other, value):
                    message = f'"{other}" never has the value {value!r}, so "{name}" is not searched with it'
                    hint = "write a value of its range, or the one in `fixed`"
                    yield ColumnProblem(path, "bad-space", message, hint=hint)
    if not unknown:
        try:
            ordered(searched)
        except ValueError as error:
            yield ColumnProblem(("space",), "bad-space", str(error), hint="remove one of the conditions")


def _possible(searched: Mapping[str, Dimension], fixed: Mapping[str, Any], name: str, value: Any) -> bool:
    if name not in fixed:
        return may_have(searched[name], value)
    return not settled(fixed[name]) or may_have(Choices(choices=(fixed[name],)), value)


def _finite(given: Given, searched: Mapping[str, Dimension], *, written: bool) -> Iterator[ColumnProblem]:
    if given["sampler"] != "grid":
        return
    for name, dimension in searched.items():
        if not isinstance(dimension, Choices) and dimension.step is None:
            message = f'a grid needs a finite number of values, and "{name}" is a range of numbers without a step'
            hint = f'list the values of "{name}", give it a `step`, or choose another sampler'
            yield ColumnProblem(("space", name) if written else ("sampler",), "bad-space", message, hint=hint)


TUNE = """steps:
  data: {uses: dataset.hcp}
  split: {uses: data.split, with: {table: "${{ steps.data.journeys }}", strategy: entity, by: hcp_id}}
  tune:
    uses: optuna.tune
    with:
      train: ${{ steps.split.train }}
      validation: ${{ steps.split.validation }}
      target: target
      features: [brand]
"""
CODES = (
    Code(
        "bad-space",
        "A search space that cannot be searched",
        "A range has values that the library refuses, a condition (`when`) that is never met or depends on itself, or "
        "is infinite for a grid. In programs also: it has none of the known forms, or is empty.",
        "Write the range as the hint says.",
        TUNE + "      space: {subsample: {type: float, low: 0.5, high: 1.5}}\n",
        TUNE + "      space: {subsample: {type: float, low: 0.5, high: 1.0}}\n",
    ),
)
