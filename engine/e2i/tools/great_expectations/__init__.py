"""The Great Expectations tool: check a table against a suite of expectations.

In: a table and a suite. Out: results and data docs. Declarations only; ``actions`` does the work.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator
from pydantic_core import PydanticCustomError

from e2i.catalog import addresses
from e2i.catalog.action import (
    Action,
    Outputs,
    Params,
    Place,
    Tool,
    ToolSettings,
    host_and_port,
    without_credentials,
)
from e2i.catalog.artifacts import File, Report, Table
from e2i.catalog.marks import NamedPlace, WorkspaceFile
from e2i.tools.data.filters import Filter
from e2i.tools.great_expectations.suite import DEFAULT, NAME, Expectation, Expectations, flattened, is_foreign, path_of

REASON = "failed_expectations"
"""Default name of the column with the expectations that a row fails."""


class _Source(BaseModel):
    """Base of the sources of tables."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class FolderSource(_Source):
    """A folder of data files: a table is a file's name without its ending."""

    type: Literal["folder"]
    path: Annotated[str, Field(min_length=1, description="Folder, relative to the workspace")]


class SqliteSource(_Source):
    """A SQLite database, which is only read."""

    type: Literal["sqlite"]
    path: Annotated[
        str, Field(min_length=1, description="File, relative to the workspace"), AfterValidator(addresses.file)
    ]


class PostgresqlSource(_Source):
    """A PostgreSQL database, which is only read. The expectations are computed there."""

    type: Literal["postgresql"]
    url: Annotated[SecretStr, Field(description="Address, such as postgresql://user:password@host/database")]

    @field_validator("url")
    @classmethod
    def _postgresql(cls, value: SecretStr) -> SecretStr:
        addresses.check(value.get_secret_value(), (*addresses.POSTGRESQL, "postgres"))
        return value


Source = FolderSource | SqliteSource | PostgresqlSource


def _host(source: SqliteSource | PostgresqlSource) -> str | None:
    """Return the host of a database; None for a file."""
    if isinstance(source, SqliteSource):
        return None
    return (host_and_port(source.url.get_secret_value()) or ("",))[0]


class GreatExpectationsSettings(ToolSettings):
    """Time limits of a validation, and the suites and tables that programs validate by name.

    The library runs inside the worker or the program. The only service that can be down is a database of
    ``datasources``.
    """

    deadline: Annotated[float, Field(gt=0, description="Timeout of one validation, in seconds.")] = 3_600.0
    source_deadline: Annotated[
        float,
        Field(gt=0, description="Timeout of connecting to a database of `datasources`, or of one query, in seconds."),
    ] = 60.0
    context_root: Annotated[
        str | None,
        Field(description="Folder of an existing Great Expectations project, whose suites and datasources are used."),
    ] = None
    datasource_name: Annotated[
        str | None, Field(description="Datasource whose tables are validated by name; default: the only one.")
    ] = None
    datasources: Annotated[
        Mapping[str, Annotated[Source, Field(discriminator="type")]],
        Field(description="Sources of tables by name: folders, SQLite and PostgreSQL databases."),
    ] = {}
    default_suites: Annotated[
        Mapping[str, Annotated[str, Field(pattern=NAME)]],
        Field(description="Problem type → name of the suite that is its default."),
    ] = {"classification": "e2i_classification_suite", "regression": "e2i_regression_suite"}

    @field_validator("context_root", "datasource_name", mode="before")
    @classmethod
    def _unset(cls, given: Any) -> Any:
        """Read an empty text, as of an environment variable that is not set, as none."""
        return None if given == "" else given

    def places(self) -> Mapping[str, Place]:
        return {
            name: Place(_host(source), read_only=True)
            for name, source in self.datasources.items()
            if not isinstance(source, FolderSource)
        }

    def addresses(self) -> tuple[str, ...]:
        return (*super().addresses(), *([self.context_root] if self.context_root else ()))

    def identity_of(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        name = given.get("source")
        found: dict[str, Any] = {key: shown for key, shown in self.identity().items() if key == name}
        if given.get("suite") == DEFAULT:  # which suite that is decides the result
            found["default_suites"] = dict(sorted(self.default_suites.items()))
        return found

    def circuits(self) -> tuple[str, ...]:
        return tuple(self.identity())

    def identity(self) -> Mapping[str, Any]:
        return {
            name: without_credentials(source.url.get_secret_value())
            for name, source in sorted(self.datasources.items())
            if isinstance(source, PostgresqlSource)
        }

    @model_validator(mode="after")
    def _known_source(self) -> GreatExpectationsSettings:
        name = self.datasource_name
        if name is not None and self.context_root is None and name not in self.datasources:
            known = ", ".join(self.datasources) or "none"
            raise ValueError(f"datasource_name {name!r} is none of `datasources`: {known}")
        return self


SuiteChoice = (
    Annotated[str, WorkspaceFile(path_of("{}"), groups=((DEFAULT, path_of("*")),)), Field(pattern=NAME)] | Expectations
)
ProblemType = Annotated[
    Literal["classification", "regression"] | None,
    Field(description="Problem type that `suite: default` is for."),
]
FailOn = Annotated[
    Literal["critical", "warning", "never"],
    Field(description="Lowest severity of an expectation whose failure counts. `never`: report only."),
]
OnFailure = Annotated[
    Literal["fail", "warn", "quarantine"],
    Field(
        description="What to do when an expectation that counts fails. `fail`: the step fails. `warn`: it records a "
        "warning. `quarantine`: the rows that fail go to `quarantined`, the others to `table`; an expectation about "
        "the table as a whole (a row count, a mean), or one that cannot be checked, still fails the step."
    ),
]
Samples = Annotated[
    int,
    Field(
        ge=0,
        le=100,
        description="Number of unexpected values to show per expectation. 0 keeps data out of reports.",
    ),
]
ReasonColumn = Annotated[
    str,
    Field(
        min_length=1,
        max_length=255,
        description="Column that is added to `quarantined`: the expectations that each row fails.",
    ),
]


class _Checks(Params):
    """What the actions that check a suite have in common."""

    @field_validator("suite", mode="before", check_fields=False)
    @classmethod
    def _listed(cls, given: Any) -> Any:
        """Refuse a whole suite in the form of Great Expectations, and name its expectations as the safe fix."""
        if not isinstance(given, dict) or not isinstance(given.get("expectations"), list):
            return given
        said = "in a spec, a suite is the list of its expectations"
        meant = [(flattened(item) or item) if is_foreign(item) else item for item in given["expectations"]]
        raise PydanticCustomError("other_form", "{said}", {"said": said, "meant": meant})

    @model_validator(mode="after")
    def _something_counts(self) -> Self:
        if getattr(self, "on_failure", None) == "quarantine" and getattr(self, "fail_on", None) == "never":
            raise ValueError("with fail_on: never no expectation counts, so that no row would be quarantined")
        return self


class ValidateParams(_Checks):
    """Parameters of ``great_expectations.validate``."""

    table: Annotated[Table, Field(description="The table to check.")]
    suite: Annotated[
        SuiteChoice,
        Field(
            description="Name of a suite in config/expectations/NAME.yaml, or of one that e2i ships; `default`: that "
            "of the problem type, as `default_suites` names it; or a list of expectations."
        ),
    ]
    problem_type: ProblemType = None
    target: Annotated[
        str | None,
        Field(
            min_length=1,
            description="Column that the problem type is taken from where it is not given: classification for texts, "
            "booleans and two distinct numbers, as `model.train` does it.",
        ),
    ] = None
    where: Annotated[
        tuple[Filter, ...],
        Field(description="Check only the rows that meet all of these conditions. The others go on unchecked."),
    ] = ()
    fail_on: FailOn = "critical"
    on_failure: OnFailure = "fail"
    reason_column: ReasonColumn = REASON
    samples: Samples = 5


Name = Annotated[str, Field(min_length=1, max_length=500)]
Scalar = bool | Annotated[int, Field(ge=-(2**63), lt=2**63)] | float | str | None


class ValidateSourceParams(_Checks):
    """Parameters of ``great_expectations.validate_source``."""

    source: Annotated[
        Name,
        NamedPlace("connections", setting="datasources"),
        Field(description="Name of a PostgreSQL or SQLite database in the settings' `datasources`."),
    ]
    table: Annotated[Name, Field(description="Table or view to check, as `name` or `schema.name`.")]
    batch: Annotated[
        Mapping[Name, Scalar],
        Field(max_length=50, description="Check only the rows whose columns have these values; null: no value."),
    ] = {}
    suite: Annotated[
        SuiteChoice,
        Field(
            description="Name of a suite in config/expectations/NAME.yaml, or of one that e2i ships; `default`: that "
            "of `problem_type`; or a list of expectations."
        ),
    ]
    problem_type: ProblemType = None
    fail_on: FailOn = "critical"
    on_failure: OnFailure = "fail"
    reason_column: ReasonColumn = REASON
    samples: Samples = 5


class ProfileParams(Params):
    """Parameters of ``great_expectations.profile``."""

    table: Annotated[Table, Field(description="The table that the suite is proposed from.")]
    name: Annotated[str, Field(pattern=NAME, description="Name of the suite, and of its file without .yaml.")]
    key: Annotated[
        tuple[Name, ...],
        Field(description="Columns that identify a row. It is an error when they do not."),
    ] = ()
    exclude: Annotated[tuple[Name, ...], Field(description="Columns that nothing is proposed for.")] = ()
    margin: Annotated[
        float, Field(ge=0, le=10, description="How far values may lie outside the range, as a share of the range.")
    ] = 0.1
    row_margin: Annotated[
        float, Field(ge=0, le=100, description="How far the number of rows may differ, as a share of it.")
    ] = 0.5
    null_margin: Annotated[
        float, Field(ge=0, le=1, description="How many more rows may have no value in a column that has nulls.")
    ] = 0.05
    most_values: Annotated[
        int,
        Field(ge=0, le=1_000, description="A column of texts or whole numbers with so few values may have no others."),
    ] = 20


class ProfileOutputs(Outputs):
    """Outputs of ``great_expectations.profile``."""

    suite: Annotated[
        File, Field(description="The suite's file, to be reviewed: `e2i export` writes it to config/expectations.")
    ]
    expectations: Annotated[
        tuple[Expectation, ...], Field(description="The same expectations, for the parameter `suite` of another step.")
    ]


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
    table: Annotated[Table, Field(description="The rows that go on: all but those that are quarantined.")]
    quarantined: Annotated[
        Table,
        Field(description="The quarantined rows, with `reason_column`; no rows unless `on_failure` is quarantine."),
    ]
    quarantined_rows: Annotated[int, Field(description="Number of quarantined rows.")]
    failures: Annotated[
        Table,
        Field(
            description="One row for each row of the table and each expectation that it fails: row (from 0), "
            "expectation (from 1), type, columns, severity, value (as text)."
        ),
    ]


class ValidateSourceOutputs(Outputs):
    """Outputs of ``great_expectations.validate_source``. The tables are null unless ``on_failure`` is quarantine."""

    success: Annotated[bool, Field(description="True when every expectation was met, whatever its severity.")]
    statistics: Annotated[Statistics, Field(description="Counts of expectations.")]
    results: Annotated[tuple[Outcome, ...], Field(description="One result per expectation, in the order of the suite.")]
    report: Annotated[Report, Field(description="Data docs: one HTML page without external resources.")]
    table: Annotated[Table | None, Field(description="The rows that go on; null unless `on_failure` is quarantine.")]
    quarantined: Annotated[Table | None, Field(description="The quarantined rows, with `reason_column`; or null.")]
    quarantined_rows: Annotated[int, Field(description="Number of quarantined rows.")]
    failures: Annotated[
        Table | None,
        Field(description="One row for each row and each expectation that it fails, as of `validate`; or null."),
    ]


TOOL = Tool(
    name="great_expectations",
    summary="Checks tables against expectation suites and reports what is wrong with the data.",
    actions=(
        Action(
            "validate",
            "Checks a table against a suite, stores data docs, and fails the step when a critical expectation fails.",
            ValidateParams,
            ValidateOutputs,
            version=3,
            libraries=("great-expectations", "pandas"),
            columns=True,
            gate=True,
        ),
        Action(
            "validate_source",
            "Checks a table of a database there, or reads it to quarantine the rows that fail. Looks in every run.",
            ValidateSourceParams,
            ValidateSourceOutputs,
            libraries=("great-expectations", "pandas"),
            always=True,
            columns=True,
            gate=True,
        ),
        Action(
            "profile",
            "Proposes a suite from a table: types, nulls, ranges, sets of values, shapes of texts, keys. For review.",
            ProfileParams,
            ProfileOutputs,
            libraries=("great-expectations", "pandas"),
            columns=True,
        ),
    ),
    settings=GreatExpectationsSettings,
    distribution="great-expectations",
    extra="great_expectations",
    outages=("psycopg.OperationalError", "sqlalchemy.exc.OperationalError"),
    imports=("great_expectations",),
)
