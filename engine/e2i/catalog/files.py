"""The workspace as checks see it: paths go in; bytes and names come out, and nothing can be written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO, Final, Protocol


class Files(Protocol):
    """The workspace, to look at before anything runs. Paths are relative to its root; nothing outside is looked at."""

    def open(self, path: str) -> BinaryIO | None:
        """The file's bytes; None when there is no such file. Raises OSError when it must not or cannot be read."""

    def names(self, folder: str) -> Sequence[str]:
        """The names of the files in a folder, sorted; none when there is no such folder."""


class _NoFiles:
    """A workspace that cannot be looked at."""

    def open(self, path: str) -> BinaryIO | None:
        raise OSError(f"there is no workspace to look for {path} in")

    def names(self, folder: str) -> Sequence[str]:
        return ()


NO_FILES: Final[Files] = _NoFiles()
