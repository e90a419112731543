"""Watch the circuit breakers of a run's tools. In: the store and the settings. Out: changes of state, as events.

Breakers are in worker processes, in the delivery process and in other runs of the store. All of them keep their state
in the store's files, so the engine reads these files twice a second. A state that lasts shorter may be missed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

from e2i.execution.events import Stamped, ToolCircuit
from e2i.resilience.breaker import Circuit, State, since_boot
from e2i.resilience.circuits import circuit_files, policy_of
from e2i.resilience.state_file import FOLDER, peek
from e2i.settings import Settings

PERIOD = 0.5
"""Seconds between two readings of the files."""


class CircuitWatch:
    """The circuits of some tools, with the states that were reported. They count as closed when a run begins."""

    def __init__(self, store: Path, settings: Settings, tools: Iterable[str], clock: Callable[[], float]) -> None:
        """``clock`` returns seconds."""
        self._store = store
        self._settings = settings
        self._tools = sorted(tools)
        self._clock = clock
        self._next = clock() + PERIOD
        self._states: dict[tuple[str, str], State] = {}

    def changes(self, *, now: bool = False) -> Iterator[Stamped]:
        """Yields an event for each circuit whose state differs from the last reported one.

        Yields nothing until ``PERIOD`` has passed, unless ``now``.
        """
        if not now and self._clock() < self._next:
            return
        self._next = self._clock() + PERIOD
        try:
            files = os.listdir(self._store / FOLDER)  # noqa: PTH208 - names are enough
        except OSError:  # no circuit has counted anything
            return
        for tool in self._tools:
            if any(file.startswith((f"{tool}.", f"{tool}-")) for file in files):
                yield from self._changes_of(tool)

    def _changes_of(self, tool: str) -> Iterator[Stamped]:
        settings = self._settings.tool(tool)
        policy = policy_of(settings.circuit_breaker)
        for server, file in circuit_files(self._store, tool, settings).items():
            circuit = peek(file) or Circuit()
            was = self._states.get((tool, server), State.CLOSED)
            if circuit.state is was:
                continue
            self._states[tool, server] = circuit.state
            wait = circuit.wait(policy, since_boot())
            yield partial(
                ToolCircuit,
                tool=tool,
                server=server or None,
                state=circuit.state,
                was=was,
                next_attempt=None if wait is None else round(wait, 3),
            )
