"""Types for the retention of what tools keep: what is still needed, and what a tool could remove.

A tool with state in the store has a module ``retention`` with a function ``leftovers(home, kept)``, which reads only.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from msgspec import Struct


class Kept(Struct, frozen=True):
    """What kept runs, their results, waiting entries and running processes need. Times are ms since the epoch."""

    digests: Collection[str] = ()
    """Every ``sha256:…`` that they name."""
    names: Collection[tuple[str, str]] = ()
    """The type and the name of each artifact with a name in a tool: ``("study", NAME)``, ``("bento", TAG)``."""
    arguments: Collection[str] = ()
    """The arguments of the processes of this machine, such as the tag of a Bento that is served."""
    before_ms: int = 0
    """Only what was last written before is removed."""
    newest: int = 0
    """How many of each name are kept, whatever their age, for tools that count."""


class Leftover(Struct, frozen=True):
    """Something of a tool that nobody needs."""

    name: str
    """For people, such as a tag."""
    paths: tuple[Path, ...]
    """Its files and folders, below the tool's home, in the order of their removal."""
    forget: Callable[[], None] | None = None
    """Removes it from the tool's database. Called before the files are removed."""


def changed_ms(path: Path) -> int | None:
    """Returns the last change of a file or folder in ms since the epoch; None when it does not exist."""
    try:
        return path.lstat().st_mtime_ns // 1_000_000
    except OSError:
        return None


def is_old(kept: Kept, *paths: Path) -> bool:
    """Returns whether all of these exist and were last written before ``kept.before_ms``."""
    times = [changed_ms(path) for path in paths]
    return all(time is not None and time < kept.before_ms for time in times)
