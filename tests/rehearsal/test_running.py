"""A rehearsal runs all of a spec on a sample, touches nothing, and names what it did not exercise."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

import planted
from e2i.documents import ParamValues
from e2i.rehearsal import running
from e2i.rehearsal.sampling import Wanted
from project import Project

SPEC = """\
version: 1
name: whole
steps:
  load: {uses: data.load, with: {path: people.csv}}
  visits: {uses: data.load, with: {path: visits.csv}}
  regions: {uses: data.load, with: {path: regions.csv}}
  north: {uses: data.select, with: {table: "${{ steps.regions.table }}", where: [{column: boss, op: ne, value: b}]}}
  join: {uses: table.join, with: {left: "${{ steps.load.table }}", right: "${{ steps.north.table }}", on: [region]}}
  out: {uses: data.write, with: {table: "${{ steps.join.table }}", path: out/joined.csv}}
  again: {uses: data.load, on_error: continue, with: {path: "${{ steps.out.file.path }}"}}
  shared: {uses: data.write, with: {table: "${{ steps.join.table }}", path: ../shared/joined.csv}}
  back: {uses: data.load, with: {path: "${{ steps.shared.file.path }}"}}
  stored: {uses: database.write, with: {table: "${{ steps.visits.table }}", connection: real, into: visits, mode: replace}}
  read: {uses: database.read, needs: [stored], with: {connection: real, table: visits}}
  rare: {uses: debug.echo, when: "${{ steps.join.table.rows > 2500 }}", with: {value: 1}}
  split: {uses: data.split, with: {table: "${{ steps.load.table }}", strategy: entity, by: person}}
outputs:
  table: ${{ steps.again.table }}
"""


def digests(root: Path) -> dict[str, str]:
    """The content of every file below a folder."""
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in root.rglob("*") if path.is_file()}


@pytest.fixture
def project(project: Project) -> Project:
    planted.write(project.root)
    project.write("visits.csv", "\n".join(["person,at", *(f"{index % 900},{index}" for index in range(5_000)), ""]))
    settings = "tools: {database: {connections: {real: {url: 'sqlite:///real.db', read_only: false}}}}\n"
    project.write("config/default.yaml", f"sinks: [mlflow]\n{settings}")
    project.write("config/policy.yaml", "human: {roots: [., ../shared], write_roots: [., ../shared]}\n")
    project.write("whole.yaml", SPEC)
    return project


def test_a_whole_spec_runs_on_a_sample_and_nothing_real_is_touched(project: Project) -> None:
    (project.root.parent / "shared").mkdir()
    before = digests(project.root.parent)
    found = running.rehearse(project.root / "whole.yaml", ParamValues(), Wanted(rows=300), project.workspace)
    document = found.document
    assert digests(project.root.parent) == before, "no file is new, changed or gone"
    assert document.status == "succeeded", document.failures
    sample = {(one.step, one.output): one for one in document.sample}
    load, visits, regions = (sample[name, "table"] for name in ("load", "visits", "regions"))
    assert 150 <= load.rows <= 600 and load.of == planted.ROWS and "whole person" in load.how
    assert visits.rows <= 600 and visits.of == 5_000, "the same people as in the first source, or some of them"
    assert regions.rows == regions.of == 3 and "looked up" in regions.how
    steps = {name: step.status.value for name, step in document.steps.items()}
    assert steps["again"] == steps["back"] == "succeeded", "a file that a step writes is read where it was written"
    assert sample["again", "table"].of == load.rows and sample["read", "table"].of == visits.rows
    missing = {(one.kind, one.step) for one in document.not_exercised}
    assert {("skipped", "rare"), ("held-back", "out"), ("stand-in", "stored")} <= missing
    assert {("branch", "again"), ("held-back", "")} <= missing


def test_the_command_prints_where_a_step_fails_and_what_is_not_exercised(project: Project) -> None:
    project.write("bad.yaml", planted.spec("python_looks_for_a_column"))
    done = project.cli("rehearse", "bad.yaml", "--empty")
    assert done.returncode == 1, done.stderr
    assert 'bad.yaml:6:16: error: step "look" failed' in done.stdout and "not exercised" in done.stdout
    done = project.cli("rehearse", "bad.yaml", "--rows", "50", "--json")
    printed = json.loads(done.stdout)
    assert done.returncode == 1 and printed["status"] == "failed" and printed["sample"][0]["rows"] == 50
    (failure,) = printed["failures"]
    assert (failure["line"], failure["path"]) == (6, "/steps/look/uses")
    assert not project.store.exists()
