"""A run that needs an approval starts with one of exactly its plan, and with nothing else."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing

import pytest
from msgspec.structs import replace

from approvals_project import Approved
from e2i import api
from e2i.approvals import granting, record, required
from e2i.documents import ParamValues
from e2i.errors import BadInput, Refused
from e2i.planning import document
from e2i.rehearsal import running
from e2i.rehearsal.sampling import Wanted
from e2i.store.runs import RunStore

HOUR = 3_600_000


def test_without_a_demand_nothing_changes(project: Approved) -> None:
    before = project.planned().digest
    project.policy("actions: [mlflow.*]")
    assert (project.outcome(), project.planned().digest) == ("succeeded", before)
    (project.root / "config/policy.yaml").unlink()
    assert project.planned().digest == before
    with sqlite3.connect(project.store / "state.db") as database:
        assert database.execute("SELECT count(*) FROM sqlite_master WHERE name LIKE 'approval%'").fetchone() == (0,)


def test_a_plan_runs_with_an_approval_of_its_own(project: Approved) -> None:
    refused = project.outcome()
    assert refused == 'not-approved: this plan needs an approval: step "a": debug.echo (actions)'
    assert project.planned().hints == ('a run of this plan needs an approval: step "a": debug.echo (actions)',)
    made = project.approve(note="seen")
    assert project.outcome() == "succeeded"
    assert project.outcome({"n": 2}).startswith("not-approved")
    assert project.outcome(select=["a"]) == "succeeded", "the same work"
    assert project.outcome(fresh=True).startswith("not-approved")
    (listed,) = granting.listed(project.workspace, time.time_ns() // 1_000_000).approvals
    assert (listed.approval, listed.state, len(listed.runs)) == (made, "valid", 2)


def test_a_rehearsal_needs_the_approval_of_the_run_and_does_not_use_it_up(project: Approved) -> None:
    spec = str(project.root / "spec.yaml")

    def rehearsed() -> str:
        return running.rehearse(spec, ParamValues(), Wanted(), project.workspace).document.status

    with pytest.raises(Refused) as refused:
        rehearsed()
    assert refused.value.code == "not-approved"
    project.approve(once=True)
    assert rehearsed() == rehearsed() == "succeeded"
    (listed,) = granting.listed(project.workspace, time.time_ns() // 1_000_000).approvals
    assert (listed.state, listed.runs) == ("valid", ())


def test_an_edited_record_does_not_count(project: Approved) -> None:
    made = project.approval(hours=1, once=True, note="for tests")
    later = project.planned(n=2)
    changes = [
        {"plan": later.digest}, {"expires_ms": made.expires_ms + 1}, {"once": False}, {"note": "for production"},
        {"by": "bob"}, {"at_ms": made.at_ms - 1}, {"pipeline": "other"}, {"id": "0" * 32}, {"signature": "AAAA"},
        {"signature": "not base64"},
    ]  # fmt: skip
    for change in changes:
        edited = replace(made, **change)
        project.keep(record.written(edited), replace(edited, id=f"{len(str(change)):032x}"))
        project.keep(record.written(edited), edited)
        with pytest.raises(Refused, match="is not signed by a key"):
            granting.add(project.workspace, edited)
    project.keep("{}", replace(made, id="f" * 32))
    assert project.outcome().startswith("not-approved")
    assert project.outcome({"n": 2}).startswith("not-approved")
    states = {each.state for each in granting.listed(project.workspace, made.at_ms).approvals}
    assert states == {"bad-signature", "unknown-key"}
    for text in ("{}", "[", record.written(made).replace('"once":true', '"once":1'), '{"a": 1}'):
        with pytest.raises(BadInput, match="not an approval"):
            record.parse(text)


def test_only_a_listed_key_counts(project: Approved) -> None:
    forged = project.approval(key=project.mallory)
    project.keep(record.written(forged), forged)
    assert "its signature is not by the key" in project.outcome()
    project.approve()
    project.policy("actions: [debug.echo]", project.mallory)
    assert project.outcome() == "succeeded", "who can write the policy decides, so only the operator should be able to"
    project.write("config/policy.yaml", "human: {approval: {actions: [debug.echo]}}\n")
    assert "lists no such approver" in project.outcome()


def test_an_agent_s_spec_can_neither_read_nor_write_the_keys(project: Approved) -> None:
    project.policy("actions: ['sql.*']", more=", write_roots: [.], hidden_files: true")
    steps = {
        "write": "{uses: data.write, with: {table: '${{ steps.t.journeys }}', path: config/policy.csv}}",
        "read": "{uses: data.load, with: {path: config/policy.yaml, format: csv}}",
        "include": "{uses: ./config/policy.yaml}",
    }
    for name, step in steps.items():
        text = f"version: 1\nname: x\nsteps:\n  t: {{uses: dataset.hcp}}\n  {name}: {step}\n"
        workspace = replace(project.workspace, origin=api.Origin.AGENT)
        found = api.validate(text, workspace=workspace)
        assert {problem.code for problem in found.errors} & {"policy-path", "no-such-include"}, (name, found.problems)


def test_an_expired_approval_stays_expired_when_the_clock_is_set_back(project: Approved) -> None:
    now = time.time_ns() // 1_000_000
    made = project.approve(now_ms=now - 2 * HOUR, hours=1)
    assert "expired at" in project.outcome()
    assert _state(project, made.at_ms + 1) == "expired", "a run has found it expired"
    other = project.approve(now_ms=now - 2 * HOUR, hours=1.5)
    project.policy("actions: []")
    assert project.outcome() == "succeeded"
    project.policy("actions: [debug.echo]")
    plan, expanded, workspace = _case(project)
    with closing(RunStore(project.store, lambda digest: True)) as run_store, pytest.raises(Refused, match="expired at"):
        required.find(plan, expanded, workspace, run_store, None, other.at_ms + 1)
    project.approve(now_ms=now + HOUR)
    assert "in the future" in project.outcome()


def test_a_revoked_approval_does_not_count(project: Approved) -> None:
    made = project.approve()
    with pytest.raises(BadInput, match="no approval begins"):
        granting.revoke(project.workspace, made.id[:3], made.at_ms)
    assert granting.revoke(project.workspace, made.id[:8], made.at_ms) == made.id
    assert not granting.add(project.workspace, made), "adding it again does not bring it back"
    assert "was revoked at" in project.outcome()


def test_a_copy_of_the_store_has_no_approval_for_one_run(project: Approved) -> None:
    project.approve()
    once = project.approve(project.planned(n=2), once=True)
    with closing(RunStore(project.store, lambda digest: True)) as run_store:
        run_store.interrupt_all()
    assert project.outcome() == "succeeded"
    assert f"the approval {once.id[:8]} by alice was revoked" in project.outcome({"n": 2})


def test_an_approval_for_one_run_counts_for_its_resumption(project: Approved) -> None:
    project.write(
        "go.py", "import os\nfrom pathlib import Path\ndef f():\n    if not Path('go').exists():\n        os._exit(9)\n"
    )
    project.write(
        "spec.yaml", "version: 1\nname: asked\nsteps: {a: {uses: python.call, with: {file: go.py, function: f}}}\n"
    )
    project.policy("rules: [run_python]")
    project.approve(once=True)
    assert project.outcome() == "failed"
    run = api_runs(project)[0]
    project.write("go", "")
    assert project.outcome() == "succeeded"
    assert api_runs(project) == [run], "the same command has resumed the run that has the approval"
    assert "was for one run, and run" in project.outcome()
    with pytest.raises(Refused, match="was for one run, and run"):
        api.resume(run, workspace=project.workspace)  # it would repeat every step that always runs
    assert "was for one run, and run" in project.outcome(run_id=run)
    granting.revoke(project.workspace, _only(project).id, 1)
    assert "was revoked at" in project.outcome(run_id=run)


def test_of_two_runs_one_gets_an_approval_for_one_run(project: Approved) -> None:
    made = project.approve(once=True)
    plan, expanded, workspace = _case(project)
    with (
        closing(RunStore(project.store, lambda digest: True)) as first,
        closing(RunStore(project.store, lambda digest: True)) as second,
    ):
        for run_store in (first, second):
            assert required.find(plan, expanded, workspace, run_store, None, made.at_ms + 1) == made
        with first.together():
            required.use(made, "one", first, made.at_ms + 1)
        with pytest.raises(Refused, match="used by another run"), second.together():
            required.use(made, "two", second, made.at_ms + 1)


def test_of_several_processes_one_gets_an_approval_for_one_run(project: Approved) -> None:
    project.approve(once=True)
    started = [project.start("run", "spec.yaml", "--json") for _ in range(3)]
    codes = []
    for process in started:
        with process:
            process.communicate(timeout=100)
        codes.append(process.returncode)
    assert sorted(codes) == [0, 3, 3]


def test_a_plan_that_was_changed_after_its_approval_is_refused(project: Approved) -> None:
    written = json.loads(json.dumps(project.planned().to_json()))
    project.approve()
    written["params"]["n"] = 2
    with pytest.raises(Refused, match="was changed since it was written"):
        granting.check(document.read(written))
    assert project.outcome({"n": 2}, bound_to=written).startswith("plan-altered")
    other = project.planned(n=2).to_json()
    assert project.outcome({"n": 2}, bound_to=other).startswith("not-approved")
    assert project.outcome(bound_to=other).startswith("plan-changed")


def test_code_that_only_the_run_knows_cannot_be_approved(project: Approved) -> None:
    text = "version: 1\nname: x\nsteps:\n  a: {uses: debug.echo, with: {value: f.py}}\n  b: {uses: python.call, with: {file: '${{ steps.a.value }}', function: f}}\n"
    project.write("spec.yaml", text)
    with pytest.raises(Refused, match="cannot be approved"):
        granting.check(project.planned().document)
    project.approve()
    assert project.outcome().startswith("plan-undecided")


def test_a_step_that_needs_an_approval_is_not_executed_without_one_however_the_run_began(
    project: Approved, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(required, "demands", lambda *case: [])
    record = api.run(str(project.root / "spec.yaml"), workspace=project.workspace)
    error = record.steps["a"].error
    assert (record.status, error and error.code) == ("failed", "not-approved")


def _case(project: Approved) -> tuple[api.Plan, object, api.Workspace]:
    from e2i import route
    from e2i.documents import ParamValues

    workspace = project.workspace
    source = route.read(str(project.root / "spec.yaml"), workspace)
    return project.planned(), route.valid(route.examine(source, workspace, ParamValues())), workspace


def _only(project: Approved) -> granting.ListedApproval:
    (found,) = granting.listed(project.workspace, time.time_ns() // 1_000_000).approvals
    return found


def _state(project: Approved, now_ms: int) -> str:
    return granting.listed(project.workspace, now_ms).approvals[0].state


def api_runs(project: Approved) -> list[str]:
    from e2i.records import lookup

    return [run.id for run in lookup.runs(project.store, 10, None, None)]
