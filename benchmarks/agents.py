"""Measures the MCP server with the client of the official SDK, on standard input and output.

    .venv/bin/python benchmarks/agents.py [CALLS]

Prints the seconds until the first answer of a new server (wall time and its CPU time), the bytes of ``tools/list``, the
seconds of a warm ``check`` of a spec with 20 steps, and those of ``run``.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import anyio
from mcp import Client, StdioServerParameters

PART = """
  split{n}:
    uses: data.split
    with: {{table: "${{{{ steps.d.journeys }}}}", strategy: entity, by: hcp_id, seed: {n}}}
  train{n}:
    uses: model.train
    with:
      table: ${{{{ steps.split{n}.train }}}}
      target: target
      features: [brand, specialty, region, call_frequency]
  test{n}:
    uses: model.evaluate
    with: {{model: "${{{{ steps.train{n}.model }}}}", table: "${{{{ steps.split{n}.test }}}}"}}
"""
HEAD = "version: 1\nname: twenty\nsteps:\n  d: {uses: dataset.hcp}\n  e: {uses: debug.echo, with: {value: 1}}\n"
SPEC = HEAD + "".join(PART.format(n=number) for number in range(6))
ENV = {**os.environ, "E2I_ORIGIN": "agent"}
STARTS = 5


async def main(folder: str, calls: int) -> None:
    server = StdioServerParameters(command=sys.executable, args=["-m", "e2i.cli.main", "mcp"], cwd=folder, env=ENV)
    starts, cpu = [], []
    for _ in range(STARTS):
        began, before = time.perf_counter(), os.times()
        async with Client(server) as client:
            tools = await client.list_tools()
            starts.append(time.perf_counter() - began)
        after = os.times()
        cpu.append(after.children_user + after.children_system - before.children_user - before.children_system)
    _show("first answer, wall", starts)
    _show("whole server, CPU", cpu)
    print(f"{'tools/list':24}{len(tools.model_dump_json(by_alias=True, exclude_none=True)):>10,} bytes")
    async with Client(server) as client:
        found = (await client.call_tool("check", {"spec": SPEC})).structured_content
        assert found is not None and found["valid"], found
        _show("warm check of 20 steps", [await _timed(client, "check", spec=SPEC) for _ in range(calls)])
        spec = "version: 1\nname: one\nsteps: {a: {uses: debug.echo, with: {value: 1}}}\n"
        plan = (await client.call_tool("plan", {"spec": spec})).structured_content
        assert plan is not None
        _show("run returns", [await _timed(client, "run", plan=plan["plan"]) for _ in range(5)])


async def _timed(client: Client, tool: str, **arguments: Any) -> float:
    began = time.perf_counter()
    assert not (await client.call_tool(tool, arguments)).is_error
    return time.perf_counter() - began


def _show(what: str, seconds: list[float]) -> None:
    p95 = sorted(seconds)[min(len(seconds) - 1, round(0.95 * len(seconds)))]
    print(f"{what:24}{statistics.median(seconds):>10.3f} s median{p95:>10.3f} s p95{max(seconds):>10.3f} s most")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        (Path(made) / "config").mkdir()
        (Path(made) / "config" / "default.yaml").write_text("sinks: []\n")
        anyio.run(main, made, int(sys.argv[1]) if len(sys.argv) > 1 else 200)
