"""Runs a query in a step. In: SQL, tables of the store, parameters. Out: a table in the store.

Rows stream from the mapped files of the tables into DuckDB, and from DuckDB into the file of the result. What does not
fit in the memory limit is spilled to the step's own temporary folder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from e2i.catalog.artifacts import Table
from e2i.catalog.columns import KnownTable
from e2i.errors import StepError, ToolUnavailable
from e2i.queries import arrow, session, types
from e2i.queries.planned import Planned, planned
from e2i.queries.syntax import Finding, Query, quoted
from e2i.spec import sizes, suggest
from e2i.spec.suggest import few

if TYPE_CHECKING:
    from e2i.catalog.context import QueryLimits, StepContext

BATCH = 262_144
"""Rows of one record batch of a result: a multiple of DuckDB's vectors of 2,048."""


def run(query: Query, tables: Mapping[str, Table], memory: str, ctx: StepContext) -> Table:
    """Returns the result of a query. Raises StepError for a query that is refused, wrong or fails on its rows."""
    with installed():
        found = planned(query, known(tables))
    if found.findings:
        raise failure(found.findings[0], query.text)
    return compute(found, tables, memory, ctx)


def known(tables: Mapping[str, Table]) -> dict[str, KnownTable]:
    """Returns what is known of stored tables."""
    return {name: KnownTable({column.name: column.type for column in table.columns}) for name, table in tables.items()}


def compute(
    found: Planned,
    tables: Mapping[str, Table],
    memory: str,
    ctx: StepContext,
    check: Callable[[Any], None] = lambda connection: None,
) -> Table:
    """Returns the result of a query without findings. ``check`` looks at the tables before."""
    import duckdb

    assert found.table is not None, "a query without findings has columns"
    threads = max(ctx.threads, 1) if found.is_parallel else 1
    limit = f"{sizes.parse(memory) // 1000}KB"
    limits = ctx.query_limits
    connection = session.opened(memory=limit, threads=threads, spill=ctx.scratch / "spill")
    try:
        with session.interrupted(connection, limits.seconds):
            for name, table in tables.items():
                _register(connection, name, table, ctx)
            check(connection)
            schema = arrow.schema(_typed_columns(found.table))
            batches = _batches(connection.sql(found.text).to_arrow_reader(BATCH), schema)
            return ctx.batches(schema, _bounded(batches, limits))
    except duckdb.InterruptException as error:
        message = f"the query takes longer than {limits.seconds:g} s, which specs of origin {limits.origin} may have"
        raise StepError(message, code="policy-budget", hint=_asked(limits, "query_time")) from error
    except duckdb.OutOfMemoryException as error:
        message = f"the query needs more memory than {memory}: {_first_line(error)}"
        raise StepError(message, code="out-of-memory", hint="raise `memory`, or aggregate before joining") from error
    except duckdb.Error as error:
        raise StepError(f"the query failed: {_first_line(error)}", code="query-failed", hint=_hint(error)) from error
    finally:
        connection.close()


@contextmanager
def installed() -> Iterator[None]:
    """Raises ToolUnavailable when DuckDB is not installed."""
    try:
        yield
    except ImportError as error:
        message = "the package duckdb, which runs queries, is not installed"
        raise ToolUnavailable("sql", message, code="tool-missing", hint='pip install "e2i[sql]"') from error


def _batches(reader: Any, schema: Any) -> Iterator[Any]:
    """Yields the result in the types that it was planned with, in batches of a fixed number of rows.

    DuckDB's own batches depend on the number of threads.
    """
    import pyarrow as pa

    waiting: list[Any] = []
    for batch in reader:
        waiting.append(_typed(batch, schema))
        while sum(item.num_rows for item in waiting) >= BATCH:
            rows = pa.Table.from_batches(waiting, schema)
            yield _joined(rows.slice(0, BATCH))
            waiting = rows.slice(BATCH).to_batches()
    if any(item.num_rows for item in waiting):
        yield _joined(pa.Table.from_batches(waiting, schema))


def _bounded(batches: Iterator[Any], limits: QueryLimits) -> Iterator[Any]:
    """Yields the batches. Raises StepError for more rows than the author of the spec may have."""
    rows = 0
    for batch in batches:
        rows += batch.num_rows
        if limits.rows is not None and rows > limits.rows:
            message = f"the result has more than {limits.rows:,} rows, which specs of origin {limits.origin} may have"
            raise StepError(message, code="policy-budget", hint=_asked(limits, "query_rows"))
        yield batch


def _asked(limits: QueryLimits, budget: str) -> str:
    return f"filter or aggregate earlier; the operator decides: {limits.origin}.budgets.{budget} in config/policy.yaml"


def _register(connection: Any, name: str, table: Table, ctx: StepContext) -> None:
    """Makes a table readable under its name, with timestamps in microseconds."""
    times = [column for column in table.columns if types.is_other_time(column.type)]
    if not times:
        connection.register(name, ctx.arrow(table))
        return
    stored = f"{name} as stored"  # no query can name it: it is not among its tables
    rows = ctx.arrow(table)
    if cut := [column.name for column in times if arrow.has_nanoseconds(rows[column.name])]:
        ctx.warn(f"times of {few(cut)} are cut off to microseconds, and those that differ by less become equal")
    connection.register(stored, rows)
    changed = ", ".join(
        f"CAST({quoted(column.name)} AS {types.to_duckdb(column.type)}) AS {quoted(column.name)}" for column in times
    )
    connection.execute(f"CREATE TEMP VIEW {quoted(name)} AS SELECT * REPLACE ({changed}) FROM {quoted(stored)}")


def _typed_columns(table: KnownTable) -> dict[str, str]:
    """Returns the types of a result. Raises StepError when a table has a type that no query can read."""
    typed = {name: kind for name, kind in table.columns.items() if kind is not None}
    if len(typed) < len(table.columns):
        message = "a table of the query has a column of a type that DuckDB cannot read"
        raise StepError(message, code="bad-table", hint="leave the column out with data.select")
    return typed


def _joined(rows: Any) -> Any:
    (batch,) = rows.combine_chunks().to_batches(max_chunksize=BATCH)
    return batch


def _typed(batch: Any, schema: Any) -> Any:
    import pyarrow as pa

    try:
        columns = [arrow.cast(column, field.type) for column, field in zip(batch.columns, schema, strict=True)]
    except pa.ArrowInvalid as error:
        message = f"a number of the result does not fit in its type: {_first_line(error)}"
        raise StepError(message, code="query-failed", hint="cast it to DOUBLE") from error
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def failure(finding: Finding, query: str) -> StepError:
    """Returns the error of a step whose query has a finding."""
    hint = finding.hint or (suggest.hint(finding.name, finding.known, most=40) if finding.name else None)
    where = ""
    if finding.offset is not None:
        line = query.count("\n", 0, finding.offset) + 1
        where = f" (line {line} of the query: {query.splitlines()[line - 1].strip()[:60]})"
    return StepError(f"{finding.message}{where}", code=finding.code, hint=hint)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:300]


def _hint(error: Exception) -> str | None:
    if "onversion" not in type(error).__name__:
        return None
    return 'use TRY_CAST, which returns null for such values (`errors: "null"` of table.cast)'
