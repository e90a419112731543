"""How models flow through ``bentoml.*``. In: parameters, as far as they are known. Out: the same of the outputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from e2i.catalog.columns import ColumnProblem, Flow, Given, Known, KnownModel, KnownTable
from e2i.catalog.files import Files
from e2i.estimators import columns


def package(given: Given, files: Files) -> Flow:
    return Flow(_same("bento", given["model"]))


def serve(given: Given, files: Files) -> Flow:
    return Flow(_same("service", given["bento"]))


def predict(given: Given, files: Files) -> Flow:
    """The answers' columns depend on the classes, which only the data tells; a number has one column."""
    served, model = given["service"], given["model"]
    if not isinstance(served, KnownModel) or served.features is None:
        return Flow({}, columns.uses({"model": model, "table": given["table"]}))
    problems = list(columns.lacking(given["table"], ("table",), served.features, "what the served model learnt from"))
    problems += _rows(given["input"], served.features)
    if isinstance(model, KnownModel) and model.features not in (None, served.features):
        problems.append(
            ColumnProblem(("model",), "wrong-model", "this model learnt from other features than the served one")
        )
    known = KnownTable({"prediction": "double"})
    return Flow({"predictions": known} if served.task == "regression" else {}, problems)


def _rows(rows: Any, features: tuple[str, ...]) -> list[ColumnProblem]:
    """What rows that are written out lack of the model's features."""
    if not isinstance(rows, list | tuple) or not all(isinstance(row, Mapping) for row in rows):
        return []
    missing = [name for name in features if not any(name in row for row in rows)]
    if not missing:
        return []
    message = f"the rows lack {', '.join(missing[:5])}, which the served model learnt from"
    return [ColumnProblem(("input",), "unknown-column", message, hint=f"it takes {', '.join(features)}")]


def _same(output: str, model: Any) -> dict[str, Known]:
    """What is known of the model is known of what is made from it."""
    return {output: model} if isinstance(model, KnownModel) else {}
