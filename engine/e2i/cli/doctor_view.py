"""Examine the tools and the store: installed, mode, reachable, waiting entries.

In: the settings and the store. Out: the state of each tool, of the shared store, and of the store's own records.
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
from e2i.catalog import credentials
from e2i.catalog.action import Tool, ToolSettings
from e2i.catalog.questions import Question
from e2i.cli.problems_view import safe
from e2i.cli.wording import counted
from e2i.errors import E2IError, InvalidSpec, ToolUnavailable
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
    """Returns one entry for each tool that needs a library. Each service is asked one question with its credentials."""
    workspace.settings.check()
    past = _past(workspace)
    registry = workspace.settings.registry
    tools = [tool for tool in registry.tools() if tool.distribution]
    with ThreadPoolExecutor(len(tools)) as pool:  # each question has its own deadline; all run at the same time
        found = list(pool.map(lambda tool: _examine(tool, workspace, past), tools))
    found += [_broken(name, problem) for name in registry.plugins if (problem := registry.problem(name))]
    masked: list[dict[str, Any]] = _masker(workspace).data(found)
    return masked


def examine_state(workspace: Workspace) -> dict[str, list[str]]:
    """Returns the problems of the store's state, and what was quarantined before and is not used: sentences.

    Reads the whole state and verifies the checksum of every record.
    """
    if not (workspace.store / FILE).exists():
        return {"corruption": [], "quarantined": []}
    try:
        with Reader(workspace.store, lambda digest: True) as reader:
            return {"corruption": reader.corruption(), "quarantined": reader.quarantined()}
    except StoreError as error:
        return {"corruption": [error.message], "quarantined": []}


def examine_shared(workspace: Workspace) -> dict[str, Any] | None:
    """Checks the shared store: reachable, writable, number of results. Returns None when none is configured.

    Writes an empty file there and removes it.
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
                line = safe(f"{service['service']}: {service['answer']}")
                click.echo(f"{'':<20} {line}")
            else:
                line = safe(f"{service['service']}: {service['problem']}").splitlines()[0]
                click.echo(f"{'':<20} {click.style(line, fg='red')} [{service['code']}]")
                if service["hint"]:
                    click.echo(f"{'':<20}   {safe(service['hint'])}")
        if (failure := tool["last_failure"]) is not None and not failure["succeeded_since"]:
            when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(failure["ended_ms"] / 1000))
            line = f"{failure['step']} of run {failure['run']} failed at {when}: {failure['message']}"
            click.echo(f"{'':<20} {click.style(safe(line).splitlines()[0], fg='yellow')} [{failure['code']}]")
    if shared is not None:
        writable = "" if shared["writable"] else click.style(", not writable", fg="red")
        results = "" if shared["results"] is None else f", {counted(shared['results'], 'result')}"
        problem = f": {safe(shared['problem'])}" if shared["problem"] else ""
        label = f"shared store {safe(shared['url'])} ({shared['trust']})"
        click.echo(f"{label}  {_reachable(shared)}{writable}{results}{problem}")
    for sentence in state["corruption"]:
        click.echo(f"state of the store: {click.style(safe(sentence), fg='red')}")
    for sentence in state["quarantined"]:
        click.echo(f"state of the store: {safe(sentence)}")
    click.echo(click.style(safe(f"profile {workspace.settings.profile}, store {workspace.store}"), dim=True))


def _masker(workspace: Workspace) -> Masker:
    """Returns a masker for the credentials of all tools: an address in a client's message may contain them."""
    settings = workspace.settings
    names = [tool.name for tool in settings.registry.tools()]
    return Masker({*settings.credentials(names), *environment.credentials(os.environ, names, settings.registry)})


def _circuit(tool: dict[str, Any]) -> list[str]:
    """Returns the state of the tool's circuit breaker, unless it is closed."""
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
    services = _services(tool, settings, workspace.settings.registry.module(tool.name)) if version else []
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


def _broken(name: str, problem: InvalidSpec) -> dict[str, Any]:
    """Returns the entry of a listed plug-in that cannot be loaded."""
    service = {"service": "plug-in", "reachable": False, "answer": None}
    return {
        "tool": name,
        "installed": None,
        "mode": "embedded",
        "reachable": False,
        "services": [{**service, "code": problem.code, "problem": problem.message, "hint": problem.hint}],
        "breaker": "closed",
        "next_attempt": None,
        "last_failure": None,
        "outbox": 0,
        "refused": 0,
    }


def _services(tool: Tool, settings: ToolSettings, package: str) -> list[dict[str, Any]]:
    """Returns the answer of each service of a tool; none for an embedded tool."""
    if not settings.identity() and settings.address() is None:
        return []
    try:
        asking = import_module(f"{package}.asking")
    except ModuleNotFoundError:  # the tool has no service
        return []
    questions: list[Question] = asking.questions(settings)
    return [_answer(tool, question) for question in questions]


def _answer(tool: Tool, question: Question) -> dict[str, Any]:
    """Asks one service. The shared breaker is neither consulted nor changed: the user wants the actual state."""
    guard = Guard(tool.name, Breaker(tool.name), deadline=question.seconds, outages=tool.outages, extra=tool.extra)
    for name in question.imports:
        with suppress(ImportError):  # the question reports what is missing
            import_module(name)
    line: str | None = None
    error: E2IError | None = None
    try:
        line = guard.call(question.ask)
    except E2IError as caught:
        error = caught
    except Exception as caught:  # noqa: BLE001 - the boundary to a tool's client: doctor prints its error
        error = ToolUnavailable(tool.name, without_accounts(f"{type(caught).__name__}: {caught}"))
    return {
        "service": question.of,
        "reachable": error is None,
        "answer": line,
        "code": error.code if error else None,
        "problem": error.message if error else None,
        "hint": error.hint if error else None,
    }


class _Past(Struct, frozen=True):
    """What the store knows about the tools, by their names."""

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
        return _Past()  # ``examine_state`` reports it
