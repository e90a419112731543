"""Derive the outputs of ``model.ensemble`` while planning. In: known parameters. Out: the ensemble, and problems."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import get_args

from e2i.catalog.columns import ColumnProblem, Flow, Given, Known, KnownKeys, KnownModel
from e2i.catalog.files import Files
from e2i.catalog.known_models import chosen
from e2i.estimators.algorithms import ENSEMBLE
from e2i.estimators.metrics import MetricName
from e2i.spec.problems import Code
from e2i.tools.model.comparing_columns import unlike
from e2i.tools.model.judging_columns import not_ranking, wrong_metric
from e2i.tools.model.known_candidates import common, known_models


def ensemble(given: Given, files: Files) -> Flow:
    """Return the ensemble or, where it may be the best single model, what all of these share."""
    models = list(known_models(given["models"]))
    problems = [*_unlike(models), *_without_oof(given), *_weights(given)]
    task = common({model.task for model in models if model.task})
    problems += wrong_metric(("metric",), given.get("metric"), task, able=get_args(MetricName))
    for model in models[:1]:
        problems += not_ranking(model, ("models",), "models are combined by their probabilities or amounts")
    whole = united(models)
    certain = given.get("fallback") is False or (given.get("method") == "mean" and _all_bare(given))
    outputs: dict[str, Known] = {"model": whole if certain else chosen([whole, *models])}
    if isinstance(given["models"], Mapping) and (given.get("method") != "stack" or task == "regression"):
        outputs["weights"] = KnownKeys(tuple(map(str, given["models"])))
    return Flow(outputs, problems)


def united(models: Sequence[KnownModel]) -> KnownModel:
    """Return what is known of the ensemble: the features of all, and the rows that any of them was trained on."""
    features: tuple[str, ...] | None = None
    if models and all(model.features is not None for model in models):
        features = tuple(dict.fromkeys(name for model in models for name in model.features or ()))
    return KnownModel(
        target=common({model.target for model in models if model.target}),
        features=features,
        task=common({model.task for model in models if model.task}),
        algorithm=ENSEMBLE,
        binary=common({model.binary for model in models if model.binary is not None}),
        calibrated=False,
        threshold=False,
        level=False,
        members=tuple(dict.fromkeys(models)),
    )


def _unlike(models: Sequence[KnownModel]) -> Iterator[ColumnProblem]:
    yield from unlike(sorted({model.target for model in models if model.target}), "target", "combine")
    yield from unlike(sorted({model.task for model in models if model.task}), "task", "combine")
    if {model.binary for model in models} >= {True, False}:
        message = "the models have different classes: some have two, others more"
        yield ColumnProblem(("models",), "wrong-task", message, hint="combine models of one target")


def _items(given: Given) -> Iterator[tuple[str | int, object]]:
    models = given["models"]
    if isinstance(models, Mapping):
        yield from models.items()
    elif isinstance(models, list | tuple):
        yield from enumerate(models)


def _all_bare(given: Given) -> bool:
    return all(isinstance(item, KnownModel) for _, item in _items(given))


def _without_oof(given: Given) -> Iterator[ColumnProblem]:
    """Yield a problem for a model without predictions out of fold, when the method is fitted to them."""
    method = given.get("method")
    for key, item in _items(given) if method in ("greedy", "stack") else ():
        outputs = item.get("outputs", item) if isinstance(item, Mapping) else item
        bare = isinstance(item, KnownModel) or (isinstance(outputs, Mapping) and "oof" not in outputs)
        if bare:
            message = f"method {method} is fitted to predictions out of fold, and this is a model without any"
            hint = "pass a whole step of model.cross_validate, or use `method: mean`"
            yield ColumnProblem(("models", key), "no-oof", message, hint=hint)


def _weights(given: Given) -> Iterator[ColumnProblem]:
    models, weights = given["models"], given.get("weights")
    if not isinstance(models, Mapping) or not isinstance(weights, Mapping):
        return
    names = tuple(map(str, models))
    strange = [name for name in weights if name not in models]
    for name in strange:
        message = f'no model is named "{name}"'
        yield ColumnProblem(("weights", name), "unknown-name", message, str(name), names, at_key=True)
    if (left := [name for name in names if name not in weights]) and not strange:
        message, hint = f'the model "{left[0]}" has no weight', "give each model a weight, 0 for none"
        yield ColumnProblem(("weights",), "unknown-name", message, hint=hint)


_MODELS = """steps:
  data: {uses: dataset.hcp}
  folds: {uses: data.folds, with: {table: "${{ steps.data.journeys }}", strategy: group, by: hcp_id, folds: 3}}
  one:
    uses: model.cross_validate
    with: {table: "${{ steps.data.journeys }}", folds: "${{ steps.folds.folds }}", target: target, features: [region]}
  two:
    uses: model.cross_validate
    with: {table: "${{ steps.data.journeys }}", folds: "${{ steps.folds.folds }}", target: target, features: [brand]}
  both:
    uses: model.ensemble
    with:
      method: stack
"""
CODES = (
    Code(
        "no-oof",
        "Models that are combined without predictions out of fold",
        "greedy and stack find how models are best combined. Predictions for rows that a model was trained on would "
        "prefer the model that has learned them by heart, so they need those of model.cross_validate.",
        "Pass whole steps of `model.cross_validate`, or use `method: mean`.",
        _MODELS + '      models: {one: "${{ steps.one.model }}", two: "${{ steps.two }}"}\n',
        _MODELS + '      models: {one: "${{ steps.one }}", two: "${{ steps.two }}"}\n',
    ),
)
