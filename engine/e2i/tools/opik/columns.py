"""Derive the columns of ``opik.evaluate`` while planning. In: known parameters. Out: columns and problems."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from e2i.catalog.columns import ColumnProblem, Flow, Given, KnownKeys, KnownTable, settled
from e2i.catalog.files import Files


def evaluate(given: Given, files: Files) -> Flow:
    """Return the columns of the scores, if the metrics are known, and a problem of cases without outputs."""
    problems, table = [], given["table"]
    if given["task"] is None and isinstance(table, KnownTable) and "output" not in table.columns:
        message, hint = (
            'the table has no column "output", and there is no `task`',
            f"columns: {', '.join(table.columns)}",
        )
        problems.append(ColumnProblem(("table",), "unknown-column", message, hint=hint))
    names = _names(given)
    if names is None:
        return Flow({}, problems)
    types = {"case": "int64", "output": "string"} | dict.fromkeys(names, "double")
    return Flow({"table": KnownTable(types), "scores": KnownKeys(tuple(names))}, problems)


def _names(given: Given) -> list[str] | None:
    """Return the names of the metrics; None when they are not known."""
    metrics, scorer = given["metrics"], given["scorer"]
    if not settled([metrics, scorer]) or not isinstance(metrics, list | tuple):
        return None
    own: Any = scorer.get("function") if isinstance(scorer, Mapping) else None
    return [str(name) for name in metrics] + ([own] if isinstance(own, str) else [])
