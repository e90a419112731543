"""Every code is described, its examples are true, and a golden pair shows it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2i import api
from e2i.check import codes

REPOSITORY = Path(__file__).parents[2]
ENGINE = REPOSITORY / "engine" / "e2i"
GOLDEN = REPOSITORY / "tests" / "golden" / "bad"
CODE = re.compile(r"[a-z]+(-[a-z0-9]+)*")
HEAD = re.compile(r": (?:error|warning): .* \[([a-z0-9-]+)\]$", re.MULTILINE)
MAKERS = {"Problem", "problem", "report", "stop", "ColumnProblem", "PathProblem", "Violation", "Finding"}
"""Functions and classes that a code is handed to, as their first or second argument."""
NOT_IN_A_GOLDEN = {
    "policy-host": "takes settings with a service elsewhere; tests/check/test_policy.py has it",
    "not-plain": "only a mapping from Python can have it",
    "too-many-problems": "a text of a thousand problems is read by nobody; tests/hostile/test_bombs.py has it",
    "too-large": "64 MiB in a repository are too many",
}


def used(file: Path) -> Iterator[str]:
    """The codes that a module hands to what makes problems."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        given = [*node.args[:2], *(keyword.value for keyword in node.keywords if keyword.arg == "code")]
        if name in MAKERS:
            yield from (
                value.value
                for value in given
                if isinstance(value, ast.Constant) and isinstance(value.value, str) and CODE.fullmatch(value.value)
            )


def named(file: Path) -> Iterator[tuple[str, int]]:
    """The codes that a module gives to errors by name (``code="x" if … else "y"`` too), or as a default, with lines."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        values: list[ast.expr | None] = []
        if isinstance(node, ast.Call):
            values = [keyword.value for keyword in node.keywords if keyword.arg == "code"]
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            pairs = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
            values = [default for argument, default in pairs if argument.arg == "code"]
        elif isinstance(node, ast.AnnAssign | ast.Assign):
            names = node.targets if isinstance(node, ast.Assign) else [node.target]
            values = [node.value] if any(isinstance(name, ast.Name) and name.id == "code" for name in names) else []
        for value in values:
            yield from texts(value)


def texts(value: ast.expr | None) -> Iterator[tuple[str, int]]:
    """The texts that an expression can be, with their lines."""
    match value:
        case ast.Constant(value=str(text)) if CODE.fullmatch(text):
            yield text, value.lineno
        case ast.IfExp():
            yield from (*texts(value.body), *texts(value.orelse))
        case ast.BoolOp():
            yield from (found for instance in value.values for found in texts(instance))


def shown() -> set[str]:
    """The codes in the expected texts of the golden pairs."""
    return {code for path in GOLDEN.glob("*.out") for code in HEAD.findall(path.read_text("utf-8"))}


@pytest.fixture(scope="module")
def workspace() -> api.Workspace:
    return api.Workspace.open(root=REPOSITORY, environ={})


def test_every_code_in_use_is_described() -> None:
    rooms = [ENGINE / "spec", ENGINE / "check", ENGINE / "catalog", ENGINE / "tools", ENGINE / "estimators"]
    found = {code for room in rooms for file in room.rglob("*.py") for code in used(file)}
    assert len(found) > 30
    assert sorted(found - set(codes.CODES)) == []


def test_every_code_that_an_error_is_given_anywhere_is_described() -> None:
    found = {
        code: f"{file.relative_to(ENGINE)}:{line}"
        for file in ENGINE.rglob("*.py")
        for code, line in named(file)
        if not file.is_relative_to(ENGINE / "check" / "codes")
    }
    assert len(found) > 100
    assert {code: where for code, where in found.items() if code not in codes.CODES} == {}


def test_no_code_is_in_two_groups() -> None:
    assert len(codes.CODES) == sum(len(group) for group in codes.GROUPS.values())


def test_every_code_in_a_golden_text_is_described() -> None:
    assert sorted(shown() - set(codes.CODES)) == []


def test_every_described_code_has_a_golden_pair() -> None:
    of_problems = {code.code for group in codes.PROBLEMS.values() for code in group}
    assert sorted(of_problems - shown() - set(NOT_IN_A_GOLDEN)) == []


def test_no_exception_is_out_of_date() -> None:
    assert set(NOT_IN_A_GOLDEN) - set(codes.CODES) == set()
    assert set(NOT_IN_A_GOLDEN) & shown() == set()


def framed(example: str) -> str:
    """The whole spec that an example stands for."""
    return example if "version:" in example or example.startswith("#") else f"version: 1\nname: example\n{example}"


WITH_EXAMPLE = [code for code in codes.CODES.values() if code.bad]


@pytest.mark.parametrize("code", WITH_EXAMPLE, ids=lambda code: code.code)
def test_the_wrong_example_has_the_problem_and_the_right_one_has_none(
    code: codes.Code, workspace: api.Workspace
) -> None:
    if code.code != "missing-parameter":
        problems = api.validate(framed(code.bad), workspace=workspace).problems
        assert code.code in {problem.code for problem in problems}, [str(problem) for problem in problems]
    found = api.validate(framed(code.good), workspace=workspace)
    assert [
        str(problem) for problem in found.problems if problem.severity == "error" or problem.code == code.code
    ] == []


@pytest.mark.parametrize("code", codes.CODES.values(), ids=lambda code: code.code)
def test_a_description_says_what_why_and_what_to_do(code: codes.Code) -> None:
    assert CODE.fullmatch(code.code)
    assert code.title and code.title[-1] != "."
    assert code.why.endswith(".")
    assert code.fix.endswith(".")
    assert bool(code.bad) == bool(code.good)
    assert code.bad or code.example
