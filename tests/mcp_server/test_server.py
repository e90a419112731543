"""The tools of the MCP server, called by the client of the SDK."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from agents import SPEC, Agent, Calls

CONTRACT = Path(__file__).with_name("contract.json")


def test_the_contract_is_the_recorded_one_and_small(agent: Agent) -> None:
    async def talk(call: Calls) -> dict[str, Any]:
        tools = await call.client.list_tools()
        assert len(tools.model_dump_json(by_alias=True, exclude_none=True)) <= 10_000
        templates = (await call.client.list_resource_templates()).resource_templates
        return {
            "tools": [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in tools.tools],
            "resources": sorted(
                [str(each.uri) for each in (await call.client.list_resources()).resources]
                + [each.uri_template for each in templates]
            ),
            "prompts": [
                each.model_dump(mode="json", by_alias=True, exclude_none=True)
                for each in (await call.client.list_prompts()).prompts
            ],
        }

    found = json.dumps(agent.talk(talk), indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        CONTRACT.write_text(found, "utf-8")
    assert found == CONTRACT.read_text("utf-8")


def test_a_spec_is_checked_fixed_planned_run_watched_and_read(agent: Agent) -> None:
    async def talk(call: Calls) -> None:
        assert "model.train" in (await call("catalog"))["actions"]
        assert (
            "debug.echo(value" in (await call("catalog", actions=["debug.echo"]))["actions"]["debug.echo"]["signature"]
        )
        wrong = SPEC.replace("debug.echo", "debug.ecko")
        found = await call("check", spec=wrong)
        assert (found["valid"], found["problems"][0]["code"], found["problems"][0]["fixable"]) == (
            False,
            "unknown-action",
            True,
        )
        fixed = await call("check", spec=wrong, fix=True)
        assert (fixed["valid"], fixed["text"]) == (True, SPEC)
        assert (await call("plan", spec=wrong))["valid"] is False
        added = await call("add", spec=SPEC, uses="data.split")
        assert "      table: ${{ steps.b.journeys }}" in added["text"] and list(added["left"]) == ["strategy"]
        assert (added["step"], added["valid"], (await call("add", spec=SPEC, uses="x.y"))["error"]["code"]) == (
            *("split", False, "unknown-action"),
        )
        rehearsed = await call("rehearse", spec=SPEC, empty=True)
        assert (rehearsed["status"], rehearsed["failures"]) == ("succeeded", [])
        planned = await call("plan", spec=SPEC)
        assert (planned["summary"]["run"], "approval" in planned) == (2, False)
        run = (await call("run", plan=planned["plan"]))["run"]
        status, events = await call.to_the_end(run)
        assert (status, [event["event"] for event in events].count("step.finished")) == ("succeeded", 2)
        rows = await call("read", address=f"e2i://runs/{run}/outputs/journeys", cursor=998, limit=50)
        assert (len(rows["rows"]), rows["next"], rows["total_rows"], "untrusted" in rows) == (2, None, 1000, True)
        assert (await call("read", address="e2i://runs"))["runs"][0]["run"] == run
        assert (await call("read", address=f"e2i://runs/{run}/steps/a"))["parameters"] == {"value": 1}
        resource = (await call.client.read_resource(f"e2i://runs/{run}")).contents[0]
        assert json.loads(getattr(resource, "text", ""))["status"] == "succeeded"
        prompt = await call.client.get_prompt("explain", {"run": run})
        assert run in str(prompt.messages[0].content)
        again = await call("watch", run=run, cursor=0, wait=0)
        assert again["events"] == events
        assert (await call("watch", run=run, cursor=1, wait=0))["error"]["code"] == "bad-cursor"

    agent.talk(talk)


def test_a_run_is_refused_when_its_plan_has_changed_or_is_not_approved(agent: Agent) -> None:
    agent.write("data.csv", "x,y\n1,2\n")
    spec = "version: 1\nname: reads\nsteps: {d: {uses: data.load, with: {path: data.csv}}}\n"

    async def before(call: Calls) -> str:
        return str((await call("plan", spec=spec))["plan"])

    async def run(call: Calls) -> dict[str, Any]:
        return await call("run", plan=plan)

    plan = agent.talk(before)
    agent.write("data.csv", "x,y\n3,4\n")
    assert agent.talk(run)["error"]["code"] == "plan-changed"
    agent.write("data.csv", "x,y\n1,2\n")
    agent.policy("actions: ['data.*']")

    async def asks(call: Calls) -> dict[str, Any]:
        return dict((await call("plan", spec=spec))["approval"])

    approval = agent.talk(asks)
    assert (approval["approved"], approval["needed_for"]) == (False, ['step "d": data.load (actions)'])
    assert agent.talk(run)["error"]["code"] == "not-approved"
    from e2i.approvals import granting
    from e2i.planning import document

    path = Path(approval["ask"].rpartition(" ")[2])
    planned = document.parse(path.read_bytes())
    now = 1_000 * int(path.stat().st_mtime)
    made = granting.approve(planned, "alice", agent.alice, now_ms=now, expires_ms=now + 3_600_000, once=True)
    granting.add(agent.workspace, made)

    async def to_the_end(call: Calls) -> str:
        return (await call.to_the_end((await call("run", plan=plan))["run"]))[0]

    assert agent.talk(to_the_end) == "succeeded"
    assert agent.talk(run)["error"]["code"] == "not-approved"


def test_specs_are_an_agent_s_and_stay_inside_what_the_operator_allows(
    agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("E2I_ORIGIN", "human")
    agent.write("f.py", "def f():\n    return 1\n")
    agent.write(".env", "KEY=1\n")
    secret = agent.root.parent / "outside.yaml"
    secret.write_text("password: x\n")

    async def talk(call: Calls) -> None:
        code = "version: 1\nname: c\nsteps: {p: {uses: python.call, with: {file: f.py, function: f}}}\n"
        assert [each["code"] for each in (await call("check", spec=code))["problems"]] == ["policy-privilege"]
        for name in ("config/policy.yaml", ".env", "../outside.yaml", str(secret), "absent.yaml", "config"):
            for tool in ("check", "plan"):
                found = await call(tool, spec=name)
                assert found["error"]["code"] == "no-such-spec", (tool, name, found)
            assert "error" in await call("test", path=name)
        for address in (
            "e2i://runs/../../config",
            "e2i://plans/..%2F..%2Fconfig",
            "file:///etc/passwd",
            "e2i://nothing",
        ):
            assert "error" in await call("read", address=address), address
        for name in ("..", "20260101-000000-abcdef", "../plans/x"):
            assert (await call("watch", run=name, wait=0))["error"]["code"] == "unknown-run"
            assert (await call("stop", run=name))["error"]["code"] == "unknown-run"
        assert (await call("run", plan="../../x"))["error"]["code"] == "unknown-plan"

    agent.talk(talk)


def test_a_read_only_server_runs_and_writes_nothing(agent: Agent) -> None:
    async def talk(call: Calls) -> list[str]:
        assert "plan" not in await call("plan", spec=SPEC)
        return [tool.name for tool in (await call.client.list_tools()).tools]

    before = agent.listing()
    assert agent.talk(talk, read_only=True) == ["catalog", "check", "add", "plan", "watch", "read"]
    assert agent.listing() == before


def test_a_value_that_looks_like_an_artifact_and_a_cursor_beyond_everything_are_answered(agent: Agent) -> None:
    """An output of the spec is any value: forged tables lead to no file and to no internal error."""
    none = "sha256:" + "0" * 64
    outputs = {
        "half": {"type": "table", "digest": none},
        "outside": {"type": "table", "digest": "sha256:../../../../etc/passwd", "rows": 1, "columns": []},
        "missing": {"type": "table", "digest": none, "rows": 1, "columns": []},
        "typeless": {"type": ["table"], "digest": none},
    }
    spec = SPEC.split("outputs:")[0] + f"outputs: {json.dumps(outputs)}\n"

    async def talk(call: Calls) -> None:
        run = (await call("run", plan=(await call("plan", spec=spec))["plan"]))["run"]
        await call.to_the_end(run)
        read = {name: await call("read", address=f"e2i://runs/{run}/outputs/{name}") for name in outputs}
        assert [read[name]["value"] for name in ("half", "outside", "typeless")] == [
            outputs[name] for name in ("half", "outside", "typeless")
        ]
        assert read["missing"]["error"]["code"] == "artifact-missing"
        assert (await call("read", address="e2i://runs", cursor=2**53))["runs"] == []
        assert (await call("watch", run=run, cursor=2**53, wait=0))["error"]["code"] == "bad-cursor"
        long = await call("read", address="e2i://" + "a/" * 10_000)
        assert len(json.dumps(long)) < 3_000
        for beyond in (-1, 2**70):
            assert (await call.client.call_tool("read", {"address": "e2i://runs", "cursor": beyond})).is_error

    agent.talk(talk)
