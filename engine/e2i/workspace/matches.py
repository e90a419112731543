"""Find the workspace files that a pattern names. In: a pattern such as ``data/**/*.csv``. Out: paths, sorted.

``*``, ``?`` and ``[…]`` match within one name, ``**`` any number of folders. Hidden names match no wildcard. Links to
folders are not followed, and a link to a file counts if a path in a spec may lead there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from fnmatch import fnmatchcase

from e2i.errors import Refused
from e2i.workspace import paths
from e2i.workspace.paths import Roots

MOST = 1_000
"""Limit on the files that one pattern matches."""
MOST_SEEN = 100_000
"""Limit on the names that are compared with one pattern."""


def of(roots: Roots, pattern: str) -> list[str]:
    """Returns the files that match. Raises Refused when there are too many, or names to compare."""
    found: set[str] = set()
    for path in _walk(_Names(roots, pattern), "", tuple(part for part in pattern.split("/") if part != ".")):
        if path not in found and paths.look(roots, path) == "file":
            found.add(path)
            if len(found) > MOST:
                raise _too_many(pattern, f"matches more than {MOST:,} files")
    return sorted(found)


class _Names:
    """The names in folders of the workspace, which are counted."""

    def __init__(self, roots: Roots, pattern: str) -> None:
        self._roots = roots
        self._pattern = pattern
        self._seen = 0

    def __call__(self, folder: str, *, folders: bool) -> Iterator[str]:
        """Yields the names in a folder that are not hidden: those of folders, or all others."""
        if paths.look(self._roots, folder or ".") != "directory":
            return
        try:
            entries = list(os.scandir(self._roots.workspace / folder))
        except OSError:  # a folder that must not be entered
            return
        self._seen += len(entries)
        if self._seen > MOST_SEEN:
            raise _too_many(self._pattern, f"is compared with more than {MOST_SEEN:,} names")
        for entry in entries:
            if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False) == folders:
                yield entry.name


def _walk(names: _Names, folder: str, parts: tuple[str, ...]) -> Iterator[str]:
    """Yields the paths below a folder that match the parts."""
    first, *others = parts
    rest = tuple(others)
    if first == "**":
        yield from _walk(names, folder, rest or ("*",))
        for name in names(folder, folders=True):
            yield from _walk(names, f"{folder}{name}/", parts)
    elif not any(character in first for character in "*?["):
        path = f"{folder}{first}"
        yield from _walk(names, f"{path}/", rest) if rest else (path,)
    else:
        for name in names(folder, folders=bool(rest)):
            if fnmatchcase(name, first):
                yield from _walk(names, f"{folder}{name}/", rest) if rest else (f"{folder}{name}",)


def _too_many(pattern: str, why: str) -> Refused:
    return Refused(f"the pattern {pattern!r} {why}", code="too-large", hint="name fewer files")
