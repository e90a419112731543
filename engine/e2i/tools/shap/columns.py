"""Check ``shap.explain`` while planning, and derive its columns. In: known parameters. Out: columns and problems."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from e2i.catalog.columns import ColumnProblem, Flow, Given, Known, KnownKeys, KnownModel, KnownTable, absent, settled
from e2i.catalog.files import Files
from e2i.estimators import columns
from e2i.spec.problems import Code
from e2i.tools.shap import choice

FIRST, LAST = ("row", "class"), ("expected_value", "margin")


def explain(given: Given, files: Files) -> Flow:
    """Return the columns, if the model's features are known."""
    if isinstance(form := given["model"], Mapping):
        listed = form.get("features")
        names = tuple(listed) if isinstance(listed, list | tuple) and settled(listed) else None
        given = {**given, "model": KnownModel(features=names)}
    problems, model, by = columns.uses(given), given["model"], None
    if isinstance(instances := given.get("instances"), Mapping):
        by = instances.get("by")
        problems += absent(given["table"], ("instances", "by"), by)
        problems += _unlike(given["table"], by, instances.get("keys"))
    if not isinstance(model, KnownModel):
        return Flow({}, problems)
    problems += _unfit(given, model)
    if model.features is None:
        return Flow({}, problems)
    if not model.features:
        message = "the effect model has no effect modifiers: its effect is the same for every row"
        hint = "estimate it with `effect_modifiers`"
        return Flow({}, [*problems, ColumnProblem(("model",), "bad-feature", message, hint=hint)])
    problems += columns.lacking(given["background"], ("background",), model.features, "used as features by the model")
    outputs: dict[str, Known] = {"importance": KnownKeys(model.features)}
    if given.get("instances") is None or isinstance(by, str):
        outputs |= _tables(given, model.features, by)
    return Flow(outputs, problems)


def beside(name: str, features: Collection[str]) -> str:
    """Return the name of a column beside the features: with underscores at its end if a feature has that name."""
    while name in features:
        name += "_"
    return name


def key_name(by: str, features: Collection[str]) -> str:
    """Return the name of the column with the keys of instances, beside all others."""
    return beside(by, [*features, *(beside(name, features) for name in (*FIRST, "feature", *LAST))])


def _tables(given: Given, features: tuple[str, ...], by: str | None) -> dict[str, Known]:
    """Return the columns of the values, and of the interactions if they are asked for."""
    row, label, feature = (beside(name, features) for name in ("row", "class", "feature"))
    first: dict[str, str | None] = {row: "int64"}
    if by is not None:
        table = given["table"]
        kind = table.columns.get(by) if isinstance(table, KnownTable) else None
        first[key_name(by, features)] = kind if kind in ("string", "int64") else None
    first[label] = "string"
    numbers: dict[str, str | None] = dict.fromkeys(features, "double")
    last: dict[str, str | None] = {beside(name, features): "double" for name in LAST}
    found: dict[str, Known] = {"values": KnownTable({**first, **numbers, **last})}
    if given.get("interactions") is True:
        found["interactions"] = KnownTable({**first, feature: "string", **numbers})
    return found


def _unfit(given: Given, model: KnownModel) -> Iterator[ColumnProblem]:
    """Return what the explainer, or the interactions, cannot do for the model."""
    explainer, algorithm = given.get("explainer"), model.algorithm
    if not isinstance(explainer, str):
        return
    if refused := choice.misfit(explainer, algorithm):
        yield ColumnProblem(("explainer",), "wrong-explainer", refused[0], hint=refused[1])
    elif model.features is not None and (refused := choice.too_many(explainer, len(model.features))):
        yield ColumnProblem(("explainer",), "too-many-features", refused[0], hint=refused[1])
    elif given.get("interactions") is True and explainer != "exact":
        yield from _pairless(given, model)


def _pairless(given: Given, model: KnownModel) -> Iterator[ColumnProblem]:
    table = given["table"]
    texts = [
        name
        for name in model.features or ()
        if isinstance(table, KnownTable) and (table.columns.get(name) or "").startswith(("string", "dictionary"))
    ]
    if model.algorithm == "LightGBM" and texts:
        message = f'LightGBM has no interactions of categories, and "{texts[0]}" is one'
        hint = "set `explainer: exact` for few features, or train XGBoost"
        yield ColumnProblem(("interactions",), "no-interactions", message, hint=hint)
    elif model.algorithm is not None and choice.native(model.algorithm) == "linear":
        message = f"{model.algorithm} is a sum over its features: the interactions of all pairs are 0"
        yield ColumnProblem(("interactions",), "no-interactions", message, hint="leave them out", severity="warning")


def _unlike(table: Any, by: Any, keys: Any) -> Iterator[ColumnProblem]:
    """Return the first key that cannot be in its column: a text among numbers, or a number among texts."""
    kind = table.columns.get(by) if isinstance(table, KnownTable) and isinstance(by, str) else None
    wanted = {"string": str, "int64": int, "int32": int}.get(str(kind))
    if wanted is None or not isinstance(keys, list | tuple):
        return
    for index, key in enumerate(keys):
        if isinstance(key, str | int) and not isinstance(key, wanted):
            what = "texts" if wanted is str else "whole numbers"
            hint = "write it in quotes" if wanted is str else "write it without quotes"
            message = f'the key {key!r} is in no row: the column "{by}" has {what}'
            yield ColumnProblem(("instances", "keys", index), "unlike-key", message, hint=hint)
            return


_EXPLAIN = """steps:
  data: {uses: dataset.hcp}
  train:
    uses: model.train
    with: {table: "${{ steps.data.journeys }}", target: target, features: [region, call_frequency], algorithm: LightGBM}
  explain:
    uses: shap.explain
    with: {model: "${{ steps.train.model }}", table: "${{ steps.data.journeys }}", """
CODES = (
    Code(
        "wrong-explainer",
        "An explainer that does not suit the model",
        "`tree` needs a model of trees, and `linear` one with coefficients.",
        "Leave `explainer` out, or use one that suits every model: `permutation`, `kernel` or `exact`.",
        _EXPLAIN + "explainer: linear}\n",
        _EXPLAIN + "explainer: tree}\n",
    ),
    Code(
        "too-many-features",
        "Too many features for the exact explainer",
        "`exact` asks for the predictions of every combination of features: 4,096 for each row with 12 features.",
        "Use `permutation`, or `auto`.",
        example="explainer: exact, for a model of 20 features",
    ),
    Code(
        "unlike-key",
        "A key of another type than its column",
        "Texts and numbers are different: the id 00012 is a text, and 12 a number.",
        "Write the key as the column has it, with or without quotes.",
        _EXPLAIN + "instances: {by: hcp_id, keys: [12]}}\n",
        _EXPLAIN + 'instances: {by: hcp_id, keys: ["12"]}}\n',
    ),
)
