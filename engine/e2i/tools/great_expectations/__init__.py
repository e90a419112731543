"""Great Expectations: a table and a suite go in; what held, what did not and data docs come out.

Declarations only; ``actions`` does the work.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from e2i.catalog.action import Action, Outputs, Params, Tool, ToolSettings
from e2i.catalog.artifacts import Report, Table
from e2i.catalog.marks import WorkspaceFile
from e2i.tools.data.filters import Filter
from e2i.tools.great_expectations.suite import NAME, Expectations, path_of


class GreatExpectationsSettings(ToolSettings):
    """The library runs inside the worker: there is no service, and no time that would mean that one is down."""

    deadline: Annotated[float, Field(gt=0, description="Seconds that one validation may take.")] = 3_600.0


class ValidateParams(Params):
    """Which table, what is expected of it, and what to do when it does not hold."""

    table: Annotated[Table, Field(description="The table to look at.")]
    suite: Annotated[
        Annotated[str, WorkspaceFile(path_of("{}")), Field(pattern=NAME)] | Expectations,
        Field(description="Name of a suite in config/expectations/NAME.yaml, or a list of expectations."),
    ]
    where: Annotated[
        tuple[Filter, ...], Field(description="Look only at the rows that meet all of these conditions.")
    ] = ()
    fail_on: Annotated[
        Literal["critical", "warning", "never"],
        Field(description="Least severity of a failed expectation that fails the step; `never` only reports."),
    ] = "critical"
    samples: Annotated[
        int,
        Field(ge=0, le=100, description="Unexpected values to show for each expectation; 0 keeps data out of reports."),
    ] = 5


class Outcome(BaseModel):
    """What came of one expectation. Counts are null where the expectation looks at no single rows."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    type: Annotated[str, Field(description="Name of the expectation.")]
    columns: Annotated[tuple[str, ...], Field(description="Columns it looks at; none for the table as a whole.")]
    severity: Annotated[Literal["critical", "warning"], Field(description="As the suite says.")]
    success: Annotated[bool, Field(description="Whether it held.")]
    broken: Annotated[
        str | None, Field(description="Why it could not be checked at all, such as an absent column; null if it was.")
    ]
    element_count: Annotated[int | None, Field(description="Rows that were looked at.")]
    missing_count: Annotated[int | None, Field(description="Rows passed over because a value is missing.")]
    unexpected_count: Annotated[int | None, Field(description="Rows that are not as expected.")]
    unexpected_percent: Annotated[float | None, Field(description="Their share of the rows with a value, in percent.")]
    observed_value: Annotated[Any, Field(description="What was found, for expectations about one value of a column.")]
    samples: Annotated[tuple[Any, ...], Field(description="Some unexpected values, long texts cut off.")]
    notes: Annotated[str | None, Field(description="Why it is expected.")]


class Statistics(BaseModel):
    """Counts of expectations."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    evaluated: Annotated[int, Field(description="Expectations in the suite.")]
    successful: Annotated[int, Field(description="Expectations that held.")]
    unsuccessful: Annotated[int, Field(description="Expectations that failed or could not be checked.")]
    success_percent: Annotated[float, Field(description="Share of those that held, in percent.")]


class ValidateOutputs(Outputs):
    """What held and what did not."""

    success: Annotated[bool, Field(description="Whether every expectation held, of whatever severity.")]
    statistics: Annotated[Statistics, Field(description="Counts of expectations.")]
    results: Annotated[tuple[Outcome, ...], Field(description="An outcome for each expectation, in the suite's order.")]
    report: Annotated[Report, Field(description="Data docs: one HTML page that loads nothing from elsewhere.")]


TOOL = Tool(
    name="great_expectations",
    summary="Checks tables against expectation suites; a gate that says what is wrong with the data.",
    actions=(
        Action(
            "validate",
            "Checks a table against a suite, keeps data docs, and fails the step when a critical expectation fails.",
            ValidateParams,
            ValidateOutputs,
            libraries=("great-expectations", "pandas"),
            columns=True,
            gate=True,
        ),
    ),
    settings=GreatExpectationsSettings,
    distribution="great-expectations",
    extra="great_expectations",
    imports=("great_expectations",),
)
