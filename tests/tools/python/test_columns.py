from __future__ import annotations

from textwrap import dedent
from typing import Any

import pytest

from e2i import api
from e2i.spec.problems import Problem
from project import Project

CODE = """
from typing import Literal, TypedDict
import pandas as pd

class Made(TypedDict):
    train: pd.DataFrame
    rows: int

def clean(frame: pd.DataFrame, least: int = 1, how: Literal["mean", "max"] = "mean") -> pd.DataFrame: ...
def make(least: int) -> Made: ...
def count(rows) -> dict[str, int]: ...
def free(**others): ...
def loose(x): ...
def placed(x, /): ...
def judge(model: dict, also: str = ""): ...
def pair() -> tuple[pd.DataFrame, pd.DataFrame]: ...
"""


def problems(project: Project, call: str, rest: str = "") -> list[Problem]:
    project.write("steps/code.py", CODE)
    text = f"version: 1\nname: calls\nsteps:\n  data: {{uses: dataset.hcp, with: {{rows: 100}}}}\n  a:\n    uses: python.call\n    with: {call}\n"
    text += (
        "  fit: {uses: model.train, with: {table: '${{ steps.data.journeys }}', target: target, features: [brand]}}\n"
    )
    return list(api.validate(text + dedent(rest), workspace=project.workspace).problems)


def told(project: Project, call: str, rest: str = "") -> list[tuple[str, str]]:
    return [(one.code, one.message) for one in problems(project, call, rest) if one.severity == "error"]


F = "file: steps/code.py, function"


@pytest.mark.parametrize(
    ("call", "code", "said"),
    [
        ("{%s: claen}", "no-such-function", 'steps/code.py has no function "claen"'),
        ("{%s: clean, arguments: {leest: 1, frame: '${{ steps.data.journeys }}'}}", "unknown-action-parameter",
         'clean in steps/code.py has no parameter "leest"'),
        ("{%s: clean}", "missing-action-parameter", "clean in steps/code.py needs the argument frame"),
        ("{%s: clean, arguments: {frame: 3}}", "wrong-type", "accepts a table: 3 is not a table"),
        ("{%s: make, arguments: {least: '${{ steps.data.journeys }}'}}", "wrong-type", "a table is not an integer"),
        ("{%s: make, arguments: {least: few}}", "wrong-type", "accepts an integer: 'few' is not an integer"),
        ("{%s: clean, arguments: {frame: '${{ steps.data.journeys }}', how: min}}", "wrong-type",
         "'min' is not 'mean' or 'max'"),
        ("{%s: placed, arguments: {}}", "wrong-type", "takes x by position only"),
        ("{%s: pair}", "wrong-type", "returns tables in a list or tuple"),
        ("{%s: make, arguments: {least: 1}, outputs: {tain: table}}", "unknown-output", 'returns no "tain"'),
        ("{%s: make, arguments: {least: 1}, outputs: {rows: [a]}}", "wrong-type", '"rows" of make in steps/code.py is'),
        ("{file: steps/cod.py, function: make}", "no-such-file", "there is no file steps/cod.py"),
        ("{%s: free, reads: [data/*.csv]}", "no-such-file", 'no file matches "data/*.csv"'),
        ("{%s: free, reads: [../*.csv]}", "policy-path", "leads outside the workspace"),
        ("{%s: free, outputs: {x: intger}}", "bad-action-parameter", "outputs.x"),
    ],
)  # fmt: skip
def test_a_call_that_would_fail_is_a_problem(project: Project, call: str, code: str, said: str) -> None:
    found = told(project, call.replace("%s", F))
    assert [one for one in found if one[0] == code and said in one[1]], found


@pytest.mark.parametrize(
    "call",
    [
        "{%s: clean, arguments: {frame: '${{ steps.data.journeys }}'}}",
        "{%s: free, arguments: {anything: 1}}",
        "{%s: loose, arguments: {x: [1, {a: b}]}}",
        "{%s: make, arguments: {least: 1}}",
        "{%s: judge, arguments: {model: '${{ steps.fit.model }}'}}",
    ],
)
def test_a_call_that_may_work_is_not(project: Project, call: str) -> None:
    assert told(project, call.replace("%s", F)) == []


def test_mistyped_names_are_fixed(project: Project) -> None:
    (problem,) = problems(project, f"{{{F}: make, arguments: {{leastt: 1}}}}")[:1]
    assert problem.fixes
    assert problem.hint == 'did you mean "least"?'
    (problem,) = (one for one in problems(project, f"{{{F}: cleam}}") if one.code == "no-such-function")
    assert problem.fixes


USE = """
  b:
    uses: data.select
    with: {table: "${{ steps.a.%s }}", columns: [%s]}
outputs: {t: "${{ steps.b.table }}"}
"""


@pytest.mark.parametrize(
    ("call", "output", "column", "expected"),
    [
        ("outputs: {t: [id, score]}", "outputs.t", "score", []),
        ("outputs: {t: [id, score]}", "outputs.t", "socre", ["unknown-column"]),
        ("outputs: {t: {id: integer}}", "outputs.u", "id", ["unknown-output"]),
        ("outputs: {t: integer}", "outputs.t", "id", ["wrong-type"]),
        ("outputs: {t: table}", "table", "id", ["wrong-type"]),
        ("outputs: {table: [id], n: integer}", "table", "id", []),
        ("outputs: {table: [id], n: integer}", "table", "ids", ["unknown-column"]),
        ("outputs: {table: integer}", "table", "id", ["wrong-type"]),
        ("outputs: {}", "outputs.anything", "id", []),
        ("outputs: {}", "table", "id", []),
    ],
)
def test_what_follows_is_checked_by_declared_outputs(
    project: Project, call: str, output: str, column: str, expected: list[str]
) -> None:
    given = f"{{{F}: free, {call}}}"
    assert [code for code, _ in told(project, given, USE % (output, column))] == expected


@pytest.mark.parametrize(
    ("call", "output", "expected"),
    [
        ("make, arguments: {least: 1}", "outputs.train", []),
        ("make, arguments: {least: 1}", "outputs.rows", ["wrong-type"]),
        ("make, arguments: {least: 1}", "outputs.trian", ["unknown-output"]),
        ("make, arguments: {least: 1}", "table", ["wrong-type"]),
        ("clean, arguments: {frame: '${{ steps.data.journeys }}'}", "table", []),
        ("clean, arguments: {frame: '${{ steps.data.journeys }}'}", "outputs.t", ["unknown-output"]),
        ("clean, arguments: {frame: '${{ steps.data.journeys }}'}", "value", ["wrong-type"]),
        ("count, arguments: {rows: 1}", "value", ["wrong-type"]),
    ],
)
def test_what_follows_is_checked_by_annotations(project: Project, call: str, output: str, expected: list[str]) -> None:
    assert [code for code, _ in told(project, f"{{{F}: {call}}}", USE % (output, "id"))] == expected


def test_types_of_declared_columns_are_known_to_filters(project: Project) -> None:
    where = "\n  b:\n    uses: data.select\n    with: {table: '${{ steps.a.outputs.t }}', where: [{column: id, op: eq, value: abc}]}\noutputs: {t: '${{ steps.b.table }}'}\n"
    assert told(project, f"{{{F}: free, outputs: {{t: {{id: integer}}}}}}", where) != []
    assert told(project, f"{{{F}: free, outputs: {{t: {{id: string}}}}}}", where) == []


def test_the_file_is_never_run_to_check_it(project: Project) -> None:
    project.write("steps/code.py", "raise SystemExit('run')\ndef f(x: int): ...\n")
    text = "version: 1\nname: calls\nsteps:\n  a:\n    uses: python.call\n    with: {file: steps/code.py, function: f, arguments: {y: 1}}\n"
    found: Any = api.validate(text, workspace=project.workspace).problems
    assert [one.code for one in found] == ["missing-action-parameter", "unknown-action-parameter"]


def test_an_author_who_must_not_run_code_is_not_told_of_it(project: Project) -> None:
    project.write("steps/code.py", CODE)
    workspace = api.Workspace.open(root=project.root, environ={}, origin="agent")
    text = "version: 1\nname: calls\nsteps:\n  a: {uses: python.call, with: {file: steps/code.py, function: claen}}\n"
    assert [one.code for one in api.validate(text, workspace=workspace).problems] == ["policy-privilege"]
