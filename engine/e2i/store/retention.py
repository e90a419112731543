"""Remove from the tools' folders, and from the logs of kept runs, what no kept run, entry or process needs.

In: the settings of the operator, and what the collection keeps. Out: counts and sizes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from msgspec import Struct

from e2i.catalog.registry import Registry
from e2i.catalog.retention import Kept, Leftover, is_old
from e2i.resilience import removal
from e2i.spec import durations

NAMES = {"bento": "tag", "study": "name"}
"""Types of artifacts that a tool keeps under a name, with the field that holds it."""


class ToolWish(Struct, frozen=True):
    """What is kept of one tool: the ``newest`` of each name, and what was written in the last ``keep_ms``."""

    tool: str
    keep_ms: int
    newest: int = 0


class Wishes(Struct, frozen=True):
    """What is kept beside runs. None: nothing is removed."""

    tools: tuple[ToolWish, ...] = ()
    logs_ms: int | None = None


class Removed(Struct):
    """Counts and bytes of what was removed."""

    tools: dict[str, list[str]]
    logs: int = 0
    size: int = 0


def wishes(
    keep_ms: int, *, bentos: int | None, ages: dict[str, str | None], logs: str | None, every_tool: bool
) -> Wishes:
    """Returns what is kept. ``every_tool``: also of tools without a setting, by the age of the runs.

    ``ages``: a duration for each tool, or None.
    """
    found = [
        ToolWish(tool, keep_ms if age is None else _ms(age))
        for tool, age in ages.items()
        if age is not None or every_tool
    ]
    if bentos is not None or every_tool:
        found.append(ToolWish("bentoml", keep_ms, 10 if bentos is None else bentos))
    found.sort(key=lambda wish: wish.tool)  # what needs space for its removal, studies, is last
    return Wishes(tuple(found), None if logs is None else _ms(logs))


def collect(
    root: Path,
    wanted: Wishes,
    *,
    registry: Registry,
    texts: Iterable[str],
    digests: set[str],
    runs: Iterable[str],
    since_ms: int | None,
    now_ms: int,
    dry_run: bool,
    size_of: Callable[[Path], int],
) -> Removed:
    """Removes what is not kept. Requires that nobody uses the store.

    ``texts``: the outputs of kept steps and results, and the bodies of waiting entries. ``runs``: the kept runs.
    ``since_ms``: the start of the first unfinished run that is kept; what was written since may be a part of it.
    """
    names, arguments = frozenset(_names(texts)), frozenset(_arguments())
    removed = Removed(tools={})
    for wish in wanted.tools:
        before = min(now_ms - wish.keep_ms, now_ms if since_ms is None else since_ms)
        kept = Kept(digests, names, arguments, before, wish.newest)
        for leftover in _leftovers(registry, wish.tool, root / wish.tool, kept):
            removed.tools.setdefault(wish.tool, []).append(leftover.name)
            removed.size += sum(size_of(path) for path in leftover.paths if os.path.lexists(path))
            if not dry_run:
                _remove(root, leftover)
    if wanted.logs_ms is not None:
        _collect_logs(root, runs, Kept(before_ms=now_ms - wanted.logs_ms), removed, size_of, dry_run=dry_run)
    return removed


def _collect_logs(
    root: Path, runs: Iterable[str], kept: Kept, removed: Removed, size_of: Callable[[Path], int], *, dry_run: bool
) -> None:
    for run in sorted(runs):
        for name in removal.names(root, "runs", run, "logs"):
            path = root / "runs" / run / "logs" / name
            if is_old(kept, path):
                removed.logs += 1
                removed.size += size_of(path)
                if not dry_run:
                    removal.remove(root, "runs", run, "logs", name)


def _leftovers(registry: Registry, tool: str, home: Path, kept: Kept) -> list[Leftover]:
    name = f"{registry.module(tool)}.retention"
    if not home.is_dir() or home.is_symlink() or find_spec(name) is None:
        return []
    found: list[Leftover] = import_module(name).leftovers(home, kept)
    return found


def _remove(root: Path, leftover: Leftover) -> None:
    if leftover.forget is not None:
        leftover.forget()
    for path in leftover.paths:
        removal.remove_below(root, path)


def _names(texts: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yields the type and the name of each artifact with a name in these JSON texts."""
    for text in texts:
        if any(f'"{kind}"' in text for kind in NAMES):
            yield from _named(json.loads(text))


def _named(value: Any) -> Iterator[tuple[str, str]]:
    match value:
        case {"type": str(kind), **rest} if kind in NAMES and isinstance(name := rest.get(NAMES[kind]), str):
            yield kind, name
        case dict():
            for item in value.values():
                yield from _named(item)
        case list():
            for item in value:
                yield from _named(item)


def _arguments() -> Iterator[str]:
    """Yields the arguments of the processes of this machine that this user may see."""
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield from entry.read_bytes().decode("utf-8", "replace").split("\0")
        except OSError:  # it has ended
            continue


def _ms(text: str) -> int:
    return round(durations.parse(text) * 1000)
