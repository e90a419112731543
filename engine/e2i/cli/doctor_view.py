"""The settings and the store go in; the state of each tool comes out: installed, mode, reachable, what waits for it.

Also how the store is that results are shared through, and whether the own store's records are as they were written.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib import import_module
from typing import Any

import click
from msgspec import Struct

from e2i import route
from e2i.api import Workspace
from e2i.catalog import credentials, registry
from e2i.catalog.action import Tool, ToolSettings
from e2i.catalog.questions import Question
from e2i.cli.problems_view import safe
from e2i.errors import E2IError, ToolUnavailable
from e2i.resilience.breaker import Breaker, Circuit, Policy, since_boot
from e2i.resilience.guard import Guard, without_accounts
from e2i.resilience.shared_state import peek
from e2i.store.database import FILE, StoreError
from e2i.store.history import Reader
from e2i.workers import environment
from e2i.workers.context import breaker_file
from e2i.workers.masking import Masker
from e2i.workspace.environment import installed


def examine(workspace: Workspace) -> list[dict[str, Any]]:
    """One entry a tool that stands on a library. Each of its services is asked a question with its credentials."""
    workspace.settings.check()
    past = _past(workspace)
    tools = [tool for name in sorted(registry.TOOLS) if (tool := registry.tool(name)) and tool.distribution]
    with ThreadPoolExecutor(len(tools)) as pool:  # each question has its deadline; together they take no longer
        found = list(pool.map(lambda tool: _examine(tool, workspace, past), tools))
    masked: list[dict[str, Any]] = _masker(workspace).data(found)
    return masked


def examine_state(workspace: Workspace) -> dict[str, list[str]]:
    """What is wrong with the state of the store, and what was found wrong before and is not used: sentences.

    Reads all of it, and holds every record against its checksum.
    """
    if not (workspace.store / FILE).exists():
        return {"corruption": [], "quarantined": []}
    try:
        with Reader(workspace.store, lambda digest: True) as reader:
            return {"corruption": reader.corruption(), "quarantined": reader.quarantined()}
    except StoreError as error:
        return {"corruption": [error.message], "quarantined": []}


def examine_shared(workspace: Workspace) -> dict[str, Any] | None:
    """Whether the store that results are shared through answers, takes a file, and how many it holds. None: there is
    none. Writes an empty file there, and removes it.
    """
    settings, shared = workspace.settings.shared, route.shared_store(workspace)
    if settings is None or shared is None:
        return None
    url = credentials.without(settings.url)
    found = {"url": url, "trust": settings.trust or workspace.origin.value, **shared.state()}
    masked: dict[str, Any] = _masker(workspace).data(found)
    return masked


def show(
    found: list[dict[str, Any]], state: dict[str, list[str]], shared: dict[str, Any] | None, workspace: Workspace
) -> None:
    for tool in found:
        version = tool["installed"] or click.style("not installed", fg="yellow")
        counts = ((tool["outbox"], "waiting"), (tool["refused"], "refused"))
        text = [*_circuit(tool), *(f"{count} {what}" for count, what in counts if count)]
        click.echo("  ".join([f"{tool['tool']:<20} {version:<14} {tool['mode']:<9} {_reachable(tool)}", *text]))
        for service in tool["services"]:
            if service["reachable"]:
                said = safe(f"{service['service']}: {service['answer']}")
                click.echo(f"{'':<20} {said}")
            else:
                said = safe(f"{service['service']}: {service['problem']}").splitlines()[0]
                click.echo(f"{'':<20} {click.style(said, fg='red')} [{service['code']}]")
                if service["hint"]:
                    click.echo(f"{'':<20}   {safe(service['hint'])}")
        if (failure := tool["last_failure"]) is not None and not failure["succeeded_since"]:
            when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(failure["ended_ms"] / 1000))
            said = f"{failure['step']} of run {failure['run']} failed at {when}: {failure['message']}"
            click.echo(f"{'':<20} {click.style(safe(said).splitlines()[0], fg='yellow')} [{failure['code']}]")
    if shared is not None:
        writable = "" if shared["writable"] else click.style(", not writable", fg="red")
        results = "" if shared["results"] is None else f", {shared['results']:,} results"
        problem = f": {safe(shared['problem'])}" if shared["problem"] else ""
        label = f"shared store {safe(shared['url'])} ({shared['trust']})"
        click.echo(f"{label}  {_reachable(shared)}{writable}{results}{problem}")
    for sentence in state["corruption"]:
        click.echo(f"state of the store: {click.style(safe(sentence), fg='red')}")
    for sentence in state["quarantined"]:
        click.echo(f"state of the store: {safe(sentence)}")
    click.echo(click.style(safe(f"profile {workspace.settings.profile}, store {workspace.store}"), dim=True))


def _masker(workspace: Workspace) -> Masker:
    """Knows the credentials of all tools: what a client says of an address may hold them."""
    return Masker(
        {*workspace.settings.credentials(registry.TOOLS), *environment.credentials(os.environ, registry.TOOLS)}
    )


def _circuit(tool: dict[str, Any]) -> list[str]:
    """The state of the tool's breaker, when there is something to say of it."""
    if tool["breaker"] == "closed":
        return []
    seconds = tool["next_attempt"]
    when = "next attempt now" if seconds is None else f"next attempt in {seconds:.1f} s"
    return [click.style(f"circuit {tool['breaker']}, {when}", fg="yellow")]


def _reachable(found: dict[str, Any]) -> str:
    return click.style("reachable", fg="green") if found["reachable"] else click.style("not reachable", fg="red")


def _examine(tool: Tool, workspace: Workspace, past: _Past) -> dict[str, Any]:
    version = installed(tool.distribution or "")
    settings = workspace.settings.tool(tool.name)
    services = _services(tool, settings) if version else []
    circuit = peek(breaker_file(workspace.store, settings, tool.name)) or Circuit()
    return {
        "tool": tool.name,
        "installed": version,
        "mode": "server" if services or settings.address() else "embedded",
        "reachable": version is not None and all(service["reachable"] for service in services),
        "services": services,
        "breaker": circuit.state.value,
        "next_attempt": circuit.wait(Policy(), since_boot()),
        "last_failure": past.failures.get(tool.name),
        "outbox": past.waiting.get(tool.name, 0),
        "refused": past.refused.get(tool.name, 0),
    }


def _services(tool: Tool, settings: ToolSettings) -> list[dict[str, Any]]:
    """What each service of a tool answered. Nothing is asked of a tool that is embedded."""
    if not settings.identity() and settings.address() is None:
        return []
    try:
        asking = import_module(f"{registry.TOOLS[tool.name]}.asking")
    except ModuleNotFoundError:  # it has no service
        return []
    questions: list[Question] = asking.questions(settings)
    return [_answer(tool, question) for question in questions]


def _answer(tool: Tool, question: Question) -> dict[str, Any]:
    """What one service answered. The breaker that runs share is neither asked nor changed: a person wants to know."""
    guard = Guard(tool.name, Breaker(tool.name), deadline=question.seconds, outages=tool.outages, extra=tool.extra)
    for name in question.imports:
        with suppress(ImportError):  # the question will say what is missing
            import_module(name)
    said: str | None = None
    error: E2IError | None = None
    try:
        said = guard.call(question.ask)
    except E2IError as caught:
        error = caught
    except Exception as caught:  # noqa: BLE001 - the boundary to a tool's client: doctor says what it said
        error = ToolUnavailable(tool.name, without_accounts(f"{type(caught).__name__}: {caught}"))
    return {
        "service": question.of,
        "reachable": error is None,
        "answer": said,
        "code": error.code if error else None,
        "problem": error.message if error else None,
        "hint": error.hint if error else None,
    }


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
