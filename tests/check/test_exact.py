"""A value of a spec is what its parameter takes, not merely convertible to it."""

from __future__ import annotations

from typing import Any

import pytest

from e2i import api
from e2i.spec.operations import Operation, Replace
from project import Project

SPEC = """
version: 1
name: n
params: {{n: {{type: integer, default: 3}}, word: {{type: string, default: "3"}}}}
steps:
  data: {{uses: dataset.hcp, with: {{rows: {rows}}}}}
  some: {{uses: data.select, with: {{table: "${{{{ steps.data.journeys }}}}", sample: {sample}, rows: 10}}}}
"""


def found(project: Project, rows: str = "2000", sample: str = "true") -> list[tuple[str, Any]]:
    problems = api.validate(SPEC.format(rows=rows, sample=sample), workspace=project.workspace).errors
    assert all(problem.code == "bad-action-parameter" for problem in problems), problems
    return [(problem.path, next(map(_value, problem.fixes), None)) for problem in problems]


def _value(fix: Operation) -> Any:
    assert isinstance(fix, Replace)
    return fix.value


@pytest.mark.parametrize("rows", ["2000", "2e3", "2000.0", "'${{ params.n * 1000 }}'"])
def test_a_whole_number_is_an_integer(project: Project, rows: str) -> None:
    assert found(project, rows=rows) == []


@pytest.mark.parametrize(
    ("rows", "meant"),
    [("'2000'", 2000), ("true", None), ("'${{ params.word }}'", None), ("2000.5", None), ("many", None)],
)
def test_what_is_no_integer_is_refused(project: Project, rows: str, meant: Any) -> None:
    assert found(project, rows=rows) == [("/steps/data/with/rows", meant)]


@pytest.mark.parametrize(
    ("sample", "meant"), [("yes", True), ("off", False), ("'false'", False), ("1", None), ("maybe", None)]
)
def test_only_true_and_false_are_boolean(project: Project, sample: str, meant: Any) -> None:
    assert found(project, sample=sample) == [("/steps/some/with/sample", meant)]
