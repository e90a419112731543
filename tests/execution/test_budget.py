"""What steps take is recorded, estimates the next plan, and is held against the budgets of spec and policy."""

from __future__ import annotations

import json

import pytest

from e2i.errors import RefusedSpec
from e2i.execution.events import SpecWarning
from e2i.store.history import Reader
from project import Project

STEP = """
import time


def hold(rows: int):
    kept = bytearray(50_000_000)
    time.sleep(0.3)
    return len(kept) + rows
"""
SPEC = """\
version: 1
name: budgeted
params:
  rows: {type: integer, default: 2000}
  more: {type: integer, default: 1}
BUDGET
steps:
  data: {uses: dataset.hcp, with: {rows: "${{ params.rows }}"}}
  hold: {uses: python.call, needs: [data], with: {file: hold.py, function: hold, arguments: {rows: "${{ params.more }}"}}}
  echo: {uses: debug.echo, with: {value: "${{ steps.hold.value }}"}}
"""


def test_a_plan_is_estimated_from_recorded_steps_and_held_to_budgets(project: Project) -> None:
    project.write("hold.py", STEP)
    project.write("free.yaml", SPEC.replace("BUDGET\n", ""))
    project.write("tight.yaml", SPEC.replace("BUDGET", "budget: {time: 100ms, memory: 1MB, cost: 0.01}"))
    project.write("config/default.yaml", "sinks: []\nflush: 5\nresources: {hourly_cost: 3600}\n")
    tight, free = project.root / "tight.yaml", project.root / "free.yaml"

    unknown = project.plan(free, estimate=True).estimate
    assert unknown is not None and unknown.seconds is None and {one.note for one in unknown.steps} == {"no history"}
    assert not project.plan(tight).warnings, "the first run is over no budget"

    assert project.run(free).status == "succeeded"
    with Reader(project.store, lambda digest: True) as reader:
        used = {one.step: one for one in reader.usage("budgeted")[0]}
    assert used["hold"].seconds >= 0.3 and (used["hold"].memory or 0) >= 45_000_000
    assert used["data"].amount == 2000 and used["data"].outputs.keys() == {"journeys", "history", "truth"}
    assert used["echo"].memory is None, "it needs no worker"

    reused = project.plan(free, estimate=True).estimate
    assert reused is not None and reused.seconds is None and {one.note for one in reused.steps} == {"reused"}
    plan = project.plan(tight, {"more": 2})
    assert plan.estimate is not None and plan.estimate.unknown == []
    hold = next(one for one in plan.estimate.steps if one.id == "hold")
    assert hold.seconds is not None and hold.seconds.low < 0.3 < hold.seconds.high and hold.based_on == 1
    assert [(one.code, one.severity, one.path, one.location.line) for one in plan.warnings] == [
        ("over-budget", "warning", "/budget/time", 6),
        ("over-budget", "warning", "/budget/memory", 6),
        ("over-budget", "warning", "/budget/cost", 6),
    ]
    assert plan.estimate.cost == plan.estimate.seconds, "an hour costs as many units as it has seconds"
    assert plan.to_json()["estimate"]["steps"][0]["note"] == "reused"
    assert "estimate" not in project.plan(free).to_json()
    assert project.run(tight, {"more": 2}).status == "succeeded"
    assert {event.problem.code for event in project.happened(SpecWarning)} == {"over-budget"}

    project.write("config/policy.yaml", "human: {budgets: {time: 200ms}}\n")
    for planned in (project.plan, project.run):
        with pytest.raises(RefusedSpec) as refused:
            planned(free, {"more": 3})
        (problem,) = refused.value.problems
        assert (problem.code, problem.path, problem.location.line) == ("policy-budget", "/steps", 6)
    done = project.cli("plan", "free.yaml", "-p", "more=3", "--json")
    assert done.returncode == 3 and json.loads(done.stdout)["problems"][0]["code"] == "policy-budget"
