"""Derive the columns of ``opik.evaluate`` while planning. In: known parameters. Out: columns and problems."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from e2i.catalog.columns import ColumnProblem, Flow, Given, KnownKeys, KnownTable, settled
from e2i.catalog.files import Files
from e2i.tools.python.columns import find


def evaluate(given: Given, files: Files) -> Flow:
    """Return the columns of the scores, if the metrics are known, and a problem of cases without outputs."""
    table = given["table"]
    problems: list[ColumnProblem] = []
    if given["task"] is None and isinstance(table, KnownTable) and "output" not in table.columns:
        message, hint = (
            'the table has no column "output", and there is no `task`',
            f"columns: {', '.join(table.columns)}",
        )
        problems.append(ColumnProblem(("table",), "unknown-column", message, hint=hint))
    problems += [*_unfound("task", given["task"], files), *_unfound("scorer", given["scorer"], files)]
    names = _names(given)
    if names is None:
        return Flow({}, problems)
    types = {"case": "int64", "output": "string"} | dict.fromkeys(names, "double")
    return Flow({"table": KnownTable(types), "scores": KnownKeys(tuple(names))}, problems)


def _unfound(parameter: str, function: Any, files: Files) -> list[ColumnProblem]:
    """Return the problem of a file or a function that does not exist."""
    if not isinstance(function, Mapping):
        return []
    _, problems = find(function.get("file"), function.get("function"), files)
    return [replace(problem, path=(parameter, *problem.path)) for problem in problems]


def _names(given: Given) -> list[str] | None:
    """Return the names of the metrics; None when they are not known."""
    metrics, scorer = given["metrics"], given["scorer"]
    if not settled([metrics, scorer]) or not isinstance(metrics, list | tuple):
        return None
    own: Any = scorer.get("function") if isinstance(scorer, Mapping) else None
    return [str(name) for name in metrics] + ([own] if isinstance(own, str) else [])
