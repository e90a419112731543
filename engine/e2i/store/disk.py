"""Explain disk errors, and create folders inside a root that must exist.

In: an OSError. Out: an error for people.
"""

from __future__ import annotations

import errno
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from e2i.errors import E2IError, Exit, Refused
from e2i.regular import folder_mode

FULL = (errno.ENOSPC, errno.EDQUOT)
ERRNO = re.compile(r"\[Errno (\d+)\]")
"""What ``shutil.copytree`` keeps of the error of a file."""
READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)


class DiskTrouble(E2IError):
    """Raised when a disk is full, fails, or must not be written."""

    exit_code = Exit.UNAVAILABLE


def trouble(error: BaseException, where: str | Path = "") -> DiskTrouble | None:
    """Returns the disk problem that caused an error; None for other causes.

    ``where`` is the path in the message when the system reports none.
    """
    seen: BaseException | None = error
    for _ in range(10):
        for each in _parts(seen):
            if found := _trouble(each, str(where)):
                return found
        seen = seen.__cause__ if seen is not None else None
    return None


def _parts(error: BaseException | None) -> Iterator[OSError]:
    """Yields the system's errors in an error: itself, those of a copied folder, and that of a full SQLite file."""
    if isinstance(error, shutil.Error) and error.args and isinstance(error.args[0], list):
        for _, target, why in (item for item in error.args[0] if len(item) == 3):
            if number := ERRNO.match(str(why)):
                yield OSError(int(number[1]), str(why), str(target))
    elif isinstance(error, OSError):
        yield error
    elif getattr(error, "sqlite_errorname", None) == "SQLITE_FULL":
        yield OSError(errno.ENOSPC, str(error))


def folder(root: Path, *names: str) -> Path:
    """Returns the folder of these names in ``root``, created if missing. Raises DiskTrouble when the root is gone."""
    path = root
    for name in names:
        mode = folder_mode(path)
        path /= name
        try:
            path.mkdir(mode=mode, exist_ok=True)
        except FileNotFoundError as error:
            raise _gone(root) from error
        refuse_link(path)
    return path


def refuse_link(path: Path) -> None:
    """Raises Refused when a folder of the store is a link: nothing is written or removed at its target."""
    if path.is_symlink():
        raise Refused(f"a folder of the store is a link: {path}", code="store-holds-link", hint="remove the link")


def expect(*folders: Path) -> None:
    """Raises DiskTrouble when a folder that a run needs is gone."""
    for path in folders:
        if not path.is_dir():
            raise _gone(path)


def _gone(path: Path) -> DiskTrouble:
    return DiskTrouble(
        f"the folder was moved or deleted while a run was using it: {path}",
        code="store-gone",
        hint="move it back, or use its new path, and run again",
    )


def _trouble(error: OSError, where: str) -> DiskTrouble | None:
    path = error.filename2 or error.filename or where
    if isinstance(path, bytes):
        path = path.decode(errors="replace")
    if error.errno in FULL:
        return DiskTrouble(
            f"disk full: {path}",
            code="disk-full",
            hint="free some space and run again: finished steps are not run again",
        )
    if error.errno == errno.EIO:
        return DiskTrouble(
            f"disk failing: {path}: {error.strerror}", code="disk-failing", hint="check the disk and run again"
        )
    if error.errno in READ_ONLY and path:
        return DiskTrouble(
            f"cannot be used: {path}: {error.strerror}",
            code="not-writable",
            hint="check its permissions, or choose another folder: --store DIR for the state, TMPDIR for scratch files",
        )
    return None
