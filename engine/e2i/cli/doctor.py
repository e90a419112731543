"""Examine the tools and the store: installed, mode, reachable, waiting entries.

In: the settings and the store. Out: the state of each tool, of the shared store, and of the store's own records.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib import import_module
from typing import Annotated, Literal

from msgspec import Meta, Struct, convert

from e2i import route
from e2i.api import Workspace
from e2i.catalog import credentials
from e2i.catalog.action import Tool, ToolSettings
from e2i.catalog.questions import Question
from e2i.cluster import health
from e2i.cluster.health import ClusterState
from e2i.documents import Count, Element, JsonDocument, plain
from e2i.errors import MISCONFIGURED, E2IError, Exit, InvalidSpec, ToolUnavailable
from e2i.machines import Dask
from e2i.resilience.breaker import Breaker, Circuit, State, since_boot
from e2i.resilience.circuits import circuit_files, policy_of
from e2i.resilience.guard import Guard, without_accounts
from e2i.resilience.state_file import peek
from e2i.store.database import FILE, StoreError
from e2i.store.history import Reader
from e2i.store.past import LastFailure
from e2i.store.shared import SharedState
from e2i.workers import environment
from e2i.workers.masking import Masker
from e2i.workspace.environment import installed


class ServiceState(Element, frozen=True, kw_only=True):
    """The answer of one service of a tool to a question that needs valid credentials."""

    service: Annotated[str, Meta(description="Name of the service, such as `registry`.")]
    reachable: bool
    answer: Annotated[str | None, Meta(description="The question and the answer.")]
    code: Annotated[
        str | None,
        Meta(
            description="`tool-auth`: credentials refused; `tool-database`: there is no such database; else no answer."
        ),
    ]
    problem: str | None
    hint: str | None


class CircuitState(Element, frozen=True, kw_only=True):
    """The circuit breaker of one server, shared by all processes of the store: its settings, its state, its counts."""

    server: Annotated[str | None, Meta(description="Name of the server in the settings; null: the tool's only one.")]
    failure_threshold: Annotated[int, Meta(ge=1, description="Consecutive failures that open the circuit.")]
    recovery_timeout: Annotated[float, Meta(description="Seconds for which an open circuit rejects all calls.")]
    half_open_requests: Annotated[int, Meta(ge=1, description="Calls let through then; all must succeed.")]
    state: State
    next_attempt: Annotated[
        float | None, Meta(description="Seconds until the next call is allowed; None: allowed now.")
    ]
    failures: Annotated[Count, Meta(description="Consecutive failures of the closed circuit.")]
    probes: Annotated[Count, Meta(description="Running calls of the half-open circuit.")]
    ok: Annotated[Count, Meta(description="Calls that succeeded.")]
    failed: Annotated[Count, Meta(description="Calls that failed because the server is down, or too slow.")]
    ignored: Annotated[Count, Meta(description="Calls that say nothing of the server: cancelled, or invalid.")]
    rejected: Annotated[Count, Meta(description="Calls that were not made because of the circuit.")]
    changes: Annotated[Count, Meta(description="Changes of state.")]


class ToolState(Element, frozen=True, kw_only=True):
    """One tool that needs a library."""

    tool: str
    installed: Annotated[str | None, Meta(description="The version; None: not installed.")]
    mode: Literal["embedded", "server"]
    reachable: Annotated[bool, Meta(description="Embedded: installed. A server: all its services answered.")]
    services: Annotated[list[ServiceState], Meta(description="Answer of each service; empty if embedded.")]
    breaker: Annotated[State, Meta(description="State of its circuit breaker; of several, the worst.")]
    next_attempt: Annotated[
        float | None, Meta(description="Seconds until the next call is allowed; None: allowed now.")
    ]
    circuits: Annotated[list[CircuitState], Meta(description="Its circuit breakers, one for each server.")]
    last_failure: Annotated[LastFailure | None, Meta(description="None: no failure in the latest 10,000 attempts.")]
    outbox: Annotated[Count, Meta(description="Entries that wait for delivery to the tool.")]
    refused: Annotated[Count, Meta(description="Dead-lettered entries: refused by the tool, or altered.")]


class StoreState(Element, frozen=True, kw_only=True):
    """State of the store's records, as sentences."""

    corruption: list[str]
    quarantined: Annotated[list[str], Meta(description="Found corrupt earlier, and not used since.")]


class DoctorDocument(JsonDocument, frozen=True, kw_only=True):
    """Output of `e2i doctor --json`."""

    tools: list[ToolState]
    state: StoreState
    shared: Annotated[SharedState | None, Meta(description="None: not configured.")]
    cluster: Annotated[ClusterState | None, Meta(description="None: all steps are executed by this machine.")]

    @property
    def exit_code(self) -> Exit:
        tools = all(tool.reachable for tool in self.tools if tool.installed)
        shared = self.shared is None or (self.shared.reachable and self.shared.writable)
        refused = {service.code for tool in self.tools for service in tool.services if not service.reachable}
        if refused and refused <= {*MISCONFIGURED}:
            return Exit.BAD_INPUT  # all services are up; the configuration is wrong
        cluster = self.cluster is None or self.cluster.is_usable
        return Exit.DONE if tools and shared and cluster and not self.state.corruption else Exit.UNAVAILABLE


def examine(workspace: Workspace) -> DoctorDocument:
    """Returns the state of everything, with credentials masked: an address in a client's message may contain them."""
    workspace.settings.check()
    found = DoctorDocument(
        tools=_tools(workspace), state=_state(workspace), shared=shared(workspace), cluster=cluster(workspace)
    )
    return convert(masker(workspace).data(plain(found)), DoctorDocument)


def masker(workspace: Workspace) -> Masker:
    """Returns a masker of the credentials of all tools."""
    settings = workspace.settings
    names = [tool.name for tool in settings.registry.tools()]
    return Masker({*settings.credentials(names), *environment.credentials(os.environ, names, settings.registry)})


def _tools(workspace: Workspace) -> list[ToolState]:
    """Examines each tool that needs a library. Each service is asked one question with its credentials."""
    past, registry = _past(workspace), workspace.settings.registry
    tools = [tool for tool in registry.tools() if tool.distribution]
    with ThreadPoolExecutor(len(tools)) as pool:  # each question has its own deadline; all run at the same time
        found = list(pool.map(lambda tool: _examine(tool, workspace, past), tools))
    return [*found, *(_broken(name, problem) for name, problem in registry.problems())]


def _state(workspace: Workspace) -> StoreState:
    """Returns the problems of the store's state, and what was quarantined before and is not used.

    Reads the whole state and verifies the checksum of every record.
    """
    if not (workspace.store / FILE).exists():
        return StoreState(corruption=[], quarantined=[])
    try:
        with Reader(workspace.store, lambda digest: True) as reader:
            return StoreState(corruption=reader.corruption(), quarantined=reader.quarantined())
    except StoreError as error:
        return StoreState(corruption=[error.message], quarantined=[])


def shared(workspace: Workspace) -> SharedState | None:
    """Checks the shared store: reachable, writable, number of results. Returns None when none is configured.

    Writes an empty file there and removes it.
    """
    settings, store = workspace.settings.shared, route.shared_store(workspace)
    if settings is None or store is None:
        return None
    return store.state(credentials.without(settings.url), settings.trust or workspace.origin.value)


def cluster(workspace: Workspace) -> ClusterState | None:
    """Returns the nodes of the cluster; None when the settings name none."""
    settings = workspace.settings.executor
    return health.examine(settings, workspace.root) if isinstance(settings, Dask) else None


def _examine(tool: Tool, workspace: Workspace, past: _Past) -> ToolState:
    version = installed(tool.distribution or "")
    settings = workspace.settings.tool(tool.name)
    answers = services(tool, settings, workspace.settings.registry.module(tool.name)) if version else []
    circuits = _circuits(workspace, tool.name, settings)
    worst = max(circuits, key=lambda one: (one.state is not State.CLOSED, one.next_attempt or 0.0), default=None)
    return ToolState(
        tool=tool.name,
        installed=version,
        mode="server" if answers or settings.address() else "embedded",
        reachable=version is not None and all(service.reachable for service in answers),
        services=answers,
        breaker=worst.state if worst else State.CLOSED,
        next_attempt=worst.next_attempt if worst else None,
        circuits=circuits,
        last_failure=past.failures.get(tool.name),
        outbox=past.waiting.get(tool.name, 0),
        refused=past.refused.get(tool.name, 0),
    )


def _circuits(workspace: Workspace, tool: str, settings: ToolSettings) -> list[CircuitState]:
    """Reads the circuit of each server of a tool, without changing it."""
    given, policy, now = settings.circuit_breaker, policy_of(settings.circuit_breaker), since_boot()
    found = []
    for server, file in circuit_files(workspace.store, tool, settings).items():
        circuit = peek(file) or Circuit()
        found.append(
            CircuitState(
                server=server or None,
                failure_threshold=given.failure_threshold,
                recovery_timeout=given.recovery_timeout,
                half_open_requests=given.half_open_requests,
                state=circuit.state,
                next_attempt=circuit.wait(policy, now),
                failures=circuit.failures,
                probes=len(circuit.leases),
                ok=circuit.ok,
                failed=circuit.failed,
                ignored=circuit.ignored,
                rejected=circuit.rejected,
                changes=circuit.changes,
            )
        )
    return found


def _broken(name: str, problem: InvalidSpec) -> ToolState:
    """Returns the state of a listed plug-in that cannot be loaded."""
    service = ServiceState(
        service="plug-in",
        reachable=False,
        answer=None,
        code=problem.code,
        problem=problem.message,
        hint=problem.hint,
    )
    return ToolState(
        tool=name,
        installed=None,
        mode="embedded",
        reachable=False,
        services=[service],
        breaker=State.CLOSED,
        next_attempt=None,
        circuits=[],
        last_failure=None,
        outbox=0,
        refused=0,
    )


def services(tool: Tool, settings: ToolSettings, package: str) -> list[ServiceState]:
    """Returns the answer of each service of a tool; none for an embedded tool."""
    if not settings.identity() and settings.address() is None:
        return []
    try:
        asking = import_module(f"{package}.asking")
    except ModuleNotFoundError:  # the tool has no service
        return []
    questions: list[Question] = asking.questions(settings)
    return [_answer(tool, question) for question in questions]


def _answer(tool: Tool, question: Question) -> ServiceState:
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
    return ServiceState(
        service=question.of,
        reachable=error is None,
        answer=line,
        code=error.code if error else None,
        problem=error.message if error else None,
        hint=error.hint if error else None,
    )


class _Past(Struct, frozen=True):
    """What the store knows about the tools, by their names."""

    waiting: dict[str, int] = {}
    refused: dict[str, int] = {}
    failures: dict[str, LastFailure] = {}


def _past(workspace: Workspace) -> _Past:
    if not (workspace.store / FILE).exists():
        return _Past()
    try:
        with Reader(workspace.store, lambda digest: True) as reader:
            return _Past(reader.waiting(), reader.refused(), reader.last_failures())
    except StoreError:
        return _Past()  # ``_state`` reports it
