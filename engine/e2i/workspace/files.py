"""The workspace's files, to look at before a run. In: folders that paths may lead into. Out: bytes and names.

Also the same files with some of them as they are being changed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct

from e2i.errors import Refused, StepError
from e2i.workspace import paths
from e2i.workspace.paths import Roots


class WorkspaceFiles(Struct, frozen=True):
    """Implements ``e2i.catalog.files.Files``."""

    roots: Roots

    def open(self, path: str) -> BinaryIO | None:
        """The file's bytes; None when there is no such file. Raises OSError when it must not or cannot be read."""
        try:
            paths.resolve(self.roots, path)  # first: what is no path at all is not merely missing
            if paths.look(self.roots, path) == "missing":
                return None
            return os.fdopen(paths.open_file(self.roots, path), "rb")
        except (Refused, StepError) as error:
            raise OSError(str(error)) from error

    def names(self, folder: str) -> Sequence[str]:
        """The names of the files in a folder, sorted; none when there is no such folder."""
        try:
            found = paths.resolve(self.roots, folder)
            return sorted(item.name for item in found.iterdir() if item.is_file())
        except (Refused, OSError):
            return ()

    def own(self, path: str) -> Path | None:
        """The file behind a path, links followed, if it lies in the workspace itself: what may be written."""
        try:
            found = paths.resolve(self.roots, path)
        except Refused:
            return None
        return found if found.is_relative_to(self.roots.workspace.resolve()) and found.is_file() else None


class ChangedFiles(Struct, frozen=True):
    """The files of a workspace, of which some hold another text than on the disk. Implements the same."""

    files: WorkspaceFiles
    texts: Mapping[Path, str]
    """By path, without links."""

    def open(self, path: str) -> BinaryIO | None:
        own = self.files.own(path)
        text = self.texts.get(own) if own else None
        return self.files.open(path) if text is None else BytesIO(text.encode())

    def names(self, folder: str) -> Sequence[str]:
        return self.files.names(folder)
