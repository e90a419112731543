"""Run ``sql.query``. In: parameters and the step's context. Out: a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from e2i.queries import running
from e2i.queries.syntax import Query
from e2i.tools.sql import QueryOutputs, QueryParams

if TYPE_CHECKING:
    from e2i.catalog.context import StepContext


def query(params: QueryParams, ctx: StepContext) -> QueryOutputs:
    """Run the query. Raises StepError for one that is refused, wrong, or fails on its rows."""
    return QueryOutputs(table=running.run(Query(params.query, params.params), params.tables, params.memory, ctx))
