"""Judge a table by a suite, as a step's parameters ask for. In: rows, a suite. Out: results, page, tables, or an error.

The actions that check a suite differ in where the rows are. This is what they have in common.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

from msgspec import Struct

from e2i.catalog.artifacts import Report
from e2i.errors import StepError
from e2i.tools.great_expectations import Outcome
from e2i.tools.great_expectations.connector import GuardedGE
from e2i.tools.great_expectations.quarantine import Unexpected
from e2i.tools.great_expectations.validation import Validation

if TYPE_CHECKING:
    import pandas as pd

    from e2i.catalog.context import StepContext

MOST_NAMED = 10
"""Number of failed expectations that a message names; the details have all of them."""
COUNTING = {"critical": ("critical",), "warning": ("critical", "warning"), "never": ()}
"""Value of ``fail_on`` → severities of expectations whose failure counts."""


class Terms(Protocol):
    """The parameters that say what a failure leads to."""

    @property
    def fail_on(self) -> Literal["critical", "warning", "never"]: ...
    @property
    def on_failure(self) -> Literal["fail", "warn", "quarantine"]: ...


class Judged(Struct, frozen=True):
    """A step's outcome. ``counting`` are the failed expectations whose rows are quarantined, by index."""

    validation: Validation
    report: Report
    unexpected: Unexpected
    counting: tuple[int, ...] = ()

    @property
    def success(self) -> bool:
        return self.validation.statistics.unsuccessful == 0

    @property
    def quarantined(self) -> int:
        """Number of rows that are quarantined."""
        return _rows(self.unexpected, self.counting)


async def judge(ctx: StepContext, validation: Validation, frame: pd.DataFrame | None, terms: Terms) -> Judged:
    """Return what follows of a validation. The data docs are stored and attached in every case.

    ``frame`` has the checked rows, labelled by their position; None when the rows are elsewhere: then none is
    attributed. Raises StepError (``quality-failed``) when an expectation fails that counts, except where
    ``on_failure`` says otherwise. Its ``details`` have the report, the statistics and the failed results.
    """
    suite = validation.suite
    for name, value in validation.statistics.model_dump().items():
        ctx.metric(f"{suite.name}.{name}", value)
    failed = [index for index, item in enumerate(validation.outcomes) if _counts(item, terms)]
    fails = failed if terms.on_failure == "fail" else []
    unexpected: Unexpected = {}
    if frame is not None and not fails:
        about_rows = [index for index, item in enumerate(validation.outcomes) if _is_about_rows(item)]
        unexpected = await ctx.connect(GuardedGE).unexpected(frame, suite, about_rows)
    if terms.on_failure == "quarantine":
        fails = [index for index in failed if index not in unexpected]
    is_split = terms.on_failure == "quarantine" and not fails
    counting = tuple(failed) if is_split else ()
    notes = []
    if is_split and frame is not None:
        count = _rows(unexpected, counting)
        notes.append(f"Quarantined: {count:,} of {len(frame):,} rows.")
        ctx.metric(f"{suite.name}.quarantined_rows", count)
    report = _kept(ctx, validation, notes)
    if fails:
        raise failure(validation, [validation.outcomes[index] for index in fails], report, terms.on_failure)
    if failed:
        named = _named([validation.outcomes[index] for index in failed])
        done = f"{notes[0].rstrip('.').lower()} by" if notes else "failed:"
        ctx.warn(f"suite {suite.name}: {done} {named}")
    return Judged(validation, report, unexpected, counting)


def failure(validation: Validation, failed: list[Outcome], report: Report, on_failure: str) -> StepError:
    """Return the error for expectations that fail the step."""
    count, name = validation.statistics.evaluated, validation.suite.name
    whole = on_failure == "quarantine"
    hint = "open the data docs of this step; fix the data, or relax the suite"
    if whole:
        hint = "these are about the table as a whole, so that no rows can be quarantined for them; " + hint
    return StepError(
        f"suite {name}: {len(failed)} of {count} expectations failed: {_named(failed)}",
        code="quality-failed",
        hint=hint,
        details={
            "suite": name,
            "report": report.model_dump(mode="json"),
            "statistics": validation.statistics.model_dump(mode="json"),
            "failed": [item.model_dump(mode="json") for item in failed],
        },
    )


def _counts(item: Outcome, terms: Terms) -> bool:
    return not item.success and item.severity in COUNTING[terms.fail_on]


def _is_about_rows(item: Outcome) -> bool:
    """Return whether the library counted rows that fail the expectation."""
    return not item.success and item.broken is None and bool(item.unexpected_count)


def _rows(unexpected: Unexpected, counting: tuple[int, ...]) -> int:
    return len({position for index in counting for position in unexpected.get(index, ())})


def _kept(ctx: StepContext, validation: Validation, notes: list[str]) -> Report:
    folder = ctx.scratch / "data_docs"
    folder.mkdir()
    (folder / "index.html").write_text(validation.page(notes), encoding="utf-8")
    name = validation.suite.name
    report = ctx.keep(folder, Report, media_type="text/html", title=f"Data docs: {name}", entry="index.html")
    ctx.attach(f"great_expectations/{name}", report)
    return report


def _named(failed: list[Outcome]) -> str:
    more = [f"and {len(failed) - MOST_NAMED} more"] if len(failed) > MOST_NAMED else []
    return "; ".join([*map(_describe, failed[:MOST_NAMED]), *more])


def _describe(item: Outcome) -> str:
    """Describe one failed expectation in a line. ``repr`` escapes unprintable characters in samples."""
    subject = f"{item.type}({', '.join(item.columns)})"
    if item.broken is not None:
        return f"{subject} could not be checked: {item.broken!r}"
    if item.unexpected_count is None:
        return f"{subject} found {item.observed_value!r}"
    share = "" if item.unexpected_percent is None else f" ({item.unexpected_percent:.3g} %)"
    shown = ", ".join(repr(value) for value in item.samples[:5] if value is not None)
    such = f", such as {shown}" if shown else ""
    return f"{subject}: {item.unexpected_count} of {item.element_count} unexpected{share}{such}"
