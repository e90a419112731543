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

from e2i.cli import streams
from e2i.errors import Exit


def own(command: Callable[[], None], *, alone: bool) -> None:
    """Carries out the command as what this process is for.

    ``alone``: only our own models are used in this process, and nothing of it goes on when it is over.
    """
    if alone:
        _without_plugins()
    # Little of what a check makes refers to itself: looking for it every 700 objects, as Python does, is in vain.
    gc.set_threshold(200_000)
    _fill_standard_descriptors()
    sys.stdout, sys.stderr = streams.patient(sys.stdout), streams.patient(sys.stderr)
    try:
        command()
    except SystemExit as end:
        if fault := streams.fault(sys.stdout):
            print(f"error: standard output cannot be written: {fault} [not-writable]", file=sys.stderr)
            end.code = end.code or int(Exit.UNAVAILABLE)
        if alone and isinstance(end.code, int):
            _end_at_once(end.code)
        raise


def _fill_standard_descriptors() -> None:
    """Opens those of standard input, output and error that were closed before: else the first file that is opened, such
    as the journal, would take the number, and a child would write to it.
    """
    opened = 0
    while opened <= 2:  # the lowest free number is taken first
        opened = os.open(os.devnull, os.O_RDWR)
    os.close(opened)


def settle() -> None:
    """What is there now stays until the end. Garbage comes from now on: it is looked for as often as Python does, which
    costs little, since what stays is not looked at again.
    """
    gc.freeze()
    gc.set_threshold(700, 10, 10)


def _without_plugins() -> None:
    """Spares pydantic two imports that our models have no use for; each is loaded after all if somebody has one.

    The search for plugins among all installed distributions: pydantic 2.14 has a switch for it,
    PYDANTIC_DISABLE_PLUGINS, but imports ``importlib.metadata`` all the same, a seventh of the start. And ``secrets``,
    which loads OpenSSL to compare the values of fields of a type that no model here has.
    """
    _later("pydantic.plugin._loader", get_plugins=tuple)
    _later("secrets")


def _later(name: str, **given: Any) -> None:
    """Stands in for a module with what is ``given``; should it be asked for anything else, it is loaded."""
    if name in sys.modules:
        return

    def loaded_after_all(attribute: str) -> Any:
        if attribute.startswith("__"):  # the import system asks what kind of module this is
            raise AttributeError(attribute)
        if sys.modules.get(name) is stand_in:
            del sys.modules[name]
        return getattr(import_module(name), attribute)

    stand_in = sys.modules[name] = ModuleType(name)
    vars(stand_in).update(**given, __getattr__=loaded_after_all)


def _end_at_once(code: int) -> None:
    """Ends the process without freeing object by object what the system takes back anyway."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
