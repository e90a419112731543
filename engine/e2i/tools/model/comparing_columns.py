"""Derive the outputs of ``model.compare`` while planning. In: known parameters. Out: tables and problems."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import get_args

from e2i.catalog.columns import ColumnProblem, Flow, Given, KnownTable, absent
from e2i.catalog.files import Files
from e2i.estimators import columns
from e2i.estimators.metrics import MetricName
from e2i.tools.model import tables
from e2i.tools.model.judging_columns import wrong_metric
from e2i.tools.model.known_candidates import common, known_models


def compare(given: Given, files: Files) -> Flow:
    models, table = list(known_models(given["models"])), given["table"]
    problems: list[ColumnProblem] = []
    for model in dict.fromkeys(models):
        problems += columns.uses({"model": model, "table": table}, target=True)
    problems += unlike(sorted({model.target for model in models if model.target}), "target", "compare")
    problems += unlike(sorted({model.task for model in models if model.task}), "task", "compare")
    problems += absent(table, ("group",), given.get("group"))
    task = common({model.task for model in models if model.task})  # models of different tasks are not compared
    problems += wrong_metric(("metric",), given.get("metric"), task, able=get_args(MetricName))
    problems += _reference(given)
    return Flow({"differences": KnownTable(tables.DIFFERENCES)}, tuple(dict.fromkeys(problems)))


def unlike(found: list[str], what: str, verb: str) -> Iterator[ColumnProblem]:
    """Yield a problem when models have several targets, or tasks. ``verb``: what is done with them."""
    if len(found) > 1:
        message = f"the models have different {what}s: {', '.join(found)}"
        yield ColumnProblem(("models",), "wrong-task", message, hint=f"{verb} models of one {what}")


def _reference(given: Given) -> Iterator[ColumnProblem]:
    """Yield a problem when the reference is not among models that have names."""
    models, name = given["models"], given.get("reference")
    if isinstance(models, Mapping) and isinstance(name, str) and name not in models:
        yield ColumnProblem(("reference",), "unknown-name", f'no model is named "{name}"', name, tuple(models))
