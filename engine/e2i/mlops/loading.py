"""Import a large library once, without stopping the event loop of a program. In: what imports it. Out: nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable

from e2i.startup import load_without_pauses

_loaded: set[str] = set()
_lock = threading.Lock()


def once(name: str, load: Callable[[], object]) -> None:
    """Call ``load`` the first time that it is asked for ``name`` in this process, and then no more."""
    if name in _loaded:
        return
    with _lock:
        if name not in _loaded:
            load_without_pauses(load)
            _loaded.add(name)
