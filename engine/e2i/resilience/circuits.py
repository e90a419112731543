"""Circuit breakers of a tool, as its settings describe them. In: settings, a store. Out: breakers and their files.

A tool has one circuit for each server of its settings: a database that is down does not stop calls to another one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from e2i.resilience.breaker import Breaker, Policy, State, since_boot
from e2i.resilience.shared_state import SharedState
from e2i.resilience.state_file import file_of, peek

if TYPE_CHECKING:
    from e2i.catalog.action import CircuitBreaker, ToolSettings


def policy_of(settings: CircuitBreaker, *, patient: bool = True) -> Policy:
    """Returns the thresholds of the settings. Unless ``patient``, an open circuit does not wait before its probes."""
    return Policy(
        failures=settings.failure_threshold,
        recovery=settings.recovery_timeout if patient else 0.0,
        probes=settings.half_open_requests,
    )


def circuit_files(store: Path, tool: str, settings: ToolSettings) -> Mapping[str, Path]:
    """Returns the files of the tool's circuits in a store, by the name of the server; "" for a tool with one."""
    if servers := settings.circuits():
        return {server: _file_of(store, tool, settings, server) for server in servers}
    return {"": _file_of(store, tool, settings, "")}


def wait(store: Path, tool: str, settings: ToolSettings) -> float:
    """Returns the seconds until the tool may be called at all its servers; 0 when it may be called now."""
    circuits = filter(None, map(peek, circuit_files(store, tool, settings).values()))
    policy, now = policy_of(settings.circuit_breaker), since_boot()
    return max((circuit.wait(policy, now) or 0.0 for circuit in circuits), default=0.0)


def close(store: Path, tool: str, settings: ToolSettings, answered: Collection[str]) -> list[str]:
    """Closes the circuits of the servers whose services have answered, and that of a tool with one circuit. Returns the
    names of those that were not closed.
    """
    return [
        server
        for server, file in circuit_files(store, tool, settings).items()
        if (not server or server in answered)
        and (circuit := peek(file)) is not None
        and circuit.state is not State.CLOSED
        and breaker_of(store, tool, settings, server).close()
    ]


def breaker_of(store: Path, tool: str, settings: ToolSettings, server: str = "", *, patient: bool = True) -> Breaker:
    """Returns the breaker of a tool, or of one of its servers, shared by all processes of the store."""
    state = SharedState(_file_of(store, tool, settings, server))
    return Breaker(tool, policy_of(settings.circuit_breaker, patient=patient), state=state)


def _file_of(store: Path, tool: str, settings: ToolSettings, server: str) -> Path:
    identity = settings.identity()
    if server:  # two names of one server share its circuit
        return file_of(store, tool, {"server": identity[server]})
    address = settings.address()
    return file_of(store, tool, {**identity, **({"address": list(address)} if address else {})})
