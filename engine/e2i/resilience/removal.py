"""Remove files and folders without ever following a link. In: a trusted folder, and a path below it.

Each folder of the path is opened without following links, and its content is removed by its descriptor. A link that is
inserted meanwhile is removed or refused, never followed. Two descriptors are open at a time, however deep a tree is.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
GROWN = 100
"""Number of times that a folder is emptied again because files were added meanwhile."""


def remove(root: Path, *names: str, missing_ok: bool = True) -> None:
    """Removes ``root/name/…/name``, read-only or not. Raises OSError, also for a link in the path."""
    try:
        with inside(root, *names[:-1]) as folder:
            _remove(folder, names[-1])
    except FileNotFoundError:
        if not missing_ok:
            raise
    except PermissionError as error:
        raise _refused(root.joinpath(*names), error) from error


def remove_below(root: Path, path: Path) -> None:
    """Removes ``path``, which is below ``root``. Raises OSError, also for a link in the path."""
    remove(root, *path.relative_to(root).parts)


@contextlib.contextmanager
def inside(root: Path, *names: str) -> Iterator[int]:
    """Returns a descriptor of the folder ``root/name/…/name``; only ``root`` itself may be a link. Raises OSError."""
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in names:
            if name in ("", ".", "..") or "/" in name:
                raise OSError(errno.EINVAL, "not a name", name)
            below = os.open(name, FOLDER, dir_fd=folder)
            os.close(folder)
            folder = below
        yield folder
    finally:
        os.close(folder)


def names(root: Path, *below: str) -> list[str]:
    """Returns the names in a folder, sorted; none when it does not exist, or is a link or a file."""
    try:
        with inside(root, *below) as folder:
            return sorted(os.listdir(folder))  # noqa: PTH208 - of a descriptor
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        if error.errno == errno.ELOOP:
            return []
        raise


def _refused(path: Path, error: PermissionError) -> PermissionError:
    """Returns the error with the path that may not be removed, not a descriptor's, and with its owner."""
    for folder, _, _ in os.walk(path):
        if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            path = Path(folder)
            break
    try:
        owner = f"; it belongs to {_owner(path.lstat().st_uid)}"
    except OSError:
        owner = ""
    return PermissionError(error.errno, f"{error.strerror}{owner}", str(path))


def _owner(number: int) -> str:
    import pwd  # only for a message

    try:
        return f"user {pwd.getpwuid(number).pw_name} ({number})"
    except KeyError:
        return f"user {number}"


def _remove(folder: int, name: str) -> None:
    """Removes an entry of an open folder. Nested folders are moved beside it, and removed later."""
    if not stat.S_ISDIR(os.lstat(name, dir_fd=folder).st_mode):
        os.unlink(name, dir_fd=folder)
        return
    left = [name]
    refused = 0
    while left:
        taken = left.pop()
        try:
            with _opened(folder, taken) as here:
                for entry in os.listdir(here):  # noqa: PTH208
                    with contextlib.suppress(FileNotFoundError):  # another process removes the same
                        if not stat.S_ISDIR(os.lstat(entry, dir_fd=here).st_mode):
                            os.unlink(entry, dir_fd=here)
                            continue
                        with _opened(here, entry):  # makes it a folder that can be moved
                            beside = f".removed-{os.urandom(8).hex()}"
                            os.rename(entry, beside, src_dir_fd=here, dst_dir_fd=folder)
                            left.append(beside)
            os.rmdir(taken, dir_fd=folder)
        except FileNotFoundError:
            continue
        except OSError as error:
            refused += 1
            if error.errno != errno.ENOTEMPTY or refused > GROWN:
                raise
            left.append(taken)


@contextlib.contextmanager
def _opened(above: int, name: str) -> Iterator[int]:
    """Returns a descriptor of a folder, which its owner may read and write from now on. Raises OSError for a link."""
    held = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
    try:
        with contextlib.suppress(PermissionError):  # of another user of a group's store: writable for the group
            mode = stat.S_IMODE(os.fstat(held).st_mode) | 0o700  # what a group may do it may still do
            os.chmod(f"/proc/self/fd/{held}", mode)  # noqa: PTH101 - also one that may not be opened
        folder = os.open(f"/proc/self/fd/{held}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    finally:
        os.close(held)
    try:
        yield folder
    finally:
        os.close(folder)
