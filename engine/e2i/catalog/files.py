"""Read-only access to the workspace for checks. In: paths. Out: bytes and names."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Final, Protocol, cast


class Files(Protocol):
    """The workspace before a run. Paths are relative to its root. Nothing outside is read."""

    def open(self, path: str) -> BinaryIO | None:
        """Returns the file's bytes, or None when there is no such file. Raises OSError when it cannot be read."""

    def names(self, folder: str) -> Sequence[str]:
        """Returns the sorted names of the files in a folder. Empty when there is no such folder."""

    def matching(self, path: str) -> Sequence[str]:
        """Returns the sorted paths of the files that a folder or a pattern names; the path itself if it is neither."""

    def glob(self, pattern: str) -> Sequence[str] | None:
        """Returns the sorted paths of the files that match a pattern; None when there is no workspace to look in.

        Raises OSError for too many.
        """

    def configured(self, tool: str, setting: str) -> Path | None:
        """Returns the folder that the operator's settings of a tool name; None without that setting.

        It may be outside the workspace, and specs cannot choose it.
        """

    def configured_names(self, tool: str, setting: str) -> Mapping[str, str] | None:
        """Returns a mapping of names in the operator's settings of a tool; None while no settings are known."""


class _NoFiles:
    """A workspace that cannot be read."""

    def open(self, path: str) -> BinaryIO | None:
        raise OSError(f"there is no workspace to look for {path} in")

    def names(self, folder: str) -> Sequence[str]:
        return ()

    def matching(self, path: str) -> Sequence[str]:
        return (path,)

    def glob(self, pattern: str) -> None:
        return None

    def configured(self, tool: str, setting: str) -> None:
        return None

    def configured_names(self, tool: str, setting: str) -> None:
        return None


NO_FILES: Final[Files] = _NoFiles()


class BoundedFiles:
    """Files with a limit on the bytes read from all of them together. Beyond it, ``open`` refuses."""

    def __init__(self, files: Files, most: int) -> None:
        self._files = files
        self.left = most

    def open(self, path: str) -> BinaryIO | None:
        if self.left <= 0:
            raise OSError("the limit on file content read before the run is reached")
        found = self._files.open(path)
        return None if found is None else cast("BinaryIO", _Charged(found, self))

    def names(self, folder: str) -> Sequence[str]:
        return self._files.names(folder)

    def matching(self, path: str) -> Sequence[str]:
        return self._files.matching(path)

    def glob(self, pattern: str) -> Sequence[str] | None:
        return self._files.glob(pattern)

    def configured(self, tool: str, setting: str) -> Path | None:
        return self._files.configured(tool, setting)

    def configured_names(self, tool: str, setting: str) -> Mapping[str, str] | None:
        return self._files.configured_names(tool, setting)


class _Charged(io.BufferedIOBase):
    """A file whose bytes count as they are read."""

    def __init__(self, file: BinaryIO, files: BoundedFiles) -> None:
        self._file = file
        self.files = files

    def read(self, size: int | None = -1) -> bytes:
        data = self._file.read(-1 if size is None else size)
        self.files.left -= len(data)
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._file.seekable()

    def close(self) -> None:
        self._file.close()
        super().close()


def charge(file: BinaryIO, count: int) -> None:
    """Counts the bytes that a file's bytes expanded to, for example by decompression."""
    if isinstance(file, _Charged):
        file.files.left -= count
