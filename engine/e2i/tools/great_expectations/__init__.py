"""The Great Expectations tool: check a table against a suite of expectations.

In: a table and a suite. Out: results and data docs. Declarations only; ``actions`` does the work.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic_core import PydanticCustomError

from e2i.catalog.action import Action, Outputs, Params, Tool, ToolSettings
from e2i.catalog.artifacts import Report, Table
from e2i.catalog.marks import WorkspaceFile
from e2i.tools.data.filters import Filter
from e2i.tools.great_expectations.suite import NAME, Expectations, flattened, is_foreign, path_of


class GreatExpectationsSettings(ToolSettings):
    """Time limit of a validation. The library runs inside the worker, so there is no service that can be down."""

    deadline: Annotated[float, Field(gt=0, description="Timeout of one validation, in seconds.")] = 3_600.0


class ValidateParams(Params):
    """Parameters of ``great_expectations.validate``."""

    table: Annotated[Table, Field(description="The table to check.")]
    suite: Annotated[
        Annotated[str, WorkspaceFile(path_of("{}")), Field(pattern=NAME)] | Expectations,
        Field(description="Name of a suite in config/expectations/NAME.yaml, or a list of expectations."),
    ]
    where: Annotated[
        tuple[Filter, ...], Field(description="Check only the rows that meet all of these conditions.")
    ] = ()
    fail_on: Annotated[
        Literal["critical", "warning", "never"],
        Field(description="Lowest severity at which a failed expectation fails the step. `never`: report only."),
    ] = "critical"
    samples: Annotated[
        int,
        Field(
            ge=0,
            le=100,
            description="Number of unexpected values to show per expectation. 0 keeps data out of reports.",
        ),
    ] = 5

    @field_validator("suite", mode="before")
    @classmethod
    def _listed(cls, given: Any) -> Any:
        """Refuse a whole suite in the form of Great Expectations, and name its expectations as the safe fix."""
        if not isinstance(given, dict) or not isinstance(given.get("expectations"), list):
            return given
        said = "in a spec, a suite is the list of its expectations"
        meant = [(flattened(item) or item) if is_foreign(item) else item for item in given["expectations"]]
        raise PydanticCustomError("other_form", "{said}", {"said": said, "meant": meant})


class Outcome(BaseModel):
    """Result of one expectation. Counts are null for expectations that do not check single rows."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    type: Annotated[str, Field(description="Name of the expectation.")]
    columns: Annotated[
        tuple[str, ...], Field(description="Columns that the expectation checks; empty for the table as a whole.")
    ]
    severity: Annotated[Literal["critical", "warning"], Field(description="Severity from the suite.")]
    success: Annotated[bool, Field(description="True when the expectation was met.")]
    broken: Annotated[
        str | None, Field(description="Why it could not be checked, such as a missing column; null if it was checked.")
    ]
    element_count: Annotated[int | None, Field(description="Number of rows checked.")]
    missing_count: Annotated[int | None, Field(description="Number of rows skipped because a value is missing.")]
    unexpected_count: Annotated[int | None, Field(description="Number of rows that do not meet the expectation.")]
    unexpected_percent: Annotated[
        float | None, Field(description="Percentage of the rows with a value that do not meet the expectation.")
    ]
    observed_value: Annotated[Any, Field(description="Observed value, for expectations about one value of a column.")]
    samples: Annotated[tuple[Any, ...], Field(description="Examples of unexpected values; long texts are shortened.")]
    notes: Annotated[str | None, Field(description="Why the value is expected.")]


class Statistics(BaseModel):
    """Counts of expectations."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    evaluated: Annotated[int, Field(description="Expectations in the suite.")]
    successful: Annotated[int, Field(description="Expectations that were met.")]
    unsuccessful: Annotated[int, Field(description="Expectations that failed or could not be checked.")]
    success_percent: Annotated[float, Field(description="Percentage of expectations that were met.")]


class ValidateOutputs(Outputs):
    """Outputs of ``great_expectations.validate``."""

    success: Annotated[bool, Field(description="True when every expectation was met, whatever its severity.")]
    statistics: Annotated[Statistics, Field(description="Counts of expectations.")]
    results: Annotated[tuple[Outcome, ...], Field(description="One result per expectation, in the order of the suite.")]
    report: Annotated[Report, Field(description="Data docs: one HTML page without external resources.")]


TOOL = Tool(
    name="great_expectations",
    summary="Checks tables against expectation suites and reports what is wrong with the data.",
    actions=(
        Action(
            "validate",
            "Checks a table against a suite, stores data docs, and fails the step when a critical expectation fails.",
            ValidateParams,
            ValidateOutputs,
            version=2,
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
