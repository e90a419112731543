"""``e2i gc`` as its own process, and what a run does about artifacts that rot."""

from __future__ import annotations

import json
from pathlib import Path

from e2i.execution.events import ArtifactCorrupt
from project import Project

STEPS = """
import pandas as pd
def make(n):
    return pd.DataFrame({"n": range(n)})
def size(table):
    return len(table)
def spoil(table):
    import glob, os
    for path in glob.glob(".e2i/objects/??/*"):
        os.chmod(path, 0o644)
        with open(path, "ab") as file:
            file.write(b"more")
    return len(table)
"""
SPEC = """
version: 1
name: rot
params: {n: {type: integer, default: 3}}
steps:
  make: {uses: python.call, with: {file: steps.py, function: make, arguments: {n: "${{ params.n }}"}}}
"""
SPOILING = (
    SPEC
    + """
  spoil: {uses: python.call, with: {file: steps.py, function: spoil, arguments: {table: "${{ steps.make.table }}"}}}
  shape: {uses: python.call, needs: [spoil], with: {file: steps.py, function: size, arguments: {table: "${{ steps.make.table }}"}}}
"""
)


def objects(project: Project) -> list[Path]:
    return sorted((project.store / "objects").glob("??/*"))


def test_corruption_is_reported_in_a_line_and_rebuilt(project: Project) -> None:
    project.write("steps.py", STEPS)
    project.write("rot.yaml", SPEC)
    assert project.statuses(SPEC) == {"make": "succeeded"}
    (file,) = objects(project)
    intact = file.read_bytes()
    file.chmod(0o644)
    file.write_bytes(intact[:-1])
    assert [step.verdict.value for step in project.plan(SPEC).steps] == ["run"]
    assert file.read_bytes() == intact[:-1], "a plan moves nothing"
    result = project.cli("run", "rot.yaml")
    assert result.returncode == 0
    assert f"! corrupt artifact sha256:{file.parent.name}{file.name}"[:30] in result.stderr
    assert file.read_bytes() == intact
    assert [kept.read_bytes() for kept in (project.store / "quarantine").iterdir()] == [intact[:-1]]
    assert project.statuses(SPEC) == {"make": "reused"}
    assert project.happened(ArtifactCorrupt) == []


def test_corruption_in_the_middle_of_a_run_fails_the_step_and_the_next_run_rebuilds_it(project: Project) -> None:
    """P23: a step writes to its input; the next reader does not get the changed bytes."""
    project.write("steps.py", STEPS)
    record = project.run(SPOILING)
    assert record.steps["shape"].error is not None
    assert record.steps["shape"].error.code == "artifact-corrupt"
    project.write("steps.py", STEPS.replace('file.write(b"more")', "pass"))
    again = project.statuses(SPOILING)
    assert (again["make"], again["shape"]) == ("succeeded", "succeeded")


def test_gc_says_what_it_freed(project: Project) -> None:
    project.write("steps.py", STEPS)
    first, second = (project.run(SPEC, {"n": n}).run for n in (3, 4))
    assert project.cli("gc", "--pin", first).stdout == f"{first} is pinned\n"
    forecast = json.loads(project.cli("gc", "--keep-days", "0", "--dry-run", "--json").stdout)
    assert (forecast["dry_run"], forecast["runs"], forecast["objects"]) == (True, [second], 1)
    assert len(objects(project)) == 2
    reported = project.cli("gc", "--keep-days", "0")
    assert reported.returncode == 0
    assert reported.stdout.splitlines()[:4] == [
        "removed", "  runs              1", "  results           1", "  artifacts         1",
    ]  # fmt: skip
    assert len(objects(project)) == 1
    assert project.statuses(SPEC, {"n": 3}) == {"make": "reused"}
    assert json.loads(project.cli("gc", "--unpin", first, "--json").stdout)["unpinned"] == first


def test_a_run_is_pinned_by_any_of_its_names(project: Project) -> None:
    run = project.run("version: 1\nname: s\nsteps: {a: {uses: debug.echo, with: {value: 1}}}\n").run
    for name in ("last", run[:-1], run):
        assert project.cli("gc", "--pin", name).stdout == f"{run} is pinned\n"
        assert project.cli("gc", "--unpin", name).stdout == f"{run} is no longer pinned\n"
    assert project.cli("gc", "--pin", "last~1").returncode == 2


def test_gc_refuses_what_it_does_not_understand(project: Project) -> None:
    for arguments, code in (
        (("--max-size", "much"), "bad-option"),
        (("--pin", "none"), "unknown-run"),
    ):
        result = project.cli("gc", *arguments)
        assert (result.returncode, f"[{code}]" in result.stderr) == (2, True), result.stderr
