"""The process of a command: it starts without what it will not use, and one that only looked ends without tidying up.

In: the command. Out: the process's exit code. On a spec of ten steps this saves a quarter of what ``e2i validate``
costs.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any


def own(command: Callable[[], None], *, only_looks: bool) -> None:
    """Carries out the command as what this process is for.

    ``only_looks``: it starts no thread and no process, so that there is nothing to wait for when it ends.
    """
    if only_looks:
        _without_plugins()
    # Little of what a check makes refers to itself: looking for it every 700 objects, as Python does, is in vain.
    gc.set_threshold(200_000)
    try:
        command()
    except SystemExit as end:
        if only_looks and isinstance(end.code, int):
            _end_at_once(end.code)
        raise


def _without_plugins() -> None:
    """Spares pydantic the search for plugins among all installed distributions: our models have none.

    Pydantic 2.14 has a switch for the search, PYDANTIC_DISABLE_PLUGINS, but imports ``importlib.metadata`` all the
    same, a seventh of the start. So its loader is stood in for; should it be asked for anything else, it is loaded
    after all.
    """
    name = "pydantic.plugin._loader"

    def loaded_after_all(attribute: str) -> Any:
        if attribute.startswith("__"):  # the import system asks what kind of module this is
            raise AttributeError(attribute)
        sys.modules.pop(name, None)
        return getattr(import_module(name), attribute)

    loader = sys.modules[name] = ModuleType(name)
    vars(loader).update(get_plugins=tuple, __getattr__=loaded_after_all)


def _end_at_once(code: int) -> None:
    """Ends the process without freeing object by object what the system takes back anyway."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):  # nobody reads any more: Python knows how to end with that
        return
    os._exit(code)
