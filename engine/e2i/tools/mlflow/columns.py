"""Derive the outputs of ``mlflow.*`` while planning. In: known parameters. Out: what is known of the outputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec.structs import replace

from e2i.catalog.columns import ColumnProblem, Flow, Given, KnownKeys, KnownModel, KnownReport
from e2i.catalog.files import Files
from e2i.estimators import columns
from e2i.estimators.metrics import METRICS

CARD = "model.card"


def register(given: Given, files: Files) -> Flow:
    """Return the version of the model. Its card is a report of ``model.card``."""
    model, card = given["model"], given.get("card")
    problems = []
    if isinstance(card, KnownReport) and card.action != CARD:
        message = f"`card` takes a card of {CARD}, and this is a report of {card.action}"
        hint = f"add a step of {CARD}, and pass its output `card`"
        problems.append(ColumnProblem(("card",), "wrong-type", message, hint=hint))
    return Flow({"version": model} if isinstance(model, KnownModel) else {}, problems)


def load(given: Given, files: Files) -> Flow:
    """Return the outputs of a load. Both may be null if the spec asks for it."""
    return Flow(may_be_null=frozenset({"model", "version"} if given["missing"] is None else ()))


def find(given: Given, files: Files) -> Flow:
    """Return the outputs of a search. All that describe the version may be null if the spec asks for it."""
    nulls = {"model", "version", "value", "stage"} if given["missing"] is None else ()
    return Flow(may_be_null=frozenset(nulls))


def compare(given: Given, files: Files) -> Flow:
    """Return the metrics of the candidate, and whether the outputs of the champion may be null."""
    model = given["model"]
    task = model.task if isinstance(model, KnownModel) else None
    names = KnownKeys(tuple(name for name, metric in METRICS.items() if task in (None, metric.task)))
    nulls = {"improvement", "champion", "version"} if given["no_champion"] == "better" else ()
    problems = tuple(columns.uses({"model": model, "table": given["table"]}, target=True))
    return Flow({"candidate": names}, problems, may_be_null=frozenset(nulls))


def promote(given: Given, files: Files) -> Flow:
    version = given["version"]
    known = isinstance(version, KnownModel)
    return Flow({"version": version} if known else {}, tuple(_judged(version, given["if_better"])))


def _judged(version: Any, ask: Any) -> Iterator[ColumnProblem]:
    """Yield problems of the rows that a version is compared on."""
    if isinstance(ask, Mapping) and "table" in ask:
        if isinstance(version, KnownModel) and version.task == "effect":
            message = f'the version is a model of effects on "{version.target}", which no metric compares with a column'
            hint = "leave `if_better` out, and judge effects by causal.refute"
            yield ColumnProblem(("if_better",), "wrong-task", message, hint=hint)
            return
        for problem in columns.uses({"model": version, "table": ask["table"]}, target=True):
            yield replace(problem, path=("if_better", *problem.path))
