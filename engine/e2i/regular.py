"""Reads and writes regular files named on a command line or in a configuration, as a whole and up to a limit.

A named pipe, a device, a socket or a folder is refused before it is opened, so that no read blocks or grows.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Collection
from pathlib import Path

CONFIGURATION = 1 << 20
"""Limit on the bytes of a configuration file."""
SPEC = 64 << 20
PLAN = 256 << 20
SHARED = stat.S_ISGID | stat.S_IWGRP
"""The mode of a folder that shares all that is in it with its group."""
KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def read(path: Path, most: int, *, cut: bool = False, within: Collection[Path] = ()) -> bytes:
    """Returns the bytes of a regular file. Raises OSError when there is none, or it has more than ``most`` bytes.

    ``cut``: return the first ``most`` bytes of a longer file. ``within``: folders that links in the first of them may
    not lead out of.
    """
    _expect_regular(path.stat().st_mode)
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        _expect_regular(os.fstat(handle).st_mode)
        if within and _leads_out(path, Path(f"/proc/self/fd/{handle}").readlink(), within):
            raise OSError(errno.EACCES, "a link leads outside the workspace")
        content = file.read(most + 1)
    if len(content) > most and not cut:
        raise OSError(errno.EFBIG, f"it has more than {most:,} bytes")
    return content[:most]


def write(path: Path, content: bytes, *, mode: int | None = None) -> None:
    """Replaces a regular file or a link atomically with a file of this content. No link is followed. Raises OSError.

    ``mode``: its permissions; None: those that the process gives to new files.
    """
    import tempfile  # most commands write no file

    try:
        found = os.lstat(path).st_mode
    except FileNotFoundError:
        found = stat.S_IFREG
    if not stat.S_ISLNK(found):
        _expect_regular(found)
    mask = os.umask(0o077)
    os.umask(mask)
    folder, prefix = path.absolute().parent, f".{path.name[:80]}-"
    with tempfile.NamedTemporaryFile("wb", dir=folder, prefix=prefix, delete=False) as file:
        staged = Path(file.name)
        file.write(content)
        os.fchmod(file.fileno(), 0o666 & ~mask if mode is None else mode)
    staged.replace(path)


def file_mode(folder: str | Path) -> int:
    """Returns the permissions of a private file in a folder: also of the group, where the folder shares all with it."""
    return 0o660 if _is_shared(folder) else 0o600


def folder_mode(folder: str | Path) -> int:
    """Returns the same for a folder in a folder. The system adds the bit that passes the group on."""
    return 0o770 if _is_shared(folder) else 0o700


def open_private(path: str | Path, flags: int) -> int:
    """Returns a descriptor of a file, created if ``flags`` say so, with ``file_mode``, whatever the file mask is.

    Raises OSError.
    """
    mode = file_mode(os.path.dirname(path) or ".")  # noqa: PTH120 - for each file that a step stores
    handle = os.open(path, flags | os.O_CLOEXEC, mode)
    if mode == 0o660:
        found = os.fstat(handle)
        if found.st_uid == os.geteuid() and found.st_mode & 0o060 != 0o060:
            os.fchmod(handle, stat.S_IMODE(found.st_mode) | 0o060)
    return handle


def scratch_folder(parent: Path, prefix: str) -> Path:
    """Creates a folder of a name of its own in ``parent``, which is created too. It has ``folder_mode``."""
    import tempfile  # most commands write no file

    parent.mkdir(mode=folder_mode(parent.parent), exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    open_to_group(made)
    return made


def open_to_group(*paths: Path) -> None:
    """Lets the group do what this user may with its own files at and below ``paths``, where the folders of the paths
    are shared. Files of other users and links stay as they are.
    """
    for path in paths:
        with contextlib.suppress(OSError):
            above = path.parent.stat()
            if above.st_mode & SHARED == SHARED:
                _open_to_group(path, above.st_gid)


def _open_to_group(top: Path, group: int) -> None:
    own, left = os.geteuid(), [str(top)]
    while left:
        path = left.pop()
        with contextlib.suppress(OSError):  # removed meanwhile
            found = os.lstat(path)
            is_folder = stat.S_ISDIR(found.st_mode)
            if found.st_uid == own and (is_folder or stat.S_ISREG(found.st_mode)):
                if found.st_gid != group:
                    os.chown(path, -1, group, follow_symlinks=False)
                before = stat.S_IMODE(found.st_mode)
                wanted = before | (before & stat.S_IRWXU) >> 3 | (stat.S_ISGID if is_folder else 0)
                if wanted != before or found.st_gid != group:
                    os.chmod(path, wanted)  # noqa: PTH101
            if is_folder:
                with os.scandir(path) as entries:
                    left += [entry.path for entry in entries]


def _is_shared(folder: str | Path) -> bool:
    try:
        mode = os.stat(folder).st_mode  # noqa: PTH116 - for each file that a step stores
    except OSError:
        return False
    return mode & SHARED == SHARED


def is_there(path: Path) -> bool:
    """Returns True when a file exists, readable or not, or a dangling link."""
    try:
        os.lstat(path)
    except FileNotFoundError:
        return path.parent.is_symlink() and not path.parent.exists()
    except OSError:
        return True
    return True


def _expect_regular(mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = KINDS.get(stat.S_IFMT(mode), "something else")
        raise OSError(errno.EINVAL, f"it is {kind}, not a regular file")


def _leads_out(path: Path, real: Path, within: Collection[Path]) -> bool:
    """Returns True when a path in the first folder is really that of a file outside all of them."""
    first, *_ = within
    named = Path(os.path.abspath(path))  # noqa: PTH100 - the location of a link, not of its target
    return named.is_relative_to(first) and not any(real.is_relative_to(folder.resolve()) for folder in within)
