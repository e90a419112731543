"""Check whether runs can start now: the store can be written, and each configured service answers with the credentials.

In: the settings and the store. Out: a line for each service, and the exit code of ``e2i doctor --ready``. Unlike the
whole examination, it reads no records of the store, so that a probe may ask often.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated

import click
from msgspec import Meta, convert

from e2i.api import Workspace
from e2i.catalog.action import Tool, ToolSettings
from e2i.cli import doctor
from e2i.cli.doctor import ServiceState
from e2i.cli.problems_view import safe
from e2i.documents import Element, JsonDocument, plain
from e2i.errors import MISCONFIGURED, E2IError, Exit
from e2i.resilience import circuits
from e2i.store import disk, ownership
from e2i.workspace.environment import installed

BLOCK = 65_536
"""Bytes that the store must have room for."""


class ReadyService(Element, frozen=True, kw_only=True):
    """A service that the settings name, or the store."""

    tool: Annotated[str, Meta(description="The tool; `e2i` for the store and the shared store.")]
    service: str
    ready: bool
    answer: Annotated[str | None, Meta(description="The question and the answer.")] = None
    code: Annotated[str | None, Meta(description="Why not: `tool-auth`, `tool-missing`, …")] = None
    problem: str | None = None
    hint: str | None = None


class ReadyDocument(JsonDocument, frozen=True, kw_only=True):
    """Output of `e2i doctor --ready --json`."""

    ready: bool
    services: list[ReadyService]

    @property
    def exit_code(self) -> Exit:
        refused = {service.code for service in self.services if not service.ready}
        if refused and refused <= {*MISCONFIGURED}:
            return Exit.BAD_INPUT  # all services are up; the configuration is wrong
        return Exit.DONE if self.ready else Exit.UNAVAILABLE


def examine(workspace: Workspace) -> ReadyDocument:
    """Asks every configured service one question, all at the same time, with credentials masked in the answers."""
    workspace.settings.check()
    registry = workspace.settings.registry
    tools = registry.tools()
    with ThreadPoolExecutor(max(1, len(tools))) as pool:
        asked = pool.map(lambda tool: list(_services(tool, workspace)), tools)
        services = [_store(workspace.store), *_shared(workspace), *(service for found in asked for service in found)]
    services += [_not_ready(name, "plug-in", problem) for name, problem in registry.problems()]
    found = ReadyDocument(ready=all(service.ready for service in services), services=services)
    return convert(doctor.masker(workspace).data(plain(found)), ReadyDocument)


def show(found: ReadyDocument) -> None:
    for service in found.services:
        if service.ready:
            click.echo(f"ready      {service.tool} {service.service}  {safe(service.answer or '')}".rstrip())
            continue
        click.echo(f"not ready  {service.tool} {service.service}: {safe(service.problem or '')} [{service.code}]")
        if service.hint:
            click.echo(f"             {safe(service.hint)}")


def _services(tool: Tool, workspace: Workspace) -> Iterator[ReadyService]:
    settings = workspace.settings.tool(tool.name)
    if not settings.identity() and settings.address() is None:
        return
    if tool.distribution and installed(tool.distribution) is None:
        yield ReadyService(
            tool=tool.name,
            service="library",
            ready=False,
            code="tool-missing",
            problem=f"{tool.distribution} is not installed, but `tools: {tool.name}:` names a server",
            hint=f'pip install "e2i[{tool.extra}]"',
        )
        return
    states = doctor.services(tool, settings, workspace.settings.registry.module(tool.name))
    closed = _close(tool.name, settings, workspace.store, states)
    for state in states:
        yield ReadyService(
            tool=tool.name,
            service=state.service,
            ready=state.reachable,
            answer=f"{state.answer}; its circuit was open, and is closed now"
            if state.service in closed
            else state.answer,
            code=state.code,
            problem=state.problem,
            hint=state.hint,
        )


def _close(tool: str, settings: ToolSettings, store: Path, states: Sequence[ServiceState]) -> list[str]:
    """Closes the circuits of the services that answered, so that a run that starts now calls them. Returns the names of
    the services whose circuit was open.
    """
    answered = [state.service for state in states if state.reachable]
    if len(answered) < len(states) and not settings.circuits():
        return []  # one circuit for all of them
    closed = circuits.close(store, tool, settings, answered)
    return answered if "" in closed else closed


def _store(store: Path) -> ReadyService:
    """Checks that the store belongs to this user and can be written. A store that does not exist is created."""
    try:
        ownership.check(store)
        ownership.create(store)
        disk.folder(store, "tmp")
        with tempfile.TemporaryFile(dir=store / "tmp") as file:
            file.write(os.urandom(BLOCK))
            file.flush()
            os.fsync(file.fileno())
    except E2IError as error:
        return _not_ready("e2i", "store", error)
    except OSError as error:
        return _not_ready("e2i", "store", disk.trouble(error, store) or error)
    return ReadyService(tool="e2i", service="store", ready=True, answer=f"a file was written in {store}")


def _shared(workspace: Workspace) -> Iterator[ReadyService]:
    state = doctor.shared(workspace)
    if state is None:
        return
    ready = state.reachable and state.writable
    problem = None if ready else state.problem or "not writable"
    yield ReadyService(
        tool="e2i",
        service="shared store",
        ready=ready,
        answer=state.url if ready else None,
        code=None if ready else "tool-unavailable",
        problem=problem,
    )


def _not_ready(tool: str, service: str, error: E2IError | OSError) -> ReadyService:
    code, hint = (error.code, error.hint) if isinstance(error, E2IError) else ("not-writable", None)
    return ReadyService(tool=tool, service=service, ready=False, code=code, problem=str(error), hint=hint)
