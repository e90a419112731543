"""Warnings of tables that nothing reads."""

from __future__ import annotations

import pytest

from e2i import api
from e2i.execution.events import SpecWarning
from project import Project

HEAD = "version: 1\nname: x\nsteps:\n  a: {uses: dataset.hcp, with: {rows: 50}}\n"


@pytest.mark.parametrize(
    "more",
    [
        "outputs: {a: '${{ steps.a.history }}'}\n",
        "outputs: {a: '${{ steps.a }}'}\n",
        "  b: {uses: debug.echo, with: {value: '${{ steps.a.history }}'}}\n",
        "  b: {uses: debug.echo, needs: [a]}\n",
        "  b: {uses: debug.echo, when: '${{ steps.a.history.rows > 3 }}'}\n",
        "finally:\n  b: {uses: debug.echo, with: {value: '${{ steps.a.history | default(1) }}'}}\n",
    ],
)
def test_a_table_that_is_read_is_not_warned_of(project: Project, more: str) -> None:
    assert api.validate(HEAD + more, workspace=project.workspace).problems == ()


def test_each_step_of_a_matrix_is_warned_of_once_and_the_spec_stays_valid(project: Project) -> None:
    spec = HEAD.replace("rows: 50}", "rows: '${{ matrix.n }}'}, matrix: {n: [50, 60]}")
    validation = api.validate(spec, workspace=project.workspace)
    assert [(problem.code, problem.severity) for problem in validation.problems] == [("unread-table", "warning")]
    assert validation.valid and validation.errors == ()


def test_an_error_hides_the_warning(project: Project) -> None:
    spec = HEAD + "  b: {uses: debug.echo, with: {value: '${{ steps.c.history }}'}}\n"
    codes = [problem.code for problem in api.validate(spec, workspace=project.workspace).problems]
    assert codes == ["unknown-step"]


def test_a_plan_holds_warnings_and_a_run_reports_them(project: Project) -> None:
    plan = api.plan(HEAD, workspace=project.workspace)
    assert [problem.code for problem in plan.warnings] == ["unread-table"]
    assert "warnings" not in plan.to_json()
    record = project.run(HEAD)
    warned = project.happened(SpecWarning)
    assert (record.status, [event.problem.line for event in warned]) == ("succeeded", [4])
