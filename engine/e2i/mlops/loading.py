"""Import a large library once, without stopping the event loop of a program. In: what imports it. Out: nothing.

The import runs in a thread. Python would collect garbage there, which stops all threads: 1.2 s for MLflow's models.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from importlib import import_module

from e2i.catalog.action import ToolSettings
from e2i.errors import ToolUnavailable
from e2i.startup import loading_without_pauses

MODULES = {
    "mlflow": ("mlflow", "mlflow.tracking"),
    "mlflow with a database": ("mlflow.store.tracking.sqlalchemy_store",),
    "opik": ("opik", "opik.evaluation.metrics"),
}
"""The modules of a tool's library that its first call imports."""
LONGEST = 120.0
"""Timeout of an import, in seconds: it reads files only."""
_loaded: set[str] = set()
_lock = threading.Lock()


@contextmanager
def first(name: str) -> Iterator[None]:
    """Collect no garbage in the block the first time that this process enters it by this name."""
    if name in _loaded:
        yield
        return
    with _lock:
        if name in _loaded:
            yield
            return
        with loading_without_pauses():
            yield
        _loaded.add(name)


def once(name: str, load: Callable[[], object]) -> None:
    """Call ``load`` the first time that it is asked for ``name`` in this process, and then no more."""
    if name not in _loaded:
        with _lock:
            if name not in _loaded:
                with loading_without_pauses():
                    load()
                _loaded.add(name)


def library(tool: str, config: ToolSettings) -> None:
    """Import the library of a tool, from a thread. One that is absent is the caller's to report."""
    for name in _needed(tool, config):
        once(f"library of {name}", partial(_import, name))


async def alibrary(tool: str, config: ToolSettings) -> None:
    """Do the same without blocking the event loop. Raises ToolUnavailable after ``LONGEST``."""
    if all(f"library of {name}" in _loaded for name in _needed(tool, config)):
        return
    try:
        await asyncio.wait_for(asyncio.to_thread(library, tool, config), LONGEST)
    except TimeoutError:
        message = f"the library of {tool} is not imported after {LONGEST:g} s"
        raise ToolUnavailable(tool, message, hint="is the disk, or the machine, overloaded?") from None


def _needed(tool: str, config: ToolSettings) -> list[str]:
    is_server = any(address.startswith("http") for address in config.addresses())
    return [name for name in (tool, *(() if is_server else (f"{tool} with a database",))) if name in MODULES]


def _import(name: str) -> None:
    with suppress(ImportError):
        for module in MODULES[name]:
            import_module(module)
