"""Remember which artifacts had their digest when they were last read.

This saves reading gigabytes again. An entry counts only while the file system metadata of the artifact is unchanged. So
a lost, torn or corrupt memory costs time, never correctness.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

from e2i.regular import folder_mode, open_private


class Verified:
    """Lines of digest and signature in 256 files of ``folder``. Many processes append to them; the last line counts."""

    def __init__(self, folder: Path) -> None:
        self._root = folder.parent
        self._folder = os.fspath(folder)
        self._shelves: dict[str, tuple[int, dict[str, str]]] = {}
        """The content that was read of each file, with the file's size at that time."""

    def knows(self, name: str, signature: str) -> bool:
        """Returns whether the artifact of that name (hexadecimal) had its digest with this signature."""
        size, known = self._shelves.get(name[:2], (-1, {}))
        if known.get(name) == signature:
            return True
        with contextlib.suppress(OSError):
            if os.stat(f"{self._folder}/{name[:2]}").st_size != size:  # noqa: PTH116
                return self._read(name[:2]).get(name) == signature
        return False

    def note(self, name: str, signature: str) -> None:
        """Remembers the signature. Where that fails, the artifact will be read again."""
        line = f"{name} {signature}\n".encode()
        with contextlib.suppress(OSError):
            os.makedirs(self._folder, mode=folder_mode(self._root), exist_ok=True)  # noqa: PTH103 - faster with a text, for every step
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
            handle = open_private(f"{self._folder}/{name[:2]}", flags)
            try:
                os.write(handle, line)
            finally:
                os.close(handle)
        self._shelves.setdefault(name[:2], (-1, {}))[1][name] = signature

    def keep_only(self, there: Callable[[str], bool]) -> None:
        """Forgets the artifacts that are no longer ``there``. Entries that others add meanwhile may be lost."""
        self._shelves.clear()
        if os.path.islink(self._folder):  # noqa: PTH114 - its target is not changed
            return
        for shelf in os.listdir(self._folder) if os.path.isdir(self._folder) else ():  # noqa: PTH112, PTH208
            path = f"{self._folder}/{shelf}"
            if len(shelf) != 2 or os.path.islink(path):  # noqa: PTH114 - left by a process that died here
                Path(path).unlink(missing_ok=True)
                continue
            known = {name: signature for name, signature in self._read(shelf).items() if there(name)}
            Path(f"{path}.new").unlink(missing_ok=True)
            with open(f"{path}.new", "x", encoding="ascii") as file:  # noqa: PTH123
                file.writelines(f"{name} {signature}\n" for name, signature in known.items())
            os.replace(f"{path}.new", path)  # noqa: PTH105
        self._shelves.clear()

    def _read(self, shelf: str) -> dict[str, str]:
        with open(f"{self._folder}/{shelf}", "rb") as file:  # noqa: PTH123
            content = file.read()
        lines = (line.split(" ") for line in content.decode("ascii", "replace").splitlines())
        known = {line[0]: line[1] for line in lines if len(line) == 2}
        self._shelves[shelf] = (len(content), known)
        return known
