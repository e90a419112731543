"""A step of a past run becomes a test case: its inputs are fixtures."""

from __future__ import annotations

from pathlib import Path

import pytest

from e2i import api
from e2i.errors import BadInput
from e2i.testing import recording, suite
from project import Project

SPEC = """\
version: 1
name: a
params:
  more: {type: integer, default: 1}
steps:
  load: {uses: data.load, with: {path: people.csv}}
  echo: {uses: debug.echo, with: {value: [1, two]}}
  big:
    uses: data.select
    with: {table: "${{ steps.load.table }}", where: [{column: age, op: ge, value: "${{ steps.echo.value[0] }}"}]}
outputs: {big: "${{ steps.big.table }}"}
"""


def test_the_inputs_of_a_step_are_kept(tmp_path: Path) -> None:
    project = Project(tmp_path)
    spec = project.write("a.yaml", SPEC)
    project.write("people.csv", "id,age,at\n1,0,2024-01-01T00:00:00Z\n2,5,\n")
    done = api.run(spec, workspace=project.workspace)
    found = recording.record("last", "big", project.workspace)
    assert (found.added, found.fixtures) == (True, ["a.fixtures/load.table.csv"])
    assert (tmp_path / "a.test.yaml").read_text() == f"tests: ./a.yaml\ncases:\n{found.text}"
    again = recording.record(done.run, "big", project.workspace)
    assert (again.added, again.fixtures) == (False, ["a.fixtures/load.table-2.csv"])  # the case is there already
    before = content(project.store)
    (ready,) = suite.load([str(tmp_path / "a.test.yaml")])
    result = suite.run([ready])
    assert content(project.store) == before
    assert (result.passed, result.failed) == (1, 0), result
    assert result.files[0].cases[0].ran == ["big"]


def content(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of change of each file."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in files}


def test_an_unknown_step_is_reported(tmp_path: Path) -> None:
    project = Project(tmp_path)
    spec = project.write("a.yaml", "version: 1\nname: a\nsteps:\n  one: {uses: debug.echo, with: {value: 1}}\n")
    api.run(spec, workspace=project.workspace)
    with pytest.raises(BadInput, match="has no step 'two'"):
        recording.record("last", "two", project.workspace)
