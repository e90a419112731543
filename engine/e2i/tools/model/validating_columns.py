"""Derive the outputs of ``model.validation_curve`` while planning. In: known parameters. Out: curve, problems."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from e2i.catalog.columns import ColumnProblem, Flow, Given, KnownTable, settled
from e2i.catalog.files import Files
from e2i.estimators import algorithms
from e2i.estimators.bounds import BOUNDS
from e2i.spec.problems import Code
from e2i.tools.model import tables
from e2i.tools.model.learning_columns import judged_fit


def validation_curve(given: Given, files: Files) -> Flow:
    problems = [*judged_fit(given, "held_out"), *_varied(given)]
    return Flow({"curve": KnownTable(tables.VALIDATION)}, problems)


def _varied(given: Given) -> Iterator[ColumnProblem]:
    """Yield a hyperparameter that the algorithm lacks or that is fixed too, and values that it refuses or repeats."""
    parameter, values, params = given.get("parameter"), given.get("values"), given.get("params")
    algorithm = algorithms.known(given.get("algorithm"))
    if not isinstance(parameter, str):
        return
    if algorithm is not None and parameter not in algorithm.params:
        message = f'{given["algorithm"]} has no hyperparameter "{parameter}"'
        yield ColumnProblem(("parameter",), "unknown-hyperparameter", message, parameter, algorithm.params)
        return
    if isinstance(params, Mapping) and parameter in params:
        message = f'"{parameter}" is varied, so that its value in `params` has no effect'
        yield ColumnProblem(("params", parameter), "bad-varied-value", message, at_key=True, take_out=True)
    bound = None if algorithm is None else BOUNDS.get(algorithm.of or str(given["algorithm"]), {}).get(parameter)
    known = list(values) if isinstance(values, list | tuple) else []
    for place, value in enumerate(known):
        if settled(value) and value in known[:place]:
            yield ColumnProblem(("values", place), "bad-varied-value", f"the value {value!r} is listed twice")
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if bound is not None and is_number and not bound.allows(value):
            message = f'{given["algorithm"]} needs "{parameter}" {bound}, not {value:g}'
            yield ColumnProblem(("values", place), "bad-varied-value", message, hint="list values within these bounds")


_CURVE = """steps:
  data: {uses: dataset.hcp}
  split: {uses: data.split, with: {table: "${{ steps.data.journeys }}", strategy: entity, by: hcp_id}}
  curve:
    uses: model.validation_curve
    with:
      table: ${{ steps.split.train }}
      held_out: ${{ steps.split.test }}
      target: target
      features: [region, call_frequency]
      parameter: learning_rate
"""
CODES = (
    Code(
        "bad-varied-value",
        "Values of a validation curve that cannot be compared",
        "Each value is fitted once. A value that the algorithm refuses, one that is listed twice, and a value of the "
        "same hyperparameter in `params` are mistakes.",
        "List each value once, within the bounds of the hint.",
        _CURVE + "      values: [0.1, -0.3]\n",
        _CURVE + "      values: [0.1, 0.3]\n",
    ),
)
