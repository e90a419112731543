"""Read the workspace's files before a run.

In: folders that paths may lead into. Out: bytes and names. ``ChangedFiles`` replaces the text of some of them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from msgspec import Struct

from e2i.errors import Refused, StepError
from e2i.workspace import matches, paths
from e2i.workspace.paths import Roots

if TYPE_CHECKING:
    from e2i.settings import Settings


class WorkspaceFiles(Struct, frozen=True):
    """Implements ``e2i.catalog.files.Files``."""

    roots: Roots
    settings: Settings | None = None
    """The operator's settings; None: no tool has any."""

    def open(self, path: str) -> BinaryIO | None:
        """Returns the file's bytes; None for a missing file. Raises OSError when it must not or cannot be read."""
        try:
            paths.resolve(self.roots, path)  # first, because an invalid path is an error, not a missing file
            found = paths.look(self.roots, path)
            if found == "missing":
                return None
            if found == "directory":
                raise IsADirectoryError(path)
            return os.fdopen(paths.open_file(self.roots, path), "rb")
        except (Refused, StepError) as error:
            raise OSError(str(error)) from error

    def names(self, folder: str) -> Sequence[str]:
        """Returns the names of the files in a folder, sorted; empty when there is no such folder."""
        try:
            found = paths.resolve(self.roots, folder)
            return sorted(item.name for item in found.iterdir() if item.is_file())
        except (Refused, OSError):
            return ()

    def matching(self, path: str) -> Sequence[str]:
        """Returns the paths of the files that a folder or a pattern names; the path itself if it is neither."""
        try:
            return paths.matching(self.roots, path)
        except (Refused, OSError):
            return (path,)

    def glob(self, pattern: str) -> Sequence[str]:
        """Returns the paths of the files that match, sorted. Raises OSError when there are too many."""
        try:
            return matches.of(self.roots, pattern)
        except Refused as error:
            raise OSError(str(error)) from error

    def configured(self, tool: str, setting: str) -> Path | None:
        """Returns the folder that a setting names, relative to the workspace; None without that setting."""
        found = None if self.settings is None else getattr(self.settings.tool(tool), setting)
        return None if found is None else (self.roots.workspace / found).resolve()

    def configured_names(self, tool: str, setting: str) -> Mapping[str, str] | None:
        """Returns a mapping of names in the settings; None without settings."""
        if self.settings is None:
            return None
        names: Mapping[str, str] = getattr(self.settings.tool(tool), setting)
        return names

    def own(self, path: str) -> Path | None:
        """Returns the file of a path, links followed, if it is in the workspace itself and so may be written."""
        try:
            found = paths.resolve(self.roots, path)
        except Refused:
            return None
        return found if found.is_relative_to(self.roots.workspace.resolve()) and found.is_file() else None


class ChangedFiles(Struct, frozen=True):
    """The files of a workspace, some with another text than on disk. Implements the same protocol."""

    files: WorkspaceFiles
    texts: Mapping[Path, str]
    """By path, without links."""

    def open(self, path: str) -> BinaryIO | None:
        own = self.files.own(path)
        text = self.texts.get(own) if own else None
        return self.files.open(path) if text is None else BytesIO(text.encode())

    def names(self, folder: str) -> Sequence[str]:
        return self.files.names(folder)

    def matching(self, path: str) -> Sequence[str]:
        return self.files.matching(path)

    def glob(self, pattern: str) -> Sequence[str]:
        return self.files.glob(pattern)

    def configured(self, tool: str, setting: str) -> Path | None:
        return self.files.configured(tool, setting)

    def configured_names(self, tool: str, setting: str) -> Mapping[str, str] | None:
        return self.files.configured_names(tool, setting)
