"""An agent that works through the MCP server: a client of the official SDK, in this process or by a transport."""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import anyio
from mcp import Client, StdioServerParameters

from approvals_project import Approved
from e2i.mcp import server
from e2i.mcp.place import Place
from project import ENGINE

T = TypeVar("T")
SPEC = """version: 1
name: made
steps:
  a: {uses: debug.echo, with: {value: 1}}
  b: {uses: dataset.hcp, with: {rows: 1000}}
outputs: {journeys: "${{ steps.b.journeys }}"}
"""


class Agent(Approved):
    """A project, and calls of the server's tools in it. Its policy demands nothing at first."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.policy("")

    @property
    def place(self) -> Place:
        return Place(self.root)

    def talk(self, talk: Callable[[Calls], Awaitable[T]], **options: Any) -> T:
        """Executes the calls of ``talk`` with a server in this process."""

        async def main() -> T:
            async with Client(server.build(self.place, **options)) as client:
                return await talk(Calls(client))

        return anyio.run(main)

    def talk_by_stdio(self, talk: Callable[[Calls], Awaitable[T]]) -> T:
        """The same, with a server that the client starts."""

        async def main() -> T:
            async with Client(self.parameters) as client:
                return await talk(Calls(client))

        return anyio.run(main)

    @property
    def parameters(self) -> StdioServerParameters:
        environ = {**os.environ, "PYTHONPATH": str(ENGINE)}
        command = [sys.executable, "-m", "e2i.cli.main", "mcp"]
        return StdioServerParameters(command=command[0], args=command[1:], cwd=self.root, env=environ)


class Calls:
    """Calls of tools, with their structured answers."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def __call__(self, tool: str, **arguments: Any) -> dict[str, Any]:
        found = (await self.client.call_tool(tool, arguments)).structured_content
        assert isinstance(found, dict), (tool, arguments, found)
        return found

    async def to_the_end(self, run: str, cursor: int = 0) -> tuple[str, list[dict[str, Any]]]:
        """The status of the end of a run, and all events from the cursor on."""
        events: list[dict[str, Any]] = []
        while True:
            seen = await self("watch", run=run, cursor=cursor, wait=20)
            cursor = seen["cursor"]
            events += seen["events"]
            if seen["status"] not in ("starting", "running"):
                return seen["status"], events
