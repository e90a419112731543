"""Check a suite against a table while planning. In: known parameters, the suite's file. Out: problems.

A problem is an expectation about a column that the table lacks.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from e2i.catalog.columns import ColumnProblem, Flow, Given, Known, KnownTable, Path, Shape, absent
from e2i.catalog.files import Files
from e2i.errors import BadInput, Refused
from e2i.spec.document import Document
from e2i.spec.problems import Code
from e2i.spec.suggest import Names, nearest
from e2i.tools.data import filters
from e2i.tools.great_expectations import conditions, suited
from e2i.tools.great_expectations.suite import DEFAULT, DEFAULT_SUITE, FOLDER, Suite, parsed, path_of, shipped_text

ARGUMENTS = ("column", "column_A", "column_B", "column_list")
"""Arguments of expectations that name columns."""
ABOUT_NAMES = ("expect_column_to_exist", "expect_table_columns_to_match_ordered_list")
"""Expectations that check whether columns exist. A missing column is a result of these, perhaps only a warning."""

FAILURES = KnownTable(
    {"row": "int64", "expectation": "int64", **dict.fromkeys(("type", "columns", "severity", "value"), "string")}
)
"""The table of failures: one row for each row and each expectation that it fails."""


def validate(given: Given, files: Files) -> Flow:
    table, name = given["table"], given["suite"]
    problems = [*filters.problems(table, given["where"]), *absent(table, ("target",), given["target"])]
    if name == DEFAULT and not _has_file(files):
        problems += _undecided([given["problem_type"], given["target"]], "`target` or `problem_type`")
        name = _default(given["problem_type"], table, given["target"], files)
    if isinstance(name, str):
        found, unusable = _suite(name, files)
        problems += unusable
        if found is not None:
            problems += _lacking(table, *found, given["fail_on"])
    elif isinstance(name, list | tuple):
        known = _names(table)
        for index, item in enumerate(name):
            if isinstance(item, Mapping):
                problems += _absent(table, item, ("suite", index), given["fail_on"], known)
                problems += _unsuited(table, item, ("suite", index), given["fail_on"])
    if not isinstance(table, KnownTable):
        return Flow({"failures": FAILURES}, problems)
    return _parted(table, given, problems)


def validate_source(given: Given, files: Files) -> Flow:
    """Check the suite, and say which outputs are null. A plan asks no database, so no columns are known."""
    name, on_failure = given["suite"], given["on_failure"]
    problems: list[ColumnProblem] = []
    if name == DEFAULT and not _has_file(files):
        problems += _undecided([given["problem_type"]], "`problem_type`")
        name = _default(given["problem_type"], None, None, files)
    if isinstance(name, str):
        problems += _suite(name, files)[1]
    if not isinstance(on_failure, str):
        return Flow({}, problems)
    if on_failure != "quarantine":
        return Flow(dict.fromkeys(("table", "quarantined", "failures"), (Shape("null"),)), problems)
    outputs: dict[str, Known] = dict.fromkeys(("table", "quarantined"), (Shape("table"),))
    return Flow({**outputs, "failures": (Shape("table", table=FAILURES),)}, problems)


def _has_file(files: Files) -> bool:
    """Return whether the workspace has a suite that is called default, or may have one."""
    try:
        file = files.open(path_of(DEFAULT))
    except OSError:
        return True
    if file is None:
        return False
    file.close()
    return True


def _undecided(given: list[Any], needed: str) -> Iterator[ColumnProblem]:
    """Yield the problem of a default suite whose problem type nothing tells."""
    if all(value is None for value in given):
        message = f"`suite: {DEFAULT}` is that of a problem type, which is not given"
        yield ColumnProblem(("suite",), "missing-action-parameter", message, hint=f"set {needed}")


def _default(kind: Any, table: Any, target: Any, files: Files) -> str | None:
    """Return the name of the suite that ``default`` stands for; None while the problem type or settings are not known.

    Of a target, the problem type is certain when its values cannot be numbers.
    """
    if kind is None and isinstance(target, str) and isinstance(table, KnownTable):
        texts = ("string", "large_string", "bool", "dictionary")
        kind = "classification" if (table.columns.get(target) or "").startswith(texts) else None
    suites = files.configured_names("great_expectations", "default_suites")
    return suites.get(kind, DEFAULT_SUITE) if suites is not None and isinstance(kind, str) else None


def profile(given: Given, files: Files) -> Flow:
    """Report columns that the table does not have."""
    return Flow(
        {}, [problem for name in ("key", "exclude") for problem in absent(given["table"], (name,), given[name])]
    )


def _parted(table: KnownTable, given: Given, problems: list[ColumnProblem]) -> Flow:
    """Return the columns of the rows that go on, of the quarantined ones, and of the failures."""
    reason, on_failure = given["reason_column"], given["on_failure"]
    outputs: dict[str, Known] = {"failures": FAILURES}
    if not isinstance(reason, str) or not isinstance(on_failure, str):
        return Flow(outputs, problems)
    is_present = reason in table.columns
    if on_failure != "quarantine":
        none = table if is_present else table.plus({reason: "string"})
        return Flow({**outputs, "table": table, "quarantined": none}, problems)
    if is_present:
        message = f'the table has a column "{reason}" already, which `quarantined` would have twice'
        hint = "choose another name with reason_column"
        problems.append(ColumnProblem(("reason_column",), "duplicate-column", message, hint=hint))
        return Flow(outputs, problems)
    outputs |= {
        "table": table.chosen("", "table"),
        "quarantined": table.plus({reason: "string"}).chosen("", "quarantined"),
    }
    return Flow(outputs, problems, parts=frozenset(["table", "quarantined"]))


def _suite(name: str, files: Files) -> tuple[tuple[Suite, Document] | None, list[ColumnProblem]]:
    """Return the suite of that name with its text, or the problem that makes it unusable.

    Neither when it cannot be read yet.
    """
    try:
        file = files.open(path_of(name))
        if file is None and (own := shipped_text(name)) is not None:
            return parsed(own, name, file=f"{name}.yaml of e2i"), []
        if file is None:
            known = tuple(item.removesuffix(".yaml") for item in files.names(FOLDER) if item.endswith(".yaml"))
            message = f'there is no suite "{name}": {path_of(name)} does not exist'
            hint = None if known else f"define suites in {FOLDER}/NAME.yaml"
            return None, [ColumnProblem(("suite",), "no-such-suite", message, name, known, hint)]
        with file:
            text = file.read()
    except OSError:
        return None, []
    try:
        return parsed(text, name), []
    except (BadInput, Refused) as error:
        return None, [ColumnProblem(("suite",), "bad-suite", error.message, hint=error.hint or f"fix {path_of(name)}")]


def _lacking(table: Any, suite: Suite, text: Document, fail_on: Any) -> Iterator[ColumnProblem]:
    """Return a problem for each column that a suite in a file names and the table lacks, with its place there."""
    known = _names(table)
    for index, expectation in enumerate(suite.expectations):
        item = {"type": expectation.type, "severity": expectation.severity, **(expectation.model_extra or {})}
        for problem in _absent(table, item, ("expectations", index), fail_on, known):
            near = nearest(problem.name, problem.known)
            meant = (
                f'did you mean "{near[0]}"? Fix it in the suite'
                if near
                else "fix it in the suite, or use another table"
            )
            message = f'suite "{suite.name}" checks the column "{problem.name}", which the table does not have'
            hint = f"{meant}: {text.location(problem.path)}, {expectation.type}"
            yield ColumnProblem(("suite",), problem.code, message, hint=hint)
        for problem in _unsuited(table, item, ("expectations", index), fail_on):
            message = f'suite "{suite.name}": {problem.message}'
            yield ColumnProblem(
                ("suite",), problem.code, message, hint=f"fix it in the suite: {text.location(problem.path)}"
            )


def _names(table: Any) -> Names:
    return table.names if isinstance(table, KnownTable) else Names(())


def _absent(
    table: Any, item: Mapping[str, Any], path: Path, fail_on: Any, known: Collection[str]
) -> Iterator[ColumnProblem]:
    """Return a problem for each column that an inline expectation names and the table lacks, with its path."""
    only_reported = fail_on == "never" or item.get("severity", "critical") != "critical"
    if not isinstance(table, KnownTable) or (item.get("type") in ABOUT_NAMES and only_reported):
        return
    for argument in ARGUMENTS:
        value = item.get(argument)
        several = isinstance(value, list | tuple)
        for index, name in enumerate(value if isinstance(value, list | tuple) else [value]):
            if isinstance(name, str) and name not in table.columns:
                inner = (*path, argument, index) if several else (*path, argument)
                message = f'the table has no column "{name}"'
                yield ColumnProblem(inner, "unknown-column", message, name, known)
    for name in _of_condition(item.get("row_condition")):
        if name not in table.columns:
            message = f'the table has no column "{name}", which row_condition compares'
            yield ColumnProblem((*path, "row_condition"), "unknown-column", message, name, known)


def _unsuited(table: Any, item: Mapping[str, Any], path: Path, fail_on: Any) -> Iterator[ColumnProblem]:
    """Return the problem of an expectation that counts and cannot be computed for a column of its type."""
    counted = {"critical": ("critical",), "warning": ("critical", "warning")}.get(fail_on, ())
    if not isinstance(table, KnownTable) or item.get("severity", "critical") not in counted:
        return
    if found := suited.misfit(item, table.columns):
        argument, message = found
        yield ColumnProblem((*path, argument), "bad-column", message, hint="use another expectation, or table.cast")


def _of_condition(given: Any) -> list[str]:
    """Return the columns of a row condition; none for one that cannot be read, which is reported elsewhere."""
    try:
        return [] if given is None else list(conditions.columns(conditions.read(given)))
    except conditions.NoConditionError:
        return []


_VALIDATE = """steps:
  data: {uses: dataset.hcp}
  quality: {uses: great_expectations.validate, with: {table: "${{ steps.data.journeys }}", suite: """
CODES = (
    Code(
        "no-such-suite",
        "A suite that does not exist",
        "`suite: NAME` refers to config/expectations/NAME.yaml.",
        "Correct the name of the suite, or write the expectations in the spec.",
        _VALIDATE + "e2i_clasification_suite}}\n",
        _VALIDATE + "e2i_classification_suite}}\n",
    ),
    Code(
        "bad-suite",
        "A suite that cannot be read",
        "The suite file is not a list of expectations.",
        "Fix the file named in the hint.",
        example='config/expectations/visits.yaml begins with "- type expect_column_to_exist", without the colon.',
    ),
)
