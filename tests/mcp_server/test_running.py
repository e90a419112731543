"""Runs outlive the server, and no event is lost or repeated."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from typing import Any

import anyio
import pytest

from agents import Agent, Calls
from e2i import api
from e2i.records import lookup
from e2i.resilience.processes import process_alive
from project import until

SLOW = "version: 1\nname: slow\nsteps:\n" + "".join(
    f"  s{number}: {{uses: debug.sleep, needs: [{f's{number - 1}' if number else ''}], with: {{seconds: 0.3}}}}\n"
    for number in range(12)
)


class Raw:
    """A server whose process a test can kill, spoken to in JSON-RPC."""

    def __init__(self, agent: Agent) -> None:
        found = agent.parameters
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.process = subprocess.Popen([found.command, *found.args], cwd=agent.root, env=found.env, **pipes)
        self._ids = 0
        info = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
        self.ask("initialize", info)
        self._send({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        self._ids += 1
        self._send({"jsonrpc": "2.0", "id": self._ids, "method": method, "params": params})
        assert self.process.stdout is not None
        while True:
            found = json.loads(self.process.stdout.readline())
            if found.get("id") == self._ids:
                return dict(found["result"])

    def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        return dict(self.ask("tools/call", {"name": tool, "arguments": arguments})["structuredContent"])

    def _send(self, message: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()


@pytest.mark.slow
def test_a_run_goes_on_when_the_server_is_killed_and_no_event_is_lost_or_repeated(agent: Agent) -> None:
    first = Raw(agent)
    run = first.call("run", plan=first.call("plan", spec=SLOW)["plan"])["run"]
    events, cursor = [], 0
    while sum(event["event"] == "step.finished" for event in events) < 3:
        seen = first.call("watch", run=run, cursor=cursor, wait=20)
        events, cursor = [*events, *seen["events"]], seen["cursor"]
    os.kill(first.process.pid, signal.SIGKILL)
    first.process.communicate(timeout=60)

    async def talk(call: Calls) -> tuple[str, list[dict[str, Any]], list[dict[str, Any]]]:
        status, later = await call.to_the_end(run, cursor)
        return status, later, (await call.to_the_end(run))[1]

    status, later, everything = agent.talk(talk)
    assert status == "succeeded"
    assert [*events, *later] == everything
    finished = [event["step"] for event in everything if event["event"] == "step.finished"]
    assert finished == [f"s{number}" for number in range(12)]
    assert api_status(agent, run) == "succeeded"


def test_a_run_is_stopped_and_a_killed_one_is_reported_as_interrupted(agent: Agent) -> None:
    async def start(call: Calls) -> str:
        run = str((await call("run", plan=(await call("plan", spec=SLOW))["plan"]))["run"])
        while not any(event["event"] == "step.started" for event in (await call("watch", run=run, wait=20))["events"]):
            pass
        return run

    async def stops(call: Calls) -> tuple[str, list[dict[str, Any]]]:
        run = await start(call)
        assert (await call("stop", run=run, now=True))["status"] == "stopping"
        return await call.to_the_end(run)

    status, events = agent.talk(stops)
    assert (status, events[-1]["event"]) == ("interrupted", "run.finished")

    async def dies(call: Calls) -> tuple[str, list[dict[str, Any]]]:
        run = await start(call)
        os.kill(int((agent.store / "runs" / run / "holder").read_text().partition(":")[0]), signal.SIGKILL)
        return await call.to_the_end(run)

    status, events = agent.talk(dies)
    assert (status, events[-1]["event"] != "run.finished") == ("interrupted", True)
    plan, run = _plan_of_last_run(agent)

    async def resumes(call: Calls) -> tuple[str, list[dict[str, Any]]]:
        started = await call("run", plan=plan, resume=run)
        assert started["cursor"] > 0
        await call("watch", run=run, cursor=started["cursor"], wait=20)
        assert (await call("run", plan=plan, resume=run))["error"]["code"] == "bad-resume"
        assert (await call("stop", run=run, now=True))["status"] == "stopping"
        return await call.to_the_end(run, started["cursor"])

    status, events = agent.talk(resumes)
    assert (status, events[0]["event"], events[0]["resumed"]) == ("interrupted", "run.started", True)
    assert until(lambda: not agent.processes("debug"))


def test_large_outputs_are_cut_in_events_and_read_in_pages(agent: Agent) -> None:
    steps = "".join(f"  s{n}: {{uses: debug.echo, with: {{value: \"${{{{ 'x' * 900000 }}}}\"}}}}\n" for n in range(2))
    spec = f"version: 1\nname: large\nsteps:\n{steps}outputs: {{a: '${{{{ steps.s0.value }}}}', b: '${{{{ steps.s1.value }}}}'}}\n"

    async def talk(call: Calls) -> None:
        run = (await call("run", plan=(await call("plan", spec=spec))["plan"]))["run"]
        status, events = await call.to_the_end(run)
        assert (status, len(events[-1]["outputs"]["a"])) == ("succeeded", 1_001)
        page = await call("read", address=f"e2i://runs/{run}/outputs/a")
        assert (len(page["json"]), page["next"]) == (16_000, 16_000)

    agent.talk(talk)


def test_a_run_that_cannot_start_says_why(agent: Agent) -> None:
    async def talk(call: Calls) -> tuple[str, list[dict[str, Any]]]:
        run = str((await call("run", plan=(await call("plan", spec=SLOW))["plan"]))["run"])
        agent.policy("actions: [debug.sleep]")  # after the server has checked, before the process does
        return await call.to_the_end(run)

    began = time.time()
    status, events = agent.talk(talk)
    assert (status, events[-1]["error"]["code"]) == ("refused", "not-approved"), (began, events)


def _plan_of_last_run(agent: Agent) -> tuple[str, str]:
    folder = max((agent.store / "runs").iterdir(), key=lambda each: (each / "request.json").stat().st_mtime_ns)
    return json.loads((folder / "request.json").read_text())["plan"], folder.name


def api_status(agent: Agent, run: str) -> str:
    return str(lookup.run(agent.store, run).run.status)


def test_a_run_of_a_person_is_followed_and_no_event_is_lost_or_repeated(agent: Agent) -> None:
    held = f"{{{agent.hold()}, needs: [a]}}"
    agent.write(
        "slow.yaml", f"version: 1\nname: slow\nsteps:\n  a: {{uses: debug.echo, with: {{value: 1}}}}\n  held: {held}\n"
    )
    process = agent.start("run", "slow.yaml")
    assert until(lambda: bool(_running(agent)))
    (run,) = _running(agent)

    async def first(call: Calls) -> tuple[int, list[dict[str, Any]]]:
        cursor, events = 0, []
        while not any(event.get("step") == "held" for event in events):
            seen = await call("watch", run=run, cursor=cursor, wait=20)
            cursor, events = seen["cursor"], [*events, *seen["events"]]
        assert (await call("stop", run=run))["error"]["code"] == "unknown-run"
        return cursor, events

    cursor, events = agent.talk(first)
    agent.let_go()
    process.communicate(timeout=100)

    async def later(call: Calls) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        status, rest = await call.to_the_end(run, cursor)
        assert status == "succeeded" and (await call("watch", run=run, cursor=3))["error"]["code"] == "bad-cursor"
        assert (await call("watch", run="last"))["error"]["code"] == "unknown-run"
        return rest, (await call.to_the_end(run))[1]

    rest, everything = agent.talk(later)
    assert [*events, *rest] == everything
    told = [(event["event"], event.get("step")) for event in everything]
    assert told == [
        *(("run.started", None), ("step.started", "a"), ("step.finished", "a"), ("step.started", "held")),
        *(("step.finished", "held"), ("run.finished", None)),
    ]


def test_a_failed_run_keeps_its_approval_for_one_run_until_it_succeeds(agent: Agent) -> None:
    agent.write("go.py", "from pathlib import Path\ndef go():\n    return Path('go').read_text()\n")
    spec = "version: 1\nname: once\nsteps: {a: {uses: python.call, with: {file: go.py, function: go}}}\n"
    agent.policy("actions: [python.call]", more=", run_python: true")

    async def talk(call: Calls) -> None:
        planned = await call("plan", spec=spec)
        agent.approve(api.plan(spec, workspace=agent.place.workspace()), once=True)
        run = (await call("run", plan=planned["plan"]))["run"]
        assert (await call.to_the_end(run))[0] == "failed"
        assert (await call("run", plan=planned["plan"]))["error"]["code"] == "not-approved", "another run"
        agent.write("go", "there")
        while process_alive((agent.store / "runs" / run / "holder").read_text().strip()):
            await anyio.sleep(0.05)  # its last event comes before its end
        resumed = await call("run", plan=planned["plan"], resume=run)
        assert "cursor" in resumed, resumed
        assert (await call.to_the_end(run, resumed["cursor"]))[0] == "succeeded"
        assert (await call("run", plan=planned["plan"], resume=run))["error"]["code"] in ("bad-resume", "not-approved")

    agent.talk(talk)


def _running(agent: Agent) -> list[str]:
    return [run.id for run in lookup.runs(agent.store, 5) if run.status == "running"]
