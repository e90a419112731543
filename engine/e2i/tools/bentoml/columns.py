"""Check models and columns of ``bentoml.*`` while planning. In: known parameters. Out: what is known of the outputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from e2i.catalog.columns import ColumnProblem, Flow, Given, Known, KnownModel, KnownTable
from e2i.catalog.files import Files
from e2i.estimators import columns
from e2i.spec.problems import Code


def package(given: Given, files: Files) -> Flow:
    return Flow(_same("bento", given["model"]))


def serve(given: Given, files: Files) -> Flow:
    return Flow(_same("service", given["bento"]))


def predict(given: Given, files: Files) -> Flow:
    """Return the columns of the predictions, if known. For classification they depend on the classes in the data."""
    served, model = given["service"], given["model"]
    if not isinstance(served, KnownModel) or served.features is None:
        return Flow({}, columns.uses({"model": model, "table": given["table"]}))
    problems = list(columns.lacking(given["table"], ("table",), served.features, "used by the served model"))
    problems += _rows(given["input"], served.features)
    if isinstance(model, KnownModel) and model.features not in (None, served.features):
        problems.append(
            ColumnProblem(("model",), "wrong-model", "the features of this model differ from those of the served model")
        )
    known = KnownTable({"prediction": "double"})
    return Flow({"predictions": known} if served.task == "regression" else {}, problems)


def _rows(rows: Any, features: tuple[str, ...]) -> list[ColumnProblem]:
    """Report features that are missing in rows written in the spec."""
    if not isinstance(rows, list | tuple) or not all(isinstance(row, Mapping) for row in rows):
        return []
    missing = [name for name in features if not any(name in row for row in rows)]
    if not missing:
        return []
    message = f"the rows lack {', '.join(missing[:5])}, used by the served model"
    return [ColumnProblem(("input",), "unknown-column", message, hint=f"the model needs {', '.join(features)}")]


def _same(output: str, model: Any) -> dict[str, Known]:
    """Return the known model as known for the output derived from it."""
    return {output: model} if isinstance(model, KnownModel) else {}


_SERVE = """steps:
  data: {uses: dataset.hcp}
  train:
    uses: model.train
    with: {table: "${{ steps.data.journeys }}", target: target, features: [brand, region]}
  other:
    uses: model.train
    with: {table: "${{ steps.data.journeys }}", target: target, features: [brand]}
  package: {uses: bentoml.package, with: {model: "${{ steps.train.model }}", name: hcp}}
  serve: {uses: bentoml.serve, with: {bento: "${{ steps.package.bento }}"}}
  smoke:
    uses: bentoml.predict
    with:
      service: ${{ steps.serve.service }}
      table: ${{ steps.data.journeys }}
"""
CODES = (
    Code(
        "wrong-model",
        "A model other than the one served",
        "The predictions of the service would be compared with those of a model trained on other features.",
        "Compare with the model that was packaged.",
        _SERVE + "      model: ${{ steps.other.model }}\n",
        _SERVE + "      model: ${{ steps.train.model }}\n",
    ),
)
