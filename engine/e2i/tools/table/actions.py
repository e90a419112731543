"""Run ``table.*``. In: parameters and the step's context. Out: a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from e2i.catalog.artifacts import Table
from e2i.errors import StepError
from e2i.queries import running, scalars
from e2i.queries.planned import planned
from e2i.queries.syntax import Query
from e2i.spec.suggest import hint
from e2i.tools.table import TableOutputs, columns, combined, combining, grouped, grouping, shaped, shaping
from e2i.tools.table.statement import Check, Generator

if TYPE_CHECKING:
    from e2i.catalog.context import StepContext


def join(params: combining.JoinParams, ctx: StepContext) -> TableOutputs:
    """Join two tables by equal keys. Raises StepError when a key of the right table is there twice."""
    return _run(params, ctx, combined.join)


def asof(params: combining.AsofParams, ctx: StepContext) -> TableOutputs:
    """Join the latest earlier row. Raises StepError when a key and time of the right table are there twice."""
    return _run(params, ctx, combined.asof)


def aggregate(params: grouping.AggregateParams, ctx: StepContext) -> TableOutputs:
    """Compute one row per group."""
    return _run(params, ctx, grouped.aggregate)


def window(params: grouping.WindowParams, ctx: StepContext) -> TableOutputs:
    """Add columns from the earlier rows of the same group."""
    return _run(params, ctx, grouped.window)


def derive(params: shaping.DeriveParams, ctx: StepContext) -> TableOutputs:
    """Add columns by expressions. Raises StepError for text that is not one expression of one row."""
    (table,) = running.known({"table": params.table}).values()
    with running.installed():
        for expression in params.columns.values():
            for finding in scalars.check(expression, table):
                raise running.failure(finding, expression)
    return _run(params, ctx, shaped.derive)


def dates(params: shaping.DatesParams, ctx: StepContext) -> TableOutputs:
    """Add parts of a time."""
    return _run(params, ctx, shaped.dates)


def stack(params: combining.StackParams, ctx: StepContext) -> TableOutputs:
    """Put tables below each other."""
    return _run(params, ctx, combined.stack)


def unpivot(params: grouping.UnpivotParams, ctx: StepContext) -> TableOutputs:
    """Turn columns into rows."""
    return _run(params, ctx, grouped.unpivot)


def pivot(params: grouping.PivotParams, ctx: StepContext) -> TableOutputs:
    """Turn values into columns."""
    return _run(params, ctx, grouped.pivot)


def dedupe(params: grouping.DedupeParams, ctx: StepContext) -> TableOutputs:
    """Keep one row per key."""
    return _run(params, ctx, grouped.dedupe)


def sort(params: shaping.SortParams, ctx: StepContext) -> TableOutputs:
    """Sort rows; equal ones keep their order."""
    return _run(params, ctx, shaped.sort)


def rename(params: shaping.RenameParams, ctx: StepContext) -> TableOutputs:
    """Rename columns."""
    return _run(params, ctx, shaped.rename)


def cast(params: shaping.CastParams, ctx: StepContext) -> TableOutputs:
    """Change types. Raises StepError for a value that cannot be converted, unless it becomes null."""
    return _run(params, ctx, shaped.cast)


def fill(params: shaping.FillParams, ctx: StepContext) -> TableOutputs:
    """Replace nulls by given values."""
    return _run(params, ctx, shaped.fill)


def sample(params: shaping.SampleParams, ctx: StepContext) -> TableOutputs:
    """Choose keys by their hash and the seed."""
    seeded = params if params.seed is not None else params.model_copy(update={"seed": ctx.seed})
    return _run(seeded, ctx, shaped.sample)


def _run(params: Any, ctx: StepContext, generate: Generator) -> TableOutputs:
    """Run a generated query. Raises StepError for wrong parameters, failed checks and values that are no numbers."""
    stored: dict[str, Table] = columns.sources({name: getattr(params, name) for name in type(params).model_fields})
    tables = running.known(stored)
    built = generate(params.model_dump(exclude=set(columns.SOURCES)), tables)
    for problem in built.problems:
        near = hint(problem.name, problem.known, most=40) if problem.name else None
        raise StepError(problem.message, code=problem.code, hint=problem.hint or near)
    with running.installed():
        found = planned(Query(built.sql, is_generated=True), tables)
    for finding in found.findings:
        raise running.failure(finding, built.sql)

    def check(connection: Any) -> None:
        for item in built.checks:
            _check(item, connection)

    return TableOutputs(table=running.compute(found, stored, params.memory, ctx, check))


def _check(check: Check, connection: Any) -> None:
    row = connection.execute(check.sql).fetchone()
    if row is not None:
        raise StepError(check.message.format(*map(_shown, row)), code=check.code, hint=check.hint)


def _shown(value: Any) -> str:
    return repr(value) if isinstance(value, str) else str(value)
