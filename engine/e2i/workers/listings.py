"""List folders backwards, so that code which relies on an order of listings is found (``e2i verify``).

The order in which an operating system lists a folder is undefined, yet mostly the same on one machine.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any, Self

REVERSED = "E2I_REVERSED_LISTINGS"
"""The environment variable of a worker that asks for it."""


def reverse_if_asked(environ: MutableMapping[str, str]) -> None:
    """Make ``os.listdir`` and ``os.scandir`` of this process list backwards. Do nothing without the variable."""
    if environ.pop(REVERSED, None) is None:
        return
    listdir, scandir = os.listdir, os.scandir
    os.listdir = lambda path=".": sorted(listdir(path), reverse=True)  # type: ignore[assignment]
    os.scandir = lambda path=".": _Backwards(scandir, path)  # type: ignore[assignment]


class _Backwards:
    """The entries of a folder by name, the last one first, with the methods of what ``os.scandir`` returns."""

    def __init__(self, scandir: Callable[[Any], Any], path: Any) -> None:
        with scandir(path) as entries:
            self._entries: Iterator[os.DirEntry[Any]] = iter(
                sorted(entries, key=lambda entry: entry.name, reverse=True)
            )

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> os.DirEntry[Any]:
        return next(self._entries)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None: ...

    def close(self) -> None: ...
