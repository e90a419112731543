"""Derive what judging an effect model gives while planning: ``causal.validate``, ``compare`` and ``policy``.

In: known parameters. Out: columns, and problems of rows that cannot judge a model.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from e2i.catalog.columns import ColumnProblem, Flow, Given, KnownModel, KnownTable, absent, settled
from e2i.catalog.files import Files
from e2i.estimators.columns import lacking, seen
from e2i.tools.causal.design_columns import EFFECT
from e2i.tools.causal.learners import LEARNERS

GROUPS = {"group": "int64", "rows": "int64", **dict.fromkeys(("predicted", *EFFECT), "double")}
CURVE = dict.fromkeys(("share", "advantage", "advantage_low", "advantage_high", "gain"), "double")
RANKING = {
    "candidate": "string",
    "estimator": "string",
    **dict.fromkeys(("autoc", "autoc_low", "autoc_high", "qini", "slope", "calibration", "score"), "double"),
    **dict.fromkeys(("behind", "behind_low", "behind_high"), "double"),
}
VALUES = {
    "policy": "string",
    **dict.fromkeys(("treated", "value", "value_low", "value_high"), "double"),
    **dict.fromkeys(("advantage", "advantage_low", "advantage_high"), "double"),
}
DECIDED = {"predicted_effect": "double", "cost": "double", "rank": "int64", "treat": "bool"}


def validate(given: Given, files: Files) -> Flow:
    """Return the tables of a validation, and a problem for rows that the model has seen."""
    tables = {"groups": KnownTable(GROUPS), "curve": KnownTable(CURVE)}
    return Flow(tables, [*_judged(given["table"], given.get("model"))])


def compare(given: Given, files: Files) -> Flow:
    """Return the ranking and what all candidates share, and a problem for rows that one of them has seen."""
    models = dict.fromkeys(_candidates(given.get("candidates")))
    problems = dict.fromkeys(problem for model in models for problem in _judged(given["table"], model))
    problems |= dict.fromkeys(_instruments(models))
    targets = {model.target for model in models if isinstance(model, KnownModel)}
    features = {model.features for model in models if isinstance(model, KnownModel)}
    best = (
        KnownModel(next(iter(targets)), next(iter(features)), "effect")
        if len(targets) == len(features) == 1
        else KnownModel()
    )
    return Flow({"ranking": KnownTable(RANKING), "model": best}, list(problems))


def policy(given: Given, files: Files) -> Flow:
    """Return the decisions, and problems of tables that lack a column or have rows that the model has seen."""
    table, held_out, model = given["table"], given["held_out"], given.get("model")
    learn_from, cost, keep = given.get("learn_from"), given.get("cost"), given.get("keep")
    problems = [*absent(table, ("keep",), keep), *needed(table, model), *_judged(held_out, model, "held_out")]
    if isinstance(learn_from, KnownTable):
        problems += seen(held_out, ("held_out",), learn_from.rows)
    for other in (table, held_out, learn_from):
        problems += absent(other, ("cost",), cost)
    outputs = {"values": KnownTable(VALUES)}
    if not isinstance(table, KnownTable) or not settled(keep):
        return Flow(outputs, problems)
    kept = table if keep is None else table.only(keep)
    hint = "list the columns to copy in `keep`, without it"
    problems += [
        ColumnProblem(("table",), "duplicate-column", f'the table already has a column "{name}"', hint=hint)
        for name in DECIDED
        if name in kept.columns
    ]
    outputs["decisions"] = kept.plus(DECIDED)
    outputs["chosen"] = kept.plus(DECIDED).without(["treat"]).chosen("")
    return Flow(outputs, problems)


def _candidates(candidates: Any) -> Iterator[Any]:
    """Yield what is known of each candidate, in any form that a spec allows."""
    listed = candidates if isinstance(candidates, list | tuple) else ()
    for item in candidates.values() if isinstance(candidates, Mapping) else listed:
        found = item.get("outputs", item) if isinstance(item, Mapping) else item
        yield found.get("model") if isinstance(found, Mapping) else found


def _judged(table: Any, model: Any, name: str = "table") -> Iterator[ColumnProblem]:
    """Yield problems of rows that are to judge a model: without its columns, or those that it was estimated on."""
    yield from needed(table, model, name)
    if not isinstance(model, KnownModel):
        return
    if model.binary is False:
        why = "the model's treatment is an amount, and effects are judged for two values only"
        yield ColumnProblem((name,), "bad-treatment", why, hint="estimate the effect of two of its values")
    if model.target is not None:
        yield from lacking(table, (name,), [model.target], "the outcome of the model")
    yield from lacking(table, (name,), model.judged_by, "part of the model's question")
    yield from seen(table, (name,), model.trained_on)


def _instruments(models: Iterable[Any]) -> Iterator[ColumnProblem]:
    """Yield a problem of effects by an instrument beside others: they are effects on different people."""
    known = [model for model in models if isinstance(model, KnownModel) and model.algorithm in LEARNERS]
    by, others = (
        [str(model.algorithm) for model in known if LEARNERS[str(model.algorithm)].instrumented == instrumented]
        for instrumented in (True, False)
    )
    if by and others:
        why = f"{by[0]} estimates effects on those whom an instrument moves, {others[0]} those on all"
        hint = "compare estimates by one instrument, or estimates without one"
        yield ColumnProblem(("candidates",), "other-question", why, hint=hint)


def needed(table: Any, model: Any, name: str = "table") -> Iterator[ColumnProblem]:
    """Return a problem when the table lacks effect modifiers of the model."""
    features = model.features if isinstance(model, KnownModel) else None
    return lacking(table, (name,), features or (), "effect modifiers of the model")
