"""Defects that no check of a spec finds: a rehearsal does, at the step that a run would fail at."""

from __future__ import annotations

from pathlib import Path

import pytest

import planted
from e2i import api
from e2i.documents import ParamValues
from e2i.rehearsal import running
from e2i.rehearsal.sampling import Wanted


def failing(name: str, root: Path, *, empty: bool) -> list[str]:
    """The steps that a rehearsal finds wrong, the first first."""
    planted.write(root)
    workspace = api.Workspace.open(root=root, environ={})
    found = running.rehearse(planted.spec(name), ParamValues(), Wanted(rows=400), workspace, empty=empty)
    assert all(problem.location.line > 5 for problem in found.failures), "each has its location"
    return [problem.path.split("/")[2] for problem in found.failures]


@pytest.mark.slow
@pytest.mark.parametrize("name", planted.PLANTED)
def test_a_rehearsal_finds_what_fails_late(name: str, tmp_path: Path) -> None:
    assert not api.validate(planted.spec(name), workspace=workspace_of(tmp_path)).errors, "it is valid"
    assert failing(name, tmp_path, empty=False) == [planted.PLANTED[name].failing]


@pytest.mark.slow
@pytest.mark.parametrize("name", planted.PLANTED)
def test_without_rows_it_finds_wrong_columns_and_reports_nothing_else(name: str, tmp_path: Path) -> None:
    defect = planted.PLANTED[name]
    assert failing(name, tmp_path, empty=True) == ([defect.failing] if defect.columns else [])


def workspace_of(root: Path) -> api.Workspace:
    planted.write(root)
    return api.Workspace.open(root=root, environ={})
