"""The shape of a test file as pydantic models. In: plain data. Out: a ``TestFile``, or errors with exact paths."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StringConstraints

from e2i.spec.models import Shape, Text

Name = Annotated[str, StringConstraints(min_length=1, max_length=120, pattern=r"^[^\x00-\x1f]+$")]
Reference = Annotated[str, StringConstraints(min_length=3, max_length=300, pattern=r"^[A-Za-z_][\w/]*(\.|\[).+$")]
Tolerance = Annotated[float, Field(strict=True, ge=0)]


def _several(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Texts = Annotated[
    tuple[Annotated[str, Field(max_length=2_200)], ...],
    BeforeValidator(_several, json_schema_input_type=str | tuple[str, ...]),
]
Column = Annotated[str, StringConstraints(min_length=1)]
Row = dict[Column, Any]
"""A row of a table, or outputs of a step, by name."""
Given = dict[Name, Row]


class Fault(Shape):
    """A tool that fails."""

    tool: Annotated[str, Field(description="The tool whose steps fail, such as mlflow.")]
    kind: Annotated[
        Literal["unavailable", "timeout", "lost", "error"],
        Field(
            description="unavailable: an outage. timeout: the step exceeds its time limit. lost: its worker dies. "
            "error: the action fails."
        ),
    ] = "unavailable"
    until: Annotated[
        int | None, Field(strict=True, ge=1, le=100, description="The attempt that succeeds again; null: none does.")
    ] = None


class Disjoint(Shape):
    """Tables that have no value of a column in common."""

    tables: Annotated[tuple[Reference, ...], Field(min_length=2, description="Tables, each as STEP.OUTPUT.")]
    by: Annotated[str, Field(min_length=1, description="The column.")]


class ExpectedTable(Shape):
    """The rows that a table must have. Columns that are not listed are not compared."""

    rows: Annotated[list[Row] | None, Field(description="Rows, each as a mapping.")] = None
    csv: Annotated[str | None, Field(max_length=1_000_000, description="Rows as CSV text with a header.")] = None
    file: Annotated[str | None, Field(description="CSV, Parquet or Arrow file, relative to the test file.")] = None
    by: Annotated[
        tuple[str, ...], Field(description="Columns that identify a row. Without them, rows are compared in order.")
    ] = ()
    tolerance: Annotated[Tolerance, Field(description="Largest difference of numbers, absolute or relative.")] = 1e-9


class Expect(Shape):
    """What must be true of a case. Without `status` and `problem`, the run must succeed."""

    status: Annotated[Literal["succeeded", "failed"] | None, Field(description="Status of the run.")] = None
    problem: Annotated[Texts, Field(description="Codes of problems of the spec, or of errors of steps.")] = ()
    verdicts: Annotated[
        dict[str, Literal["run", "reuse", "undecided", "always", "skip"]],
        Field(description="Verdicts of the plan, by step. A given step is `reuse`."),
    ] = Field(default_factory=dict)
    steps: Annotated[
        dict[str, Literal["succeeded", "reused", "failed", "skipped", "deferred", "cancelled"]],
        Field(description="Status of steps. A given step is `reused`."),
    ] = Field(default_factory=dict)
    holds: Annotated[Texts, Field(description="Expressions that must be true, each as ${{ … }}.")] = ()
    disjoint: Annotated[tuple[Disjoint, ...], Field(description="Tables without a common value.")] = ()
    tables: Annotated[dict[Reference, ExpectedTable], Field(description="Rows of tables, by STEP.OUTPUT.")] = Field(
        default_factory=dict
    )
    snapshot: Annotated[
        Annotated[tuple[Reference, ...], BeforeValidator(_several, json_schema_input_type=str | tuple[str, ...])],
        Field(description="Outputs that must equal those of the snapshot, each as STEP.OUTPUT."),
    ] = ()
    tolerance: Annotated[
        Tolerance, Field(description="Largest difference of numbers from the snapshot, absolute or relative.")
    ] = 1e-9


class Common(Shape):
    """What cases have in common."""

    params: Annotated[dict[Name, Any], Field(description="Values of the spec's parameters.")] = Field(
        default_factory=dict
    )
    given: Annotated[
        Given,
        Field(description="Outputs of steps that do not run, by step. A table is {rows: …}, {csv: …} or {file: …}."),
    ] = Field(default_factory=dict)
    run: Annotated[
        tuple[str, ...] | None,
        Field(
            min_length=1,
            description="The steps to run. Default: all that are not given and not needed by given ones only.",
        ),
    ] = None
    fault: Annotated[Fault | None, Field(description="A tool that fails.")] = None


class Case(Common):
    """One test case."""

    description: Annotated[Text, Field(description="For people.")] = ""
    expect: Annotated[Expect, Field(description="What must be true.")] = Expect()


class CaseFile(Shape):
    """A file of test cases for one spec."""

    tests: Annotated[str, Field(pattern=r"\.ya?ml$", description="The spec, relative to this file.")]
    description: Annotated[Text, Field(description="For people.")] = ""
    defaults: Annotated[Common, Field(description="Merged under every case; `params` and `given` key by key.")] = (
        Common()
    )
    cases: Annotated[dict[Name, Case], Field(min_length=1, max_length=1_000, description="The cases, by name.")]

    def merged(self, case: Case) -> Case:
        """Returns a case over the defaults."""
        over = {name: getattr(case, name) for name in Common.model_fields if name in case.model_fields_set}
        base = {name: getattr(self.defaults, name) for name in Common.model_fields}
        base |= over
        base["params"] = {**self.defaults.params, **case.params}
        base["given"] = {**self.defaults.given, **case.given}
        return case.model_copy(update=base)
