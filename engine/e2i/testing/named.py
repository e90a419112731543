"""Opens the files that a test file names, as a workspace opens those that a spec names.

In: a workspace and a test file. Out: bytes, or copies. Nothing is read outside the folders that the policy allows;
links out of them, hidden names, special files, and more bytes than the limit are refused.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from e2i.check.paths import NEVER
from e2i.errors import Refused, StepError
from e2i.workspace import paths
from e2i.workspace.paths import Found, Roots
from e2i.workspace.workspace import Workspace

LARGEST = 64 << 20
"""Limit on the bytes of a file, or of all files in a folder, that a test file names."""
MOST_FILES = 1_000
DEEPEST = 16


class NamedFiles(Struct, frozen=True):
    """The files that names in a test file may lead to."""

    roots: Roots
    folder: str
    """The folder of the test file, relative to the workspace."""

    @classmethod
    def of(cls, test_file: Path, workspace: Workspace) -> NamedFiles:
        """Returns those of a test file; for one outside the workspace, those in its folder."""
        folder = test_file.parent.resolve()
        root = workspace.root.resolve()
        if folder.is_relative_to(root):
            return cls(replace(workspace.roots, hidden=False), folder.relative_to(root).as_posix())
        return cls(Roots(folder, hidden=False), ".")

    def look(self, name: str) -> Found:
        """Returns the type of what a name leads to."""
        try:
            paths.resolve(self.roots, self._text(name))
            return paths.look(self.roots, self._text(name))
        except Refused as error:
            return "outside" if error.code == "policy-path" else "special"

    def read(self, name: str) -> bytes:
        """Returns the bytes of a file. Raises Refused and StepError."""
        return paths.read(self.roots, self._text(name), LARGEST)

    def size(self, name: str) -> int:
        """Returns the bytes of a file, or of all files in a folder. Raises Refused and StepError."""
        return sum(size for _, size in self._inside(name))

    def copy(self, name: str, target: Path) -> None:
        """Copies a file or a folder. Raises Refused and StepError."""
        left = LARGEST
        for inner, _ in self._inside(name):
            to = target / inner if inner else target
            to.parent.mkdir(parents=True, exist_ok=True)
            text = f"{self._text(name)}/{inner}" if inner else self._text(name)
            content = paths.read(self.roots, text, left)
            left -= len(content)
            to.write_bytes(content)

    def _text(self, name: str) -> str:
        if name.startswith("/"):
            raise Refused(
                f"the path {name!r} is absolute", code="policy-path", hint="write it relative to the test file"
            )
        text = name if self.folder == "." else f"{self.folder}/{name}"
        if any(paths.resolve(self.roots, text).is_relative_to(system) for system in NEVER):
            raise Refused(f"{name} is not data: it belongs to the system", code="policy-path")
        return text

    def _inside(self, name: str) -> Iterator[tuple[str, int]]:
        """Yields each file with its bytes: "" for a file itself, else the path in the folder."""
        text = self._text(name)
        path = paths.resolve(self.roots, text)
        found = paths.look(self.roots, text)
        if found == "missing":
            raise StepError(f"there is no file {name}", code="no-such-file")
        if found not in ("file", "directory"):
            raise StepError(f"{name} is not a regular file", code="bad-path", hint="use the path of a file with data")
        total = 0
        for count, (inner, size) in enumerate(_walk(path, "") if found == "directory" else [("", path.stat().st_size)]):
            total += size
            if total > LARGEST:
                raise StepError(f"{name} has more than {LARGEST:,} bytes", code="file-too-large")
            if count >= MOST_FILES:
                raise StepError(f"{name} has more than {MOST_FILES:,} files", code="file-too-large")
            yield inner, size


def _walk(folder: Path, inner: str, depth: int = 0) -> Iterator[tuple[str, int]]:
    """Yields the files below a folder. Raises StepError for links, special files, and folders that are too deep."""
    if depth > DEEPEST:
        raise StepError(f"{folder.name} is more than {DEEPEST} folders deep", code="bad-path")
    try:
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise StepError(f"{folder.name} cannot be read: {error.strerror}", code="bad-path") from error
    for entry in found:
        name = f"{inner}/{entry.name}" if inner else entry.name
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(Path(entry.path), name, depth + 1)
        elif entry.is_file(follow_symlinks=False):
            yield name, entry.stat(follow_symlinks=False).st_size
        else:
            kind = "a link" if entry.is_symlink() else "not a regular file"
            raise StepError(f"{name} in the folder is {kind}", code="bad-path", hint="use a folder of regular files")
