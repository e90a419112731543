"""The settings and the store go in; the state of each tool comes out: installed, mode, reachable, what waits for it.

Also whether the store's own records are as they were written.
"""

from __future__ import annotations

import socket
from typing import Any

import click

from e2i.api import Workspace
from e2i.catalog import registry
from e2i.catalog.action import Tool
from e2i.cli.problems_view import safe
from e2i.store.database import FILE, StoreError
from e2i.store.history import Reader
from e2i.workspace.surroundings import installed

CONNECT_WITHIN = 1.0
"""Seconds that a service may take to accept a connection."""


def examine(workspace: Workspace) -> list[dict[str, Any]]:
    """One entry a tool that stands on a library. A service is reachable when it accepts a connection."""
    workspace.settings.check()
    depths = _depths(workspace)
    tools = [tool for name in sorted(registry.TOOLS) if (tool := registry.tool(name)) and tool.distribution]
    return [_examine(tool, workspace, depths.get(tool.name, 0)) for tool in tools]


def examine_state(workspace: Workspace) -> dict[str, list[str]]:
    """What is wrong with the state of the store, and what was found wrong before and is not used: sentences.

    Reads all of it, and holds every record against its seal.
    """
    if not (workspace.store / FILE).exists():
        return {"damage": [], "set_aside": []}
    try:
        with Reader(workspace.store, lambda digest: True) as reader:
            return {"damage": reader.damage(), "set_aside": reader.set_aside()}
    except StoreError as error:
        return {"damage": [error.message], "set_aside": []}


def show(found: list[dict[str, Any]], state: dict[str, list[str]], workspace: Workspace) -> None:
    for tool in found:
        version = tool["installed"] or click.style("not installed", fg="yellow")
        reachable = (
            click.style("reachable", fg="green") if tool["reachable"] else click.style("not reachable", fg="red")
        )
        waits = f"  {tool['outbox']} waiting" if tool["outbox"] else ""
        click.echo(f"{tool['tool']:<20} {version:<14} {tool['mode']:<9} {reachable}  breaker {tool['breaker']}{waits}")
    for sentence in state["damage"]:
        click.echo(f"state of the store: {click.style(safe(sentence), fg='red')}")
    for sentence in state["set_aside"]:
        click.echo(f"state of the store: {safe(sentence)}")
    click.echo(click.style(f"profile {workspace.settings.profile}, store {workspace.store}", dim=True))


def _examine(tool: Tool, workspace: Workspace, waiting: int) -> dict[str, Any]:
    version = installed(tool.distribution or "")
    address = workspace.settings.tool(tool.name).address()
    return {
        "tool": tool.name,
        "installed": version,
        "mode": "embedded" if address is None else "server",
        "reachable": version is not None and (address is None or _accepts(*address)),
        "breaker": "closed",  # a breaker lives as long as its process; between runs every one of them is closed
        "outbox": waiting,
    }


def _accepts(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), CONNECT_WITHIN):
            return True
    except OSError:
        return False


def _depths(workspace: Workspace) -> dict[str, int]:
    if not (workspace.store / FILE).exists():
        return {}
    try:
        with Reader(workspace.store, lambda digest: True) as reader:
            return reader.waiting()
    except StoreError:
        return {}  # ``examine_state`` tells of it
