"""Turns findings of a query into problems of a step. In: a query and its tables. Out: its column flow."""

from __future__ import annotations

from e2i.catalog.columns import ColumnProblem, Flow, Path
from e2i.queries.planned import Tables, planned
from e2i.queries.syntax import Finding, Query
from e2i.spec.problems import Code


def of_query(query: Query, tables: Tables, path: Path) -> Flow:
    """Returns what is known of the output ``table`` of a query that is written at ``path``."""
    try:
        found = planned(query, tables)
    except ImportError:  # without DuckDB, columns are unknown
        return Flow()
    problems = [problem(finding, query.text, path) for finding in found.findings]
    return Flow({"table": found.table} if found.table is not None and not problems else {}, problems)


def problem(finding: Finding, query: str, path: Path) -> ColumnProblem:
    """Returns a finding as a problem of the text at ``path``."""
    at = None if finding.offset is None else (query, finding.offset)
    return ColumnProblem(path, finding.code, finding.message, finding.name, finding.known, finding.hint, at=at)


_QUERY = """steps:
  data: {uses: dataset.hcp}
  rates:
    uses: sql.query
    with:
      tables: {journeys: "${{ steps.data.journeys }}"}
      query: SELECT """
CODES = (
    Code(
        "bad-query",
        "A query that cannot be understood",
        "A query is bound to its tables before the run. A syntax error, an unknown table and types that do not fit are "
        "found with their position in the query.",
        "The message names the place. Cast a column that has another type, or compare columns of the same type.",
        _QUERY + "brand, sum(region) AS total FROM journeys GROUP BY brand\n",
        _QUERY + "brand, sum(outcome) AS total FROM journeys GROUP BY brand\n",
    ),
    Code(
        "query-refused",
        "A query that does more than read its tables",
        "A query is one SELECT over the tables in `tables`. Files, other statements, the clock, chance and the session "
        "are out of its reach, so equal tables give equal results.",
        "Load files with `data.load`, pass times in `params`, sample with `table.sample`.",
        _QUERY + "* FROM read_csv('visits.csv')\n",
        _QUERY + "* FROM journeys\n",
    ),
    Code(
        "query-order",
        "A result that depends on an order that the query does not name",
        "Rows have no order of their own. LIMIT, DISTINCT ON, `first`, `list`, `row_number` and frames of ROWS would "
        "give other results when the data grows.",
        "Add ORDER BY where the message says, down to columns that identify a row.",
        _QUERY + "hcp_id, outcome FROM journeys LIMIT 10\n",
        _QUERY + "hcp_id, outcome FROM journeys ORDER BY outcome, hcp_id LIMIT 10\n",
    ),
)
