"""Steps under ``finally``: they run after all others, whatever became of those."""

from __future__ import annotations

import signal
import time

import pytest

from e2i import api
from e2i.execution.engine import Engine
from e2i.execution.events import Event, StepStarted
from project import Project, lines

HEAD = "version: 1\nname: e\nsteps:\n"
SPEC = """
version: 1
name: ends
steps:
  work: {uses: WORK}
  below: {uses: debug.echo, needs: [work], with: {value: done}}
finally:
  tell:
    uses: debug.echo
    with: {value: "${{ run.status }}: ${{ steps.below.value | default('nothing') }}"}
  alarm: {uses: debug.echo, when: "${{ run.status == 'failed' }}", with: {value: "${{ steps.tell.value }}"}}
outputs: {told: "${{ steps.tell.value }}"}
"""


def test_they_run_after_a_success(project: Project) -> None:
    spec = SPEC.replace("WORK", "debug.echo")
    planned = {step.id: step.verdict.value for step in project.plan(spec).steps}
    assert planned == {"work": "run", "below": "run", "tell": "always", "alarm": "undecided"}
    record = project.run(spec)
    assert (record.status, record.outputs) == ("succeeded", {"told": "succeeded: done"})
    assert record.steps["alarm"].status.value == "skipped"
    again = project.statuses(spec)
    assert again == {"work": "reused", "below": "reused", "tell": "succeeded", "alarm": "skipped"}


def test_they_run_after_a_failure_and_know_of_it(project: Project) -> None:
    record = project.run(SPEC.replace("WORK", "debug.fail"))
    assert (record.status, record.outputs) == ("failed", {"told": "failed: nothing"})
    assert {name: step.status.value for name, step in record.steps.items()} == {
        "work": "failed", "below": "skipped", "tell": "succeeded", "alarm": "succeeded"
    }  # fmt: skip
    assert [event.step for event in project.happened(StepStarted)] == ["work", "tell", "alarm"]


def test_a_failure_among_them_fails_the_run(project: Project) -> None:
    spec = HEAD + "  a: {uses: debug.echo}\nfinally:\n  b: {uses: debug.fail}\n  c: {uses: debug.echo}\n"
    record = project.run(spec)
    assert record.status == "failed"
    assert {name: step.status.value for name, step in record.steps.items()} == {
        "a": "succeeded", "b": "failed", "c": "succeeded"
    }  # fmt: skip


def test_they_run_with_any_selection(project: Project) -> None:
    spec = HEAD + "  a: {uses: debug.echo}\n  b: {uses: debug.echo}\nfinally:\n  c: {uses: debug.echo}\n"
    assert project.statuses(spec, select=["a"]) == {"a": "succeeded", "b": "skipped", "c": "succeeded"}


@pytest.mark.parametrize(("stops", "expected"), [(1, "succeeded"), (2, "cancelled")])
def test_they_run_after_one_interruption_and_not_after_two(project: Project, stops: int, expected: str) -> None:
    spec = """
version: 1
name: stopped
steps:
  slow: {uses: debug.sleep, with: {seconds: 1}}
  later: {uses: debug.echo, needs: [slow]}
finally:
  tell: {uses: debug.echo, with: {value: "${{ run.status }}"}}
"""
    engines: list[Engine] = []
    stopped: list[float] = []

    def listen(event: Event) -> None:
        if isinstance(event, StepStarted) and event.step == "slow":
            stopped.append(time.monotonic())
            for _ in range(stops):
                engines[0].stop()

    record = api.run(spec, workspace=project.workspace, listen=listen, on_engine=engines.append)
    assert record.status == "interrupted"
    assert record.steps["later"].status.value == "cancelled"
    assert record.steps["tell"].status.value == expected
    if stops == 1:
        assert record.steps["tell"].outputs == {"value": "interrupted"}
    else:  # whatever the last delivery waits for, the run is over 5 s after the signal
        assert engines[0]._parted_at < stopped[0] + 5


def test_an_interrupted_command_still_runs_them(project: Project) -> None:
    project.write(
        "s.yaml",
        HEAD + f"  slow: {{{project.hold()}}}\n  b: {{uses: debug.echo, needs: [slow]}}\n"
        "finally:\n  tell: {uses: debug.echo}\n",
    )
    with project.start("run", "s.yaml", "--json") as process:
        assert process.stdout is not None
        assert any('"step.started"' in line for line in process.stdout)
        process.send_signal(signal.SIGINT)
        assert any('"run.stopping"' in line for line in process.stdout)
        project.let_go()
        rest = process.stdout.read()
    assert process.returncode == 130
    steps = lines(rest)[-1]["steps"]
    assert (steps["b"]["status"], steps["tell"]["status"]) == ("cancelled", "succeeded")
