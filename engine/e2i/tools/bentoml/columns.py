"""Check models and columns of ``bentoml.*`` while planning. In: known parameters. Out: what is known of the outputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from e2i.catalog.columns import UNKNOWN, ColumnProblem, Flow, Given, Known, KnownModel, KnownTable, absent, settled
from e2i.catalog.files import Files
from e2i.estimators import columns
from e2i.spec.problems import Code


def package(given: Given, files: Files) -> Flow:
    model = given["model"]
    problems = []
    if isinstance(model, KnownModel) and model.task == "effect" and model.features == ():
        message = "the effect model has no effect modifiers: a service would give every row the same answer"
        hint = "estimate it with `effect_modifiers`"
        problems.append(ColumnProblem(("model",), "bad-feature", message, hint=hint))
    return Flow(_same("bento", model), problems)


def serve(given: Given, files: Files) -> Flow:
    return Flow(_same("service", given["bento"]))


def deploy(given: Given, files: Files) -> Flow:
    """Return what the endpoint serves. The reference for the drift must have the features."""
    bento, table = given["bento"], given["reference"]
    features = bento.features or () if isinstance(bento, KnownModel) else ()
    return Flow(
        _same("endpoint", bento), list(columns.lacking(table, ("reference",), features, "used by the deployed model"))
    )


def update_traffic(given: Given, files: Files) -> Flow:
    """Return what the endpoint serves. Its callers send rows of one form: the features must be the same."""
    return _on_endpoint(given, "bento")


def rollback(given: Given, files: Files) -> Flow:
    return _on_endpoint(given, "to")


def metrics(given: Given, files: Files) -> Flow:
    return Flow(
        {
            "bentos": KnownTable(dict(METRICS)),
            "drift": KnownTable({"feature": "string", "psi": "double", "rows": "int64"}),
        }
    )


def _on_endpoint(given: Given, parameter: str) -> Flow:
    endpoint, bento = given["endpoint"], given[parameter]
    problems = []
    features = [one.features for one in (endpoint, bento) if isinstance(one, KnownModel) and one.features is not None]
    if len(features) == 2 and features[0] != features[1]:
        message = "the features of this Bento differ from those that the endpoint's callers send"
        hint = f"they send {', '.join(features[0][:10])}; deploy it to an endpoint of its own"
        problems.append(ColumnProblem((parameter,), "other-features", message, hint=hint))
    known = bento if isinstance(bento, KnownModel) else endpoint
    return Flow(_same("endpoint", known), problems)


def predict(given: Given, files: Files) -> Flow:
    """Return the columns of the predictions, if known. For classification they depend on the classes in the data."""
    served, model, table, keep = given["service"], given["model"], given["table"], given["keep"]
    if not isinstance(served, KnownModel):
        served = given["endpoint"]
    problems = [*absent(table, ("key",), given["key"]), *absent(table, ("keep",), keep)]
    if not isinstance(served, KnownModel) or served.features is None:
        return Flow({}, [*problems, *columns.uses({"model": model, "table": table})])
    problems += list(columns.lacking(table, ("table",), served.features, "used by the served model"))
    problems += _rows(given["input"], served.features)
    if isinstance(model, KnownModel) and model.features not in (None, served.features):
        problems.append(
            ColumnProblem(("model",), "wrong-model", "the features of this model differ from those of the served model")
        )
    if given["key"] is UNKNOWN or not settled(keep) or served.task not in ("regression", "effect"):
        return Flow({}, problems)
    if keep and not isinstance(table, KnownTable):
        return Flow({}, problems)
    found = columns.EFFECTS if served.task == "effect" else {"prediction": "double"}
    known = KnownTable({**found, **({} if given["key"] is None else {"bento": "string"})})
    if isinstance(table, KnownTable):
        known = table.only(keep).plus(known.columns)
    return Flow({"predictions": known}, problems)


METRICS = {
    "bento": "string", "share": "double", "requests": "int64", "failures": "int64", "mean_seconds": "double",
    "p50_seconds": "double", "p95_seconds": "double", "copies": "int64", "failed_copies": "int64",
    "dropped_copies": "int64", "compared_rows": "int64", "different_rows": "int64", "mean_difference": "double",
    "largest_difference": "double",
}  # fmt: skip
"""The columns of the figures of an endpoint's Bentos."""


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
_TRAFFIC = """steps:
  data: {{uses: dataset.hcp}}
  train:
    uses: model.train
    with: {{table: "${{{{ steps.data.journeys }}}}", target: target, features: [brand, region]}}
  train_other:
    uses: model.train
    with: {{table: "${{{{ steps.data.journeys }}}}", target: target, features: [brand]}}
  package: {{uses: bentoml.package, with: {{model: "${{{{ steps.train.model }}}}", name: hcp}}}}
  other: {{uses: bentoml.package, with: {{model: "${{{{ steps.train_other.model }}}}", name: hcp_two}}}}
  deploy: {{uses: bentoml.deploy, with: {{bento: "${{{{ steps.package.bento }}}}", name: hcp}}}}
  canary:
    uses: bentoml.update_traffic
    with: {{endpoint: "${{{{ steps.deploy.endpoint }}}}", traffic: 10, bento: "${{{{ steps.{}.bento }}}}"}}
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
    Code(
        "other-features",
        "A Bento with other features than its endpoint",
        "The callers of an endpoint send rows of one form. A Bento with other features would refuse its share of them.",
        "Package a model with the same features, or deploy the Bento to an endpoint of its own.",
        _TRAFFIC.format("other"),
        _TRAFFIC.format("package"),
    ),
)
