"""The node: what a Dask worker executes for an engine. In: bytes. Out: reports, published under the engine's topic.

Any Dask worker whose environment has e2i is a node; nothing has to be configured. Its state is a plugin of the worker,
made by the first call, so that a call whose task was cancelled is ended, and that all processes end with the worker.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from e2i import __version__
from e2i.cluster.calls import execute as execute_call
from e2i.cluster.slots import Slots
from e2i.store import ownership

NAME = "e2i"


def execute(token: str, setup: bytes, assignment: bytes) -> None:
    """Executes a call. This is the task that Dask runs, in a thread of a worker; its key is the token."""
    from distributed import get_worker

    worker = get_worker()
    # Atomic: of two first calls at a time, one node is kept, and the other one has started nothing.
    node: Node = worker.plugins.setdefault(NAME, Node(worker))
    node.execute(token, setup, assignment)


def describe() -> Mapping[str, str]:
    """Returns the versions of a node. Run by ``Client.run``."""
    import platform

    return {"e2i": __version__, "python": platform.python_version()}


class Node:
    """A plugin of a Dask worker (``distributed.WorkerPlugin``): its slots, and the calls that they execute."""

    name = NAME

    def __init__(self, worker: Any) -> None:
        self._worker = worker
        self._root = Path(worker.local_directory).resolve() / "e2i-node"
        self._slots = Slots(self._root, worker.state.nthreads)
        self._cancelled: dict[str, threading.Event] = {}
        """For each running call, by its token: whether its task was cancelled."""

    def execute(self, token: str, setup: bytes, assignment: bytes) -> None:
        """Executes a call to its end, in a thread of the worker."""
        ownership.create(self._root)
        cancelled = self._cancelled[token] = threading.Event()
        try:
            execute_call(setup, assignment, self._slots, self._worker.address, self._worker.log_event, cancelled)
            self._slots.trim()
        finally:
            del self._cancelled[token]

    def transition(self, key: Any, start: str, finish: str, **kwargs: Any) -> None:
        """Ends a call whose task is not wanted any more: the engine has cancelled it, or is gone."""
        if finish in ("cancelled", "released", "forgotten") and (cancelled := self._cancelled.get(str(key))):
            cancelled.set()

    def setup(self, worker: Any) -> None:
        """Called by Dask when the plugin is registered."""

    def teardown(self, worker: Any) -> None:
        """Ends all processes with the worker."""
        self._slots.close()
