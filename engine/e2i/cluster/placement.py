"""Decides which calls may be executed on a node: those that need nothing of the engine's machine.

In: a call. Out: yes or no. A call with an effect stays with the engine, so a lost node never leaves half an effect, and
nothing with an effect is executed twice because a node was lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from e2i.catalog.artifacts import ARTIFACTS, Recipe, Stored
from e2i.catalog.registry import Registry
from e2i.check.machine import may_leave
from e2i.workers.executor import StepCall


def is_portable(call: StepCall, registry: Registry) -> bool:
    """Returns whether a node can execute the call: its action may leave, and all that it reads can be sent.

    An artifact without bytes in the store, such as a study or a version in a registry, is an object in a service.
    """
    return (
        may_leave(call.uses, registry)
        and call.files is not None
        and all(map(_is_inside, call.files))
        and all(issubclass(kind, (Stored, Recipe)) for kind in _kinds(call.params))
    )


def _is_inside(name: str) -> bool:
    """Returns whether the path of a file leads into the workspace wherever that is."""
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts


def _kinds(value: Any) -> Iterator[type[Any]]:
    """Yields the type of each artifact in plain data."""
    if isinstance(value, dict):
        if (kind := ARTIFACTS.get(str(value.get("type")))) is not None and "digest" in value:
            yield kind
        for item in value.values():
            yield from _kinds(item)
    elif isinstance(value, list):
        for item in value:
            yield from _kinds(item)
