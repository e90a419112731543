"""What the system says of files goes in, as an OSError; what is the matter with the disk comes out, as an error for
people. Also folders that are made below a place which must be there.
"""

from __future__ import annotations

import errno
from pathlib import Path

from e2i.errors import E2IError, Exit, Refused

FULL = (errno.ENOSPC, errno.EDQUOT)
READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)


class DiskTrouble(E2IError):
    """A disk is full, fails, or must not be written."""

    exit_code = Exit.UNAVAILABLE


def trouble(error: BaseException, where: str | Path = "") -> DiskTrouble | None:
    """What the disk has to do with an error or with what it came from; None when nothing.

    ``where`` is named when the system names none.
    """
    seen: BaseException | None = error
    for _ in range(10):
        if isinstance(seen, OSError) and (found := _trouble(seen, str(where))):
            return found
        seen = seen.__cause__ if seen is not None else None
    return None


def folder(root: Path, *names: str) -> Path:
    """The folder of these names below ``root``, made if need be. Raises DiskTrouble when the root itself is gone."""
    path = root
    for name in names:
        path /= name
        try:
            path.mkdir(mode=0o700, exist_ok=True)
        except FileNotFoundError as error:
            raise _gone(root) from error
        refuse_link(path)
    return path


def refuse_link(path: Path) -> None:
    """Raises Refused when a folder of the store is a link: nothing is written or removed where it leads."""
    if path.is_symlink():
        raise Refused(f"a folder of the store is a link: {path}", code="store-holds-link", hint="remove the link")


def expect(*folders: Path) -> None:
    """Raises DiskTrouble when a folder that a run needs is no longer there."""
    for path in folders:
        if not path.is_dir():
            raise _gone(path)


def _gone(path: Path) -> DiskTrouble:
    return DiskTrouble(
        f"the folder was moved or deleted while a run was using it: {path}",
        code="store-gone",
        hint="put it back and run again, or run again where it is now",
    )


def _trouble(error: OSError, where: str) -> DiskTrouble | None:
    path = error.filename2 or error.filename or where
    if isinstance(path, bytes):
        path = path.decode(errors="replace")
    if error.errno in FULL:
        return DiskTrouble(
            f"disk full: {path}", code="disk-full", hint="make room, and run again: what is finished is not repeated"
        )
    if error.errno == errno.EIO:
        return DiskTrouble(
            f"disk failing: {path}: {error.strerror}", code="disk-failing", hint="see to the disk, and run again"
        )
    if error.errno in READ_ONLY and path:
        return DiskTrouble(
            f"cannot be used: {path}: {error.strerror}",
            code="not-writable",
            hint="see to its permissions, or choose another place: --store DIR for the state, TMPDIR for scratch files",
        )
    return None
