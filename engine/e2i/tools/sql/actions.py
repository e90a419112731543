"""Run ``sql.query``. In: parameters and the step's context. Out: a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from e2i.queries import running
from e2i.tools.sql import QueryOutputs, QueryParams

if TYPE_CHECKING:
    from e2i.catalog.context import StepContext


def query(params: QueryParams, ctx: StepContext) -> QueryOutputs:
    """Run the query. Raises StepError for one that is refused, wrong, or fails on its rows."""
    return QueryOutputs(table=running.run(params.query, params.tables, params.params, params.memory, ctx))
