"""The plan is the truth: after any edit, a run does what the plan said of every step."""

from __future__ import annotations

import json
from collections import Counter
from random import Random

import pytest

from e2i.errors import InvalidSpec
from e2i.planning.model import PlanStep, Verdict, Why
from project import Project
from properties.inline import Inline
from properties.pipelines import edit, pipeline

PIPELINES, EDITS = 25, 20
RUN = [seed if seed < 8 else pytest.param(seed, marks=pytest.mark.slow) for seed in range(PIPELINES)]
"""Those that are run: the default tests take some."""
MEANS = {
    Verdict.RUN: {"succeeded", "failed"},
    Verdict.ALWAYS: {"succeeded", "failed"},
    Verdict.REUSE: {"reused"},
    Verdict.SKIP: {"skipped"},
}


@pytest.mark.parametrize("seed", RUN)
def test_what_the_plan_says_is_what_the_run_does(project: Project, seed: int) -> None:
    """500 edits in all, each upon the last, with all that was finished before still in the store."""
    rng = Random(seed)
    spec = pipeline(rng)
    done: Counter[str] = Counter()
    while done.total() < EDITS:
        name, changed = edit(spec, rng)
        try:
            planned = project.plan(changed)
        except InvalidSpec:  # an edit that is no spec, such as a condition that may take away what is read
            continue
        spec = changed
        record = project.run(spec)
        wrong = {
            step.id: (step.verdict.value, step.reason, record.steps[step.id].status.value)
            for step in planned.steps
            if record.steps[step.id].status.value not in means(step)
        }
        assert not wrong, f"{name}: {json.dumps(spec, indent=1)}"
        assert {step.id for step in planned.steps} == set(record.steps)
        assert set(Inline.executed) == {
            n for n, step in record.steps.items() if step.status.value in MEANS[Verdict.RUN]
        }
        done[name] += 1


def means(step: PlanStep) -> set[str]:
    """What may become of a step of that verdict: deferred steps run or are reused; with an unknown condition also skipped."""
    if step.verdict is Verdict.UNDECIDED:
        return {"succeeded", "failed", "reused"} | ({"skipped"} if step.reason.code is Why.WHEN_UNKNOWN else set())
    return MEANS[step.verdict]


@pytest.mark.parametrize("seed", RUN)
def test_a_plan_after_the_run_has_nothing_to_do(project: Project, seed: int) -> None:
    spec = pipeline(Random(seed))
    try:
        before = project.plan(spec)
    except InvalidSpec:
        pytest.skip("not a spec")
    record = project.run(spec)
    after = project.plan(spec)
    moving: set[str] = set()
    """Steps that are executed again, and those that must wait to see what these give."""
    for step in after.steps:
        if step.verdict is Verdict.ALWAYS or record.steps[step.id].status.value == "failed" or moving & set(step.needs):
            moving.add(step.id)
        else:
            assert step.verdict in (Verdict.REUSE, Verdict.SKIP), (step.id, step.reason, json.dumps(spec, indent=1))
    assert after.digest == before.digest


def test_the_pipelines_have_steps_of_all_kinds() -> None:
    """The property would be empty if chance never made conditions, cells or parts."""
    specs = [pipeline(Random(seed)) for seed in range(PIPELINES)]
    steps = [step for spec in specs for step in spec["steps"].values()]
    assert all(any(key in step for step in steps) for key in ("when", "matrix", "needs", "cache"))
    assert {step["uses"] for step in steps} == {"debug.echo", "debug.sleep", "debug.fail", "./part.yaml"}
    assert any("finally" in spec for spec in specs)
