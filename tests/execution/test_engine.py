"""Runs with real workers and a real run store: the end of every step against its plan."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from e2i import api
from e2i.errors import InvalidSpec, Refused
from e2i.execution.events import RunFinished, RunStarted, StepFinished, StepRetried, StepStarted
from e2i.planning.model import Plan, Verdict
from project import Project, until

CHAIN = """
version: 1
name: chain
params:
  trials: {type: integer, default: 20}
steps:
  load: {uses: debug.echo, with: {value: [1, 2]}}
  tune:
    uses: debug.echo
    with:
      value: {table: "${{ steps.load.value }}", trials: "${{ params.trials }}"}
  report:
    uses: debug.echo
    with: {value: "${{ steps.tune.value.trials }}"}
outputs:
  trials: ${{ steps.report.value }}
"""


def verdicts(plan: Plan) -> dict[str, str]:
    return {step.id: step.verdict.value for step in plan.steps}


def test_a_run_gives_the_outputs_of_the_pipeline(project: Project) -> None:
    record = project.run(CHAIN)
    assert record.status == "succeeded"
    assert record.outputs == {"trials": 20}
    assert {step.attempts for step in record.steps.values()} == {1}


def test_a_second_run_repeats_nothing(project: Project) -> None:
    project.run(CHAIN)
    assert set(verdicts(project.plan(CHAIN)).values()) == {"reuse"}
    assert set(project.statuses(CHAIN).values()) == {"reused"}
    assert not project.happened(StepStarted)


def test_comments_order_of_keys_and_descriptions_change_nothing(project: Project) -> None:
    project.run(CHAIN)
    other = """
# nothing that counts is different here
name: chain
version: 1
description: The same.
steps:
  report: {with: {value: "${{ steps.tune.value.trials }}"}, uses: debug.echo, description: Reports.}
  tune: {with: {value: {trials: "${{ params.trials }}", table: "${{ steps.load.value }}"}}, uses: debug.echo}
  load: {uses: debug.echo, with: {value: [1,   2]}}
params: {trials: {default: 20, type: integer}}
"""
    assert set(project.statuses(other).values()) == {"reused"}


def test_a_changed_parameter_is_named_and_what_depends_on_it_waits_for_it(project: Project) -> None:
    project.run(CHAIN)
    planned = project.plan(CHAIN, {"trials": 40})
    tune = next(step for step in planned.steps if step.id == "tune")
    assert (tune.reason.code, tune.reason.detail) == ("parameter-changed", "value.trials 20 → 40")
    assert verdicts(planned) == {"load": "reuse", "tune": "run", "report": "undecided"}
    assert project.statuses(CHAIN, {"trials": 40}) == {"load": "reused", "tune": "succeeded", "report": "succeeded"}


def test_a_deferred_step_is_reused_when_its_inputs_come_out_as_before(project: Project) -> None:
    spec = """
version: 1
name: parity
params: {n: {type: integer, default: 1}}
steps:
  parity: {uses: debug.echo, with: {value: "${{ params.n }}", }}
  odd: {uses: debug.echo, with: {value: "${{ steps.parity.value % 2 }}"}}
  below: {uses: debug.echo, with: {value: ["${{ steps.odd.value }}"]}}
"""
    project.run(spec)
    assert verdicts(project.plan(spec, {"n": 3})) == {"parity": "run", "odd": "undecided", "below": "undecided"}
    assert project.statuses(spec, {"n": 3}) == {"parity": "succeeded", "odd": "reused", "below": "reused"}


def test_steps_that_are_planned_to_run_are_executed_even_if_they_do_equal_work(project: Project) -> None:
    spec = """
version: 1
name: twins
steps:
  a: {uses: debug.echo, with: {value: 1}}
  b: {uses: debug.echo, with: {value: "${{ steps.a.value }}"}}
  c: {uses: debug.echo, needs: [b], with: {value: 1}}
"""
    assert set(verdicts(project.plan(spec)).values()) == {"run"}
    assert set(project.statuses(spec).values()) == {"succeeded"}


def test_fresh_reuses_nothing(project: Project) -> None:
    project.run(CHAIN)
    assert set(verdicts(project.plan(CHAIN, fresh=True)).values()) == {"run"}
    assert set(project.statuses(CHAIN, fresh=True).values()) == {"succeeded"}


def test_a_step_without_a_cache_always_runs(project: Project) -> None:
    spec = "version: 1\nname: n\nsteps:\n  a: {uses: debug.echo, cache: false}\n"
    project.run(spec)
    assert verdicts(project.plan(spec)) == {"a": "always"}
    assert project.statuses(spec) == {"a": "succeeded"}


def test_a_selection_leaves_the_rest_out(project: Project) -> None:
    assert project.statuses(CHAIN, select=["tune"]) == {"load": "succeeded", "tune": "succeeded", "report": "skipped"}
    assert project.run(CHAIN, select=["tune"]).outputs == {"trials": None}


def test_the_seed_is_an_input_of_every_step(project: Project) -> None:
    spec = CHAIN.replace("params:", "params:\n  seed: {type: integer, default: 1}")
    project.run(spec)
    planned = project.plan(spec, {"seed": 2})
    assert planned.steps[0].reason.detail == "1 → 2"
    assert planned.steps[0].verdict is Verdict.RUN


# Matrix


def test_a_combination_reads_its_counterpart_and_a_plain_step_reads_all_combinations(project: Project) -> None:
    spec = """
version: 1
name: cells
steps:
  fit:
    uses: debug.echo
    matrix: {algorithm: [a, b], fold: [1, 2]}
    with: {value: "${{ matrix.algorithm }}${{ matrix.fold }}"}
  score:
    uses: debug.echo
    matrix: {fold: [1, 2], algorithm: [a, b]}
    with: {value: "${{ steps.fit.value }}!"}
  best: {uses: debug.echo, with: {value: "${{ steps.score }}"}}
  first: {uses: debug.echo, with: {value: "${{ steps.score[0].outputs.value }}"}}
outputs: {best: "${{ steps.best.value }}", first: "${{ steps.first.value }}", all: "${{ steps.fit }}"}
"""
    record = project.run(spec)
    assert record.outputs["first"] == "a1!"
    assert [cell["outputs"]["value"] for cell in record.outputs["best"]] == ["a1!", "a2!", "b1!", "b2!"]
    assert record.outputs["best"][1]["matrix"] == {"fold": 2, "algorithm": "a"}
    assert [cell["outputs"]["value"] for cell in record.outputs["all"]] == ["a1", "a2", "b1", "b2"]


def test_a_new_cell_is_the_only_one_that_runs(project: Project) -> None:
    spec = """
version: 1
name: m
steps:
  a:
    uses: debug.echo
    matrix: {x: [1, 2]}
    with: {value: '${{ matrix.x }}'}
"""
    project.run(spec)
    more = spec.replace("[1, 2]", "[1, 2, 3]")
    assert project.statuses(more) == {"a[1]": "reused", "a[2]": "reused", "a[3]": "succeeded"}


# Conditions and failures


def test_a_condition_leaves_out_what_shares_it_and_what_can_do_without_runs(project: Project) -> None:
    spec = """
version: 1
name: skips
params: {on: {type: boolean, default: false}}
steps:
  off: {uses: debug.echo, when: "${{ params.on }}"}
  reads: {uses: debug.echo, when: "${{ params.on }}", with: {value: "${{ steps.off.value }}"}}
  follows: {uses: debug.echo, needs: [off]}
  falls_back: {uses: debug.echo, with: {value: "${{ steps.off.value | default('none') }}"}}
outputs: {fallback: "${{ steps.falls_back.value }}"}
"""
    assert verdicts(project.plan(spec)) == {"off": "skip", "reads": "skip", "follows": "run", "falls_back": "run"}
    record = project.run(spec)
    assert {name: step.status.value for name, step in record.steps.items()} == {
        "off": "skipped", "reads": "skipped", "follows": "succeeded", "falls_back": "succeeded"
    }  # fmt: skip
    assert (record.status, record.outputs) == ("succeeded", {"fallback": "none"})


@pytest.mark.parametrize(("gate", "expected"), [("true", "succeeded"), ("false", "skipped")])
def test_a_condition_on_a_result_is_deferred_and_then_decided(project: Project, gate: str, expected: str) -> None:
    spec = f"""
version: 1
name: gate
steps:
  gate: {{uses: debug.echo, with: {{value: {gate}}}}}
  open: {{uses: debug.echo, when: "${{{{ steps.gate.value }}}}"}}
  below:
    uses: debug.echo
    when: "${{{{ steps.gate.value }}}}"
    with: {{value: "${{{{ steps.open.value }}}}"}}
"""
    assert verdicts(project.plan(spec)) == {"gate": "run", "open": "undecided", "below": "undecided"}
    assert project.statuses(spec) == {"gate": "succeeded", "open": expected, "below": expected}


def test_a_condition_that_is_no_boolean_fails_the_step(project: Project) -> None:
    spec = """
version: 1
name: gate
steps:
  gate: {uses: debug.echo, with: {value: 3}}
  open: {uses: debug.echo, when: "${{ steps.gate.value }}"}
"""
    record = project.run(spec)
    assert record.status == "failed"
    assert record.steps["open"].error is not None
    assert record.steps["open"].error.code == "bad-condition"


def test_a_failure_skips_downstream_steps_and_nothing_else(project: Project) -> None:
    spec = """
version: 1
name: fails
steps:
  bad: {uses: debug.fail, with: {message: out of luck}}
  below: {uses: debug.echo, needs: [bad]}
  beside: {uses: debug.echo}
"""
    record = project.run(spec)
    assert record.status == "failed"
    assert {name: step.status.value for name, step in record.steps.items()} == {
        "bad": "failed", "below": "skipped", "beside": "succeeded"
    }  # fmt: skip
    assert record.steps["bad"].error is not None
    assert record.steps["bad"].error.message == "out of luck"
    assert record.steps["bad"].error.code == "asked-to-fail"


def test_on_error_continue_lets_the_run_succeed_and_what_follows_run(project: Project) -> None:
    spec = """
version: 1
name: goes-on
steps:
  bad: {uses: debug.fail, on_error: continue}
  follows: {uses: debug.echo, needs: [bad]}
"""
    record = project.run(spec)
    assert record.status == "succeeded"
    assert [step.status.value for step in record.steps.values()] == ["failed", "succeeded"]


def test_a_failed_step_runs_again_and_what_was_finished_does_not(project: Project) -> None:
    spec = """
version: 1
name: again
steps:
  good: {uses: debug.echo}
  bad: {uses: debug.fail, needs: [good]}
"""
    project.run(spec)
    assert verdicts(project.plan(spec)) == {"good": "reuse", "bad": "run"}
    assert project.statuses(spec) == {"good": "reused", "bad": "failed"}


def test_an_expression_that_fails_at_run_time_fails_its_step(project: Project) -> None:
    spec = """
version: 1
name: zero
steps:
  zero: {uses: debug.echo, with: {value: 0}}
  divide: {uses: debug.echo, with: {value: "${{ 1 / steps.zero.value }}"}}
"""
    record = project.run(spec)
    assert record.steps["divide"].error is not None
    assert record.steps["divide"].error.code == "bad-expression"
    assert "division by zero" in record.steps["divide"].error.message


# Outages


@pytest.mark.parametrize(("policy", "expected"), [("fail", "failed"), ("skip", "skipped"), ("defer", "deferred")])
def test_an_outage_means_what_on_unavailable_says(project: Project, policy: str, expected: str) -> None:
    spec = f"""
version: 1
name: outage
steps:
  out: {{uses: debug.fail, with: {{unavailable: true}}, on_unavailable: {policy}}}
  reads: {{uses: debug.echo, needs: [out]}}
"""
    record = project.run(spec)
    assert record.status == ("failed" if policy == "fail" else "succeeded")
    assert record.steps["out"].status.value == expected


def test_an_outage_is_tried_again_with_growing_waits(project: Project) -> None:
    spec = """
version: 1
name: retries
defaults: {retry: {attempts: 3, initial: 20ms, max: 30ms}}
steps:
  out: {uses: debug.fail, with: {unavailable: true, message: nobody answers}}
"""
    record = project.run(spec)
    assert record.steps["out"].attempts == 3
    retried = project.happened(StepRetried, "out")
    assert [event.attempt for event in retried] == [2, 3]
    assert [event.error.message for event in retried] == ["nobody answers"] * 2
    assert 0.018 <= retried[0].wait <= 0.02 and 0.027 <= retried[1].wait <= 0.03
    assert [event.attempt for event in project.happened(StepStarted, "out")] == [1, 2, 3]


def test_a_users_error_is_never_tried_again(project: Project) -> None:
    spec = """
version: 1
name: once
steps:
  bad: {uses: debug.fail, retry: {attempts: 5, initial: 1ms}}
"""
    assert project.run(spec).steps["bad"].attempts == 1
    assert not project.happened(StepRetried)


# Time limits and lost workers


def test_a_time_limit_ends_the_step_and_what_it_started(project: Project) -> None:
    project.write(
        "steps/slow.py",
        "import subprocess, time\n"
        "def wait():\n"
        "    subprocess.Popen(['sleep', '600'])\n"
        "    open('started', 'w').close()\n"
        "    time.sleep(600)\n",
    )
    spec = """
version: 1
name: slow
steps:
  slow: {uses: python.call, timeout: SECONDS s, with: {file: steps/slow.py, function: wait}}
"""
    for seconds in (3, 20, 100):  # more, where a worker takes longer to begin
        record = project.run(spec.replace("SECONDS ", str(seconds)))
        if (project.root / "started").exists():
            break
    assert record.steps["slow"].error is not None
    assert record.steps["slow"].error.code == "timeout"
    assert f"{seconds} s" in record.steps["slow"].error.message
    assert until(lambda: not project.processes("sleep"))


def test_a_worker_that_is_killed_is_reported_as_lost(project: Project) -> None:
    project.write("die.py", "import os\ndef die():\n    os.kill(os.getpid(), 9)\n")
    spec = """
version: 1
name: die
steps:
  die: {uses: python.call, with: {file: die.py, function: die}}
"""
    error = project.run(spec).steps["die"].error
    assert error is not None
    assert error.code == "worker-lost"
    assert "signal 9" in error.message


# Surroundings of a step


def test_a_worker_knows_no_secret_and_prints_into_its_log(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "do-not-tell")
    project.write("look.py", "import os\ndef look():\n    print('looking')\n    return dict(os.environ)\n")
    spec = """
version: 1
name: env
steps:
  look: {uses: python.call, with: {file: look.py, function: look}}
outputs: {env: '${{ steps.look.value }}'}
"""
    record = project.run(spec)
    environ = record.outputs["env"]
    assert "AWS_SECRET_ACCESS_KEY" not in environ
    assert environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert environ["OMP_WAIT_POLICY"] == "passive"
    log = project.store / "runs" / record.run / "logs" / "look.log"
    assert "looking" in log.read_text()
    assert log.stat().st_mode & 0o077 == 0


def test_a_secret_reaches_the_step_and_nothing_else(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_TOKEN", "hunter2hunter2")
    project.write("config/default.yaml", "sinks: []\nsecrets: {TOKEN: MY_TOKEN}\n")
    project.write(
        "use.py",
        "def use(token):\n    assert token == 'hunter2hunter2'\n    print('got ' + token)\n    return len(token)\n",
    )
    spec = """
version: 1
name: secret
steps:
  use: {uses: python.call, with: {file: use.py, function: use, arguments: {token: "${{ secrets.TOKEN }}"}}}
outputs: {value: "${{ steps.use.value }}"}
"""
    planned = project.plan(spec)
    record = project.run(spec)
    assert record.outputs == {"value": 14}
    reported = json.dumps([planned.to_json(), record.to_json(), [event.to_json() for event in project.events]])
    kept = b"".join(path.read_bytes() for path in project.store.rglob("*") if path.is_file())
    assert "hunter2" not in reported
    assert b"hunter2" not in kept


def test_a_secret_that_is_not_set_fails_its_step_not_the_engine(project: Project) -> None:
    project.write("config/default.yaml", "sinks: []\nsecrets: {TOKEN: NOT_SET_ANYWHERE}\n")
    spec = """
version: 1
name: s
steps:
  a: {uses: python.call, with: {file: use.py, function: use, arguments: {token: '${{ secrets.TOKEN }}'}}}
  b: {uses: debug.echo}
"""
    project.write("use.py", "def use(token): ...")
    record = project.run(spec)
    assert record.steps["a"].error is not None
    assert (record.steps["a"].error.code, record.steps["a"].error.hint) == (
        "secret-unset",
        "set NOT_SET_ANYWHERE",
    )
    assert record.steps["b"].status.value == "succeeded"


def test_what_is_known_of_the_run_can_be_read(project: Project) -> None:
    spec = """
version: 1
name: facts
steps:
  a: {uses: debug.echo, with: {value: '${{ run.name }}/${{ run.id }}'}}
outputs: {a: '${{ steps.a.value }}'}
"""
    assert verdicts(project.plan(spec)) == {"a": "always"}
    record = project.run(spec)
    assert record.outputs == {"a": f"facts/{record.run}"}
    assert project.statuses(spec) == {"a": "succeeded"}


def test_numbers_that_json_does_not_have_fail_the_step(project: Project) -> None:
    project.write("odd.py", "def give():\n    return [float('nan'), float('-inf'), 1]\n")
    spec = """
version: 1
name: nan
steps:
  a: {uses: python.call, with: {file: odd.py, function: give}}
outputs: {a: '${{ steps.a.value }}'}
"""
    record = project.run(spec)
    assert (record.status, record.outputs) == ("failed", {"a": None})


def test_nothing_is_written_outside_the_store(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    before = sorted(path for path in project.root.rglob("*"))
    project.run(CHAIN)
    after = sorted(path for path in project.root.rglob("*") if not path.is_relative_to(project.store))
    assert before == after
    assert list(home.iterdir()) == []
    assert not any((project.store / "tmp").glob("*"))


def test_a_folder_of_the_project_cannot_stand_in_for_a_module_of_the_engine(project: Project) -> None:
    project.write("json.py", "raise RuntimeError('not this one')\n")
    project.write("queue.py", "raise RuntimeError('not this one')\n")
    assert project.run(CHAIN).status == "succeeded"


# Approved plans


def approved(project: Project, spec: str, params: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(json.dumps(project.plan(spec, params, **options).to_json()))
    return document


def test_an_approved_plan_covers_comments_order_and_descriptions_and_work_done_since(project: Project) -> None:
    document = approved(project, CHAIN)
    other = "# approved\ndescription: other words\n" + CHAIN.replace("  load:", "  # first\n  load:")
    assert project.run(other, bound_to=document).status == "succeeded"
    assert project.run(CHAIN, bound_to=document).status == "succeeded"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[1, 2]", "[1, 3]", "load differs"),
        ("  load: {uses: debug.echo,", "  load: {uses: debug.echo, retry: {attempts: 3},", "load differs"),
        ("  load: {uses: debug.echo,", "  load: {uses: debug.echo, timeout: 5m,", "load differs"),
        ("  load: {uses: debug.echo,", "  load: {uses: debug.echo, when: true, needs: [],", None),
        ("  report:\n", "  extra: {uses: debug.echo}\n  report:\n", "extra is new"),
        ("default: 20", "default: 21", "the parameters differ"),
        ("name: chain", "name: train", "name differs"),
    ],
)
def test_an_approved_plan_covers_nothing_else(project: Project, old: str, new: str, said: str | None) -> None:
    document = approved(project, CHAIN)
    changed = CHAIN.replace(old, new)
    assert changed != CHAIN
    if said is None:
        assert project.run(changed, bound_to=document).status == "succeeded"
        return
    with pytest.raises(Refused, match=re.escape(said)):
        project.run(changed, bound_to=document)


def test_an_approved_selection_does_not_cover_the_rest(project: Project) -> None:
    document = approved(project, CHAIN, select=["load"])
    with pytest.raises(Refused, match=r"report differs \(selected\); tune differs \(selected\)"):
        project.run(CHAIN, bound_to=document)


def test_an_approved_plan_that_reuses_does_not_cover_running_everything_again(project: Project) -> None:
    project.run(CHAIN)
    document = approved(project, CHAIN)
    with pytest.raises(Refused):
        project.run(CHAIN, bound_to=document, fresh=True)


# The record


def test_every_event_names_the_run_and_the_last_one_tells_all(project: Project) -> None:
    record = project.run(CHAIN)
    assert {event.run for event in project.events} == {record.run}
    first, last = project.events[0], project.events[-1]
    assert isinstance(first, RunStarted) and isinstance(last, RunFinished)
    assert (last.status, last.outputs) == ("succeeded", {"trials": 20})
    assert set(last.to_json()["steps"]["load"]) == {"status", "attempts", "seconds", "error"}


def test_a_finished_step_is_committed_before_it_is_published(project: Project) -> None:
    from e2i.store.history import Reader

    seen: list[str] = []

    def listen(event: Any) -> None:
        if isinstance(event, StepFinished):
            with Reader(project.store, lambda digest: True) as reader:
                found = reader.run(event.run)
                assert found is not None
                seen.extend(step.status for step in found.steps if step.id == event.step)

    api.run(CHAIN, workspace=project.workspace, listen=listen)
    assert seen == ["succeeded"] * 3


def test_a_spec_that_is_not_valid_makes_no_store(project: Project) -> None:
    with pytest.raises(InvalidSpec):
        project.run(CHAIN.replace("debug.echo", "debug.ecko"))
    assert not project.store.exists()


def test_a_store_can_be_moved(project: Project) -> None:
    project.run(CHAIN)
    elsewhere = project.root / "moved"
    project.store.rename(elsewhere)
    moved = api.Workspace.open(root=project.root, store=elsewhere, environ={})
    assert set(verdicts(api.plan(CHAIN, workspace=moved)).values()) == {"reuse"}
