"""The results of test cases, as printed. In: what cases came to. Out: ``SuiteDocument``."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from e2i.documents import Count, Element, JsonDocument


class FailedExpectation(Element, frozen=True, kw_only=True):
    """An expectation that a case does not meet."""

    what: Annotated[
        str, Meta(description="The expectation: status, problem, verdicts, steps, holds, tables and so on.")
    ]
    message: Annotated[str, Meta(description="Description for people.")]
    file: Annotated[str, Meta(description="The test file.")]
    line: Annotated[int, Meta(ge=1, description="From 1.")]
    column: Annotated[int, Meta(ge=1, description="From 1, in characters.")]
    lines: Annotated[list[str], Meta(description="Details, such as the differences of two tables.")]


class CaseResult(Element, frozen=True, kw_only=True):
    """The result of a case."""

    name: str
    status: Literal["passed", "failed"]
    seconds: Annotated[float, Meta(ge=0)]
    ran: Annotated[list[str], Meta(description="The steps that were executed.")]
    failures: Annotated[
        list[FailedExpectation], Meta(description="Expectations that are not met, in the order of the file.")
    ]


class FileResult(Element, frozen=True, kw_only=True):
    """The results of one test file."""

    file: str
    spec: Annotated[str, Meta(description="The spec that it tests.")]
    cases: list[CaseResult]


class SpecCoverage(Element, frozen=True, kw_only=True):
    """What the cases of a spec exercise."""

    spec: str
    covered: Count
    total: Count
    missing: Annotated[
        list[str],
        Meta(
            description="Steps and combinations that no case executes, conditions that are not met both ways, outputs."
        ),
    ]


class SuiteDocument(JsonDocument, frozen=True, kw_only=True):
    """Output of `e2i test --json`."""

    passed: Count
    failed: Count
    seconds: Annotated[float, Meta(ge=0)]
    files: list[FileResult]
    updated: Annotated[list[str], Meta(description="The snapshot files that `--update` wrote.")]
    coverage: Annotated[list[SpecCoverage] | None, Meta(description="With `--coverage`, else null.")]
