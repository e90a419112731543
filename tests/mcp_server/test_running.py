"""Runs outlive the server, and no event is lost or repeated."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from typing import Any

import pytest

from agents import Agent, Calls
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
    from e2i.records import lookup

    return str(lookup.run(agent.store, run).run.status)
