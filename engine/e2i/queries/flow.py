"""Turns findings of a query into problems of a step. In: a query and its tables. Out: its column flow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from e2i.catalog.columns import ColumnProblem, Flow, Path
from e2i.queries.planned import Tables, planned
from e2i.queries.syntax import Finding


def of_query(query: str, tables: Tables, params: Mapping[str, Any], path: Path) -> Flow:
    """Returns what is known of the output ``table`` of a query that is written at ``path``."""
    try:
        found = planned(query, tables, params)
    except ImportError:  # without DuckDB, columns are unknown
        return Flow()
    problems = [problem(finding, query, path) for finding in found.findings]
    return Flow({"table": found.table} if found.table is not None and not problems else {}, problems)


def problem(finding: Finding, query: str, path: Path) -> ColumnProblem:
    """Returns a finding as a problem of the text at ``path``."""
    at = None if finding.offset is None else (query, finding.offset)
    return ColumnProblem(path, finding.code, finding.message, finding.name, finding.known, finding.hint, at=at)
