"""Run the actions of ``great_expectations``. In: tables, suites. Out: results, data docs, tables; or a failed step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from e2i.catalog.artifacts import File
from e2i.errors import StepError
from e2i.tools.data import filters
from e2i.tools.great_expectations import (
    ProfileOutputs,
    ProfileParams,
    ValidateOutputs,
    ValidateParams,
    ValidateSourceOutputs,
    ValidateSourceParams,
    choosing,
    gate,
    proposal,
    quarantine,
    writing,
)
from e2i.tools.great_expectations.connector import GuardedGE
from e2i.tools.great_expectations.proposal import Margins
from e2i.tools.great_expectations.suite import Suite

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from e2i.catalog.artifacts import Table
    from e2i.catalog.context import StepContext
    from e2i.tools.data.filters import Filter
    from e2i.tools.great_expectations.gate import Judged


async def validate(params: ValidateParams, ctx: StepContext) -> ValidateOutputs:
    """Check a table. The data docs are stored and attached in every case.

    Raises StepError (``quality-failed``) when an expectation fails that `fail_on` covers, except where `on_failure`
    says otherwise. Raises BadInput or Refused for a suite that cannot be used.
    """
    suite = choosing.chosen(params.suite, ctx, lambda: _problem_type(params, ctx))
    judged, parts = await _judged(ctx, params.table, suite, params, params.where)
    return ValidateOutputs(**_said(judged), **_tables(ctx, params.table, judged, parts))


async def validate_source(params: ValidateSourceParams, ctx: StepContext) -> ValidateSourceOutputs:
    """Check rows of a database, which computes the expectations itself.

    With `on_failure: quarantine` the rows are read, as they are at one moment, and checked in memory. Raises the errors
    of ``validate``, and ToolUnavailable when the database is down.
    """
    suite, connector = choosing.chosen(params.suite, ctx, lambda: params.problem_type), ctx.connect(GuardedGE)
    if params.on_failure != "quarantine":
        validation = await connector.validate_source(
            params.source, params.table, params.batch, suite, samples=params.samples
        )
        judged = await gate.judge(ctx, validation, None, params)
        return ValidateSourceOutputs(**_said(judged), table=None, quarantined=None, failures=None)
    rows = await connector.read_source(params.source, params.table, params.batch)
    table = ctx.table(rows)
    judged, parts = await _judged(ctx, table, suite, params)
    return ValidateSourceOutputs(**_said(judged), **_tables(ctx, table, judged, parts))


async def profile(params: ProfileParams, ctx: StepContext) -> ProfileOutputs:
    """Propose a suite. Each proposal is tried on the table; one that it does not meet is left out, with a warning.

    Raises StepError for an unknown column, a key that does not identify rows, and a table without rows.
    """
    margins = Margins(params.margin, params.row_margin, params.null_margin, params.most_values)
    rows = ctx.arrow(params.table)
    items = proposal.propose(rows, margins, params.key, params.exclude)
    suite = writing.suite_of(params.name, items)
    tried = await ctx.connect(GuardedGE).validate(_by_position(ctx.frame(params.table)), suite, samples=0)
    met = [item for item, outcome in zip(items, tried.outcomes, strict=True) if outcome.success]
    if unmet := [quarantine.label_of(suite.expectations[i]) for i, one in enumerate(tried.outcomes) if not one.success]:
        ctx.warn(f"left out, as the library does not find them met: {', '.join(unmet)}")
    description = f"Proposed from a table of {rows.num_rows} rows. Review it before it is used."
    file = ctx.scratch / f"{params.name}.yaml"
    file.write_bytes(writing.text_of(params.name, met, description))
    size = file.stat().st_size
    expectations = writing.suite_of(params.name, met).expectations
    return ProfileOutputs(suite=ctx.keep(file, File, name=file.name, bytes=size), expectations=expectations)


async def _judged(
    ctx: StepContext,
    table: Table,
    suite: Suite,
    params: ValidateParams | ValidateSourceParams,
    where: Sequence[Filter] = (),
) -> tuple[Judged, quarantine.Split]:
    """Return the outcome of checking a table in memory, and the rows that go on and the others."""
    rows = ctx.arrow(table)
    if params.on_failure == "quarantine":
        quarantine.require_new(params.reason_column, rows.column_names)
    frame = _by_position(ctx.frame(table))
    if where:
        frame = frame[filters.mask(rows, where).to_numpy()]
    if frame.empty:
        raise StepError(
            "there are no rows to check",
            code="empty-table",
            hint="check the steps that produce the table, or relax `where`",
        )
    validation = await ctx.connect(GuardedGE).validate(frame, suite, samples=params.samples)
    judged = await gate.judge(ctx, validation, frame, params)
    return judged, _parts(rows, judged, params.reason_column)


def _said(judged: Judged) -> dict[str, Any]:
    """Return the outputs that every validation has."""
    return {
        "success": judged.success,
        "statistics": judged.validation.statistics,
        "results": judged.validation.outcomes,
        "report": judged.report,
        "quarantined_rows": judged.quarantined,
    }


def _tables(ctx: StepContext, table: Table, judged: Judged, parts: quarantine.Split) -> dict[str, Table]:
    """Return the outputs that are tables."""
    failures = quarantine.failures(ctx.arrow(table), judged.validation.suite, judged.unexpected)
    return {
        "table": ctx.table(parts.kept) if judged.quarantined else table,
        "quarantined": ctx.table(parts.quarantined),
        "failures": ctx.table(failures),
    }


def _parts(rows: pa.Table, judged: Judged, reason: str) -> quarantine.Split:
    """Return the rows that go on and the others. Raises StepError when none goes on."""
    parts = quarantine.split(rows, judged.validation.suite, judged.unexpected, judged.counting, reason)
    if not parts.kept.num_rows:
        raise StepError(
            f"suite {judged.validation.suite.name}: every row fails, so that none is left",
            code="empty-table",
            hint="check the suite: `on_failure: warn` lists what each row fails in `failures`",
        )
    return parts


def _problem_type(params: ValidateParams, ctx: StepContext) -> str | None:
    """Return the problem type that is given, or that of the target, as a model would be trained on it."""
    if params.problem_type is not None or params.target is None:
        return params.problem_type
    from e2i.estimators.schema import infer_task

    filters.require_columns(params.table.names, [params.target])
    return infer_task(ctx.frame(params.table, [params.target])[params.target])


def _by_position(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with its rows labelled by their position."""
    import pandas as pd

    return frame if isinstance(frame.index, pd.RangeIndex) else frame.reset_index(drop=True)
