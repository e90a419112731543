"""Print what ``e2i doctor`` found, for people: a line for each tool, and what is wrong with it."""

from __future__ import annotations

import time
from collections.abc import Iterator

import click

from e2i.api import Workspace
from e2i.cli import destinations
from e2i.cli.doctor import CircuitState, DoctorDocument, ServiceState, ToolState
from e2i.cli.problems_view import safe
from e2i.cli.wording import counted
from e2i.cluster.health import ClusterState
from e2i.resilience.breaker import State
from e2i.store.past import LastFailure
from e2i.store.shared import SharedState

INDENT = " " * 20


def show(found: DoctorDocument, workspace: Workspace) -> None:
    for tool in found.tools:
        for line in _tool(tool):
            click.echo(line)
    if found.shared is not None:
        click.echo(_shared(found.shared))
    if found.cluster is not None:
        for line in _cluster(found.cluster):
            click.echo(line)
    for sentence in found.state.corruption:
        click.echo(f"state of the store: {click.style(safe(sentence), fg='red')}")
    for sentence in found.state.quarantined:
        click.echo(f"state of the store: {safe(sentence)}")
    click.echo(click.style(safe(destinations.line(workspace)), dim=True))


def _tool(tool: ToolState) -> Iterator[str]:
    version = tool.installed or click.style("not installed", fg="yellow")
    counts = ((tool.outbox, "waiting"), (tool.refused, "refused"))
    text = [f"{count} {what}" for count, what in counts if count]
    yield "  ".join([f"{tool.tool:<20} {version:<14} {tool.mode:<9} {_reachable(tool)}", *text])
    for service in tool.services:
        yield from _service(service)
    for circuit in tool.circuits:
        if circuit.ok or circuit.failed or circuit.ignored or circuit.state is not State.CLOSED:
            yield _circuit(circuit)
    if tool.last_failure is not None and not tool.last_failure.succeeded_since:
        yield _failure(tool.last_failure)


def _circuit(circuit: CircuitState) -> str:
    """Returns the state of a circuit breaker, its settings, and what it has counted."""
    when = "next attempt now" if circuit.next_attempt is None else f"next attempt in {circuit.next_attempt:.1f} s"
    state = "closed" if circuit.state is State.CLOSED else f"{circuit.state.value}, {when}"
    name = f"circuit of {safe(circuit.server)}" if circuit.server else "circuit"
    probes = counted(circuit.half_open_requests, "probe")
    rule = f"opens after {counted(circuit.failure_threshold, 'failure')}, {probes} after {circuit.recovery_timeout:g} s"
    counts = f"{circuit.ok} ok, {circuit.failed} failed, {circuit.ignored} ignored, {circuit.rejected} rejected"
    shown = click.style(f"{name} {state}", fg="yellow") if circuit.state is not State.CLOSED else f"{name} {state}"
    return f"{INDENT} {shown} ({rule}): {counts}"


def _service(service: ServiceState) -> Iterator[str]:
    if service.reachable:
        yield f"{INDENT} {safe(f'{service.service}: {service.answer}')}"
        return
    line = safe(f"{service.service}: {service.problem}").splitlines()[0]
    yield f"{INDENT} {click.style(line, fg='red')} [{service.code}]"
    if service.hint:
        yield f"{INDENT}   {safe(service.hint)}"


def _failure(failure: LastFailure) -> str:
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(failure.ended_ms / 1000))
    line = f"{failure.step} of run {failure.run} failed at {when}: {failure.message}"
    return f"{INDENT} {click.style(safe(line).splitlines()[0], fg='yellow')} [{failure.code}]"


def _shared(shared: SharedState) -> str:
    writable = "" if shared.writable else click.style(", not writable", fg="red")
    results = "" if shared.results is None else f", {counted(shared.results, 'result')}"
    problem = f": {safe(shared.problem)}" if shared.problem else ""
    return f"shared store {safe(shared.url)} ({shared.trust})  {_reachable(shared)}{writable}{results}{problem}"


def _cluster(cluster: ClusterState) -> Iterator[str]:
    problem = f": {safe(cluster.problem)}" if cluster.problem else ""
    yield f"cluster {safe(cluster.address)}  {_reachable(cluster)}, {counted(len(cluster.nodes), 'node')}{problem}"
    for node in cluster.nodes:
        declared = "".join(f", {safe(name)}={amount:g}" for name, amount in sorted(node.resources.items()))
        versions = f"e2i {node.e2i}, Python {node.python}" if node.e2i else "versions unknown"
        yield f"{INDENT} {safe(node.name)} ({safe(node.address)}): {counted(node.slots, 'slot')}{declared}; {versions}"
        if node.problem:
            yield f"{INDENT}   {click.style(safe(node.problem), fg='red')}"


def _reachable(found: ToolState | SharedState | ClusterState) -> str:
    return click.style("reachable", fg="green") if found.reachable else click.style("not reachable", fg="red")
