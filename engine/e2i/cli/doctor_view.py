"""The settings and the store go in; the state of each tool comes out: installed, mode, reachable, what waits for it.

Also how the store is that results are shared through, and whether the own store's records are as they were written.
"""

from __future__ import annotations

import re
import socket
import time
from typing import Any

import click
from msgspec import Struct

from e2i.api import Workspace
from e2i.catalog import registry
from e2i.catalog.action import Tool
from e2i.cli.problems_view import safe
from e2i.store.database import FILE, StoreError
from e2i.store.history import Reader
from e2i.workspace import route
from e2i.workspace.surroundings import installed

CONNECT_WITHIN = 1.0
"""Seconds that a service may take to accept a connection."""


def examine(workspace: Workspace) -> list[dict[str, Any]]:
    """One entry a tool that stands on a library. A service is reachable when it accepts a connection."""
    workspace.settings.check()
    past = _past(workspace)
    tools = [tool for name in sorted(registry.TOOLS) if (tool := registry.tool(name)) and tool.distribution]
    return [_examine(tool, workspace, past) for tool in tools]


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


def examine_shared(workspace: Workspace) -> dict[str, Any] | None:
    """Whether the store that results are shared through answers, takes a file, and how many it holds. None: there is
    none. Writes an empty file there, and removes it.
    """
    settings, shared = workspace.settings.shared, route.shared_store(workspace)
    if settings is None or shared is None:
        return None
    url = re.sub("//[^/@]*@", "//", settings.url)  # a password has no place here
    return {"url": url, "trust": settings.trust or workspace.origin.value, **shared.state()}


def show(
    found: list[dict[str, Any]], state: dict[str, list[str]], shared: dict[str, Any] | None, workspace: Workspace
) -> None:
    for tool in found:
        version = tool["installed"] or click.style("not installed", fg="yellow")
        counts = ((tool["outbox"], "waiting"), (tool["refused"], "refused"))
        told = [f"{count} {what}" for count, what in counts if count]
        click.echo("  ".join([f"{tool['tool']:<20} {version:<14} {tool['mode']:<9} {_reachable(tool)}", *told]))
        if (failure := tool["last_failure"]) is not None and not failure["succeeded_since"]:
            when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(failure["ended_ms"] / 1000))
            said = f"{failure['step']} of run {failure['run']} failed at {when}: {failure['message']}"
            click.echo(f"{'':<20} {click.style(safe(said).splitlines()[0], fg='yellow')} [{failure['code']}]")
    if shared is not None:
        writable = "" if shared["writable"] else click.style(", not writable", fg="red")
        results = "" if shared["results"] is None else f", {shared['results']:,} results"
        problem = f": {safe(shared['problem'])}" if shared["problem"] else ""
        place = f"shared store {safe(shared['url'])} ({shared['trust']})"
        click.echo(f"{place}  {_reachable(shared)}{writable}{results}{problem}")
    for sentence in state["damage"]:
        click.echo(f"state of the store: {click.style(safe(sentence), fg='red')}")
    for sentence in state["set_aside"]:
        click.echo(f"state of the store: {safe(sentence)}")
    click.echo(click.style(f"profile {workspace.settings.profile}, store {workspace.store}", dim=True))


def _reachable(found: dict[str, Any]) -> str:
    return click.style("reachable", fg="green") if found["reachable"] else click.style("not reachable", fg="red")


def _examine(tool: Tool, workspace: Workspace, past: _Past) -> dict[str, Any]:
    version = installed(tool.distribution or "")
    address = workspace.settings.tool(tool.name).address()
    return {
        "tool": tool.name,
        "installed": version,
        "mode": "embedded" if address is None else "server",
        "reachable": version is not None and (address is None or _accepts(*address)),
        "breaker": "closed",  # a breaker lives as long as its process: so every run begins
        "last_failure": past.failures.get(tool.name),
        "outbox": past.waiting.get(tool.name, 0),
        "refused": past.refused.get(tool.name, 0),
    }


def _accepts(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), CONNECT_WITHIN):
            return True
    except OSError:
        return False


class _Past(Struct, frozen=True):
    """What the store tells of the tools, by their names."""

    waiting: dict[str, int] = {}
    refused: dict[str, int] = {}
    failures: dict[str, dict[str, Any]] = {}


def _past(workspace: Workspace) -> _Past:
    if not (workspace.store / FILE).exists():
        return _Past()
    try:
        with Reader(workspace.store, lambda digest: True) as reader:
            return _Past(reader.waiting(), reader.refused(), reader.last_failures())
    except StoreError:
        return _Past()  # ``examine_state`` tells of it
