"""Run ``great_expectations.validate``. In: a table, a suite. Out: results and data docs, or a failed step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from e2i.catalog.artifacts import Report
from e2i.errors import BadInput, StepError
from e2i.tools.data import filters
from e2i.tools.great_expectations import Outcome, ValidateOutputs, ValidateParams
from e2i.tools.great_expectations.connector import GuardedGE
from e2i.tools.great_expectations.suite import Suite, load, path_of

if TYPE_CHECKING:
    from e2i.catalog.context import StepContext
    from e2i.tools.great_expectations.validation import Validation

MOST_NAMED = 10
"""Number of failed expectations that a message names; the details have all of them."""


async def validate(params: ValidateParams, ctx: StepContext) -> ValidateOutputs:
    """Check a table. The data docs are stored and attached in every case.

    Raises StepError (``quality-failed``) when an expectation fails that `fail_on` covers. Its ``details`` have the
    report, the statistics and the failed results. Raises BadInput or Refused for a suite that cannot be used.
    """
    suite = (
        _suite(params.suite, ctx) if isinstance(params.suite, str) else Suite(name="inline", expectations=params.suite)
    )
    frame = ctx.frame(params.table)
    if params.where:
        frame = frame[filters.mask(ctx.arrow(params.table), params.where).to_numpy()]
    if frame.empty:
        raise StepError(
            "there are no rows to check",
            code="empty-table",
            hint="check the steps that produce the table, or relax `where`",
        )
    validation = await ctx.connect(GuardedGE).validate(frame, suite, samples=params.samples)

    folder = ctx.scratch / "data_docs"
    folder.mkdir()
    (folder / "index.html").write_text(validation.page, encoding="utf-8")
    report = ctx.keep(folder, Report, media_type="text/html", title=f"Data docs: {suite.name}", entry="index.html")
    ctx.attach(f"great_expectations/{suite.name}", report)
    for name, value in validation.statistics.model_dump().items():
        ctx.metric(f"{suite.name}.{name}", value)

    covered = {"critical": ("critical",), "warning": ("critical", "warning"), "never": ()}[params.fail_on]
    failed = [item for item in validation.outcomes if not item.success and item.severity in covered]
    if failed:
        raise _failure(validation, failed, report)
    return ValidateOutputs(
        success=validation.statistics.unsuccessful == 0,
        statistics=validation.statistics,
        results=validation.outcomes,
        report=report,
    )


def _suite(name: str, ctx: StepContext) -> Suite:
    try:
        return load(ctx.held_file(path_of(name)), name)
    except StepError as error:
        if error.code != "no-such-file":
            raise
        hint = error.hint and error.hint.replace(".yaml", "")
        message = f"there is no suite {name!r}: {path_of(name)} does not exist"
        raise BadInput(message, code="unknown-suite", hint=hint) from error


def _failure(validation: Validation, failed: list[Outcome], report: Report) -> StepError:
    count = validation.statistics.evaluated
    named = [_describe(item) for item in failed[:MOST_NAMED]]
    more = [f"and {len(failed) - MOST_NAMED} more"] if len(failed) > MOST_NAMED else []
    return StepError(
        f"suite {validation.suite}: {len(failed)} of {count} expectations failed: {'; '.join(named + more)}",
        code="quality-failed",
        hint="open the data docs of this step; fix the data, or relax the suite",
        details={
            "suite": validation.suite,
            "report": report.model_dump(mode="json"),
            "statistics": validation.statistics.model_dump(mode="json"),
            "failed": [item.model_dump(mode="json") for item in failed],
        },
    )


def _describe(item: Outcome) -> str:
    """Describe one failed expectation in a line. ``repr`` escapes unprintable characters in samples."""
    subject = f"{item.type}({', '.join(item.columns)})"
    if item.broken is not None:
        return f"{subject} could not be checked: {item.broken!r}"
    if item.unexpected_count is None:
        return f"{subject} found {item.observed_value!r}"
    share = "" if item.unexpected_percent is None else f" ({item.unexpected_percent:.3g} %)"
    such = f", such as {', '.join(repr(value) for value in item.samples[:5])}" if item.samples else ""
    return f"{subject}: {item.unexpected_count} of {item.element_count} unexpected{share}{such}"
