"""Runs of pipelines with included specs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from e2i.errors import InvalidSpec, Refused
from project import Project

PART = """
version: 1
name: part
params:
  table: {type: any}
  factor: {type: integer, default: 2}
steps:
  a: {uses: debug.echo, with: {value: "${{ params.table }}"}}
  b: {uses: debug.echo, with: {value: ["${{ steps.a.value }}", "${{ params.factor }}"]}}
outputs:
  sum: ${{ steps.b.value }}
"""
SPEC = """
version: 1
name: whole
params: {on: {type: boolean, default: true}}
steps:
  load: {uses: debug.echo, with: {value: 1}}
  each:
    uses: ./parts/part.yaml
    matrix: {factor: [1, 2]}
    with: {table: "${{ steps.load.value }}", factor: "${{ matrix.factor }}"}
  maybe:
    uses: ./parts/part.yaml
    when: ${{ params.on and steps.load.value == 1 }}
    with: {table: {x: "${{ steps.load.value }}"}}
  all: {uses: debug.echo, with: {value: ["${{ steps.each }}", "${{ steps.maybe.sum | default('none') }}"]}}
outputs: {all: "${{ steps.all.value }}"}
"""


@pytest.fixture
def parts(project: Project) -> Project:
    project.write("parts/part.yaml", PART)
    return project


def test_an_included_spec_runs_like_steps_of_its_own(parts: Project) -> None:
    record = parts.run(SPEC)
    assert record.status == "succeeded"
    cells, maybe = record.outputs["all"]
    assert [cell["outputs"]["sum"] for cell in cells] == [[1, 1], [1, 2]]
    assert maybe == [{"x": 1}, 2]
    assert set(parts.statuses(SPEC).values()) == {"reused"}


def test_a_condition_skips_a_whole_included_spec(parts: Project) -> None:
    record = parts.run(SPEC, {"on": False})
    assert {record.steps[name].status.value for name in ("maybe/a", "maybe/b")} == {"skipped"}
    assert record.outputs["all"][1] == "none"


def test_a_changed_included_spec_runs_again_what_it_changes(parts: Project) -> None:
    parts.run(SPEC)
    parts.write("parts/part.yaml", PART.replace('"${{ params.factor }}"]', '"${{ params.factor }}", 0]'))
    planned = {step.id: step.verdict.value for step in parts.plan(SPEC).steps}
    assert {planned[name] for name in ("load", "each[1]/a", "maybe/a")} <= {"reuse", "undecided"}
    assert {planned[name] for name in ("each[1]/b", "each[2]/b")} == {"run"}


def test_on_error_continue_holds_inside_the_included_spec(parts: Project) -> None:
    parts.write(
        "parts/fails.yaml",
        "version: 1\nname: f\nsteps:\n  a: {uses: debug.fail, on_error: fail}\noutputs: {x: '${{ steps.a }}'}\n",
    )
    spec = """
version: 1
name: goes-on
steps:
  p: {uses: ./parts/fails.yaml, on_error: continue}
  after: {uses: debug.echo, needs: [p]}
"""
    record = parts.run(spec)
    assert record.status == "succeeded"
    assert {name: step.status.value for name, step in record.steps.items()} == {"p/a": "failed", "after": "succeeded"}


def test_a_step_can_be_selected_inside_an_included_spec_or_with_it(parts: Project) -> None:
    def chosen(*select: str) -> set[str]:
        return {step.id for step in parts.plan(SPEC, select=select).steps if step.verdict.value != "skip"}

    assert chosen("each") == {"load", "each[1]/a", "each[1]/b", "each[2]/a", "each[2]/b"}
    assert chosen("each[2]/a") == {"load", "each[2]/a"}


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("part", "factor: {type: integer, default: 2}", "factor: {type: integer, default: 3}"),
        ("part", "sum: ${{ steps.b.value }}", "sum: ${{ steps.a.value }}"),
        ("spec", '{x: "${{ steps.load.value }}"}', '{y: "${{ steps.load.value }}"}'),
        ("spec", "params.on and steps", "not params.on and steps"),
        ("spec", "factor: [1, 2]", "factor: [1, 3]"),
    ],
)
def test_an_approved_plan_covers_its_included_specs(parts: Project, file: str, old: str, new: str) -> None:
    document: dict[str, Any] = json.loads(json.dumps(parts.plan(SPEC).to_json()))
    parts.write("parts/part.yaml", "# a comment\n" + PART)
    parts.run(SPEC, bound_to=document)
    spec, part = (SPEC, PART.replace(old, new)) if file == "part" else (SPEC.replace(old, new), PART)
    assert (spec, part) != (SPEC, PART)
    parts.write("parts/part.yaml", part)
    with pytest.raises(Refused):
        parts.run(spec, bound_to=document)


def test_an_included_spec_behind_a_link_out_of_the_workspace_is_refused(parts: Project) -> None:
    outside = parts.root.parent / "outside.yaml"
    outside.write_text(PART)
    (parts.root / "link.yaml").symlink_to(outside)
    with pytest.raises(InvalidSpec) as caught:
        parts.plan("version: 1\nname: x\nsteps:\n  p: {uses: ./link.yaml, with: {table: 1}}\n")
    assert [problem.code for problem in caught.value.problems] == ["no-such-include"]
