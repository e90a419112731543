"""Check that a store belongs to its user and to nobody else, or to a group that the operator has named.

In: its folder. Out: nothing, or Refused. The content of a store decides what is reused and removed. So a store that
others could write to, or that leads elsewhere, is refused before anything is read.

With ``mode: group`` in the settings, all users of the group of the store's folder share it. The folder itself says so
too: writable for its group, which it passes on (``chmod g+rwxs``). What is created in it gets the same permissions.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from e2i import regular
from e2i.errors import BadInput, Refused

OTHERS = stat.S_IWGRP | stat.S_IWOTH
ALONE = "E2I_STORE_ALONE"
"""Set to 1 by an operator who knows that nobody else can reach the parent folders of the store."""
ENTER = stat.S_IXGRP | stat.S_IXOTH
GROUP = "E2I_STORE_GROUP"
"""The stores that this process and those it starts may share with their groups: paths, separated by colons."""
SHARED = stat.S_ISGID | stat.S_IWGRP


def check(root: Path) -> None:
    """Raises Refused when the store, or a file in it, belongs to another user, is writable by others, or is a link.

    For a store that does not exist yet, the parent folders must not allow others to rename it.
    """
    root = root.resolve()
    _check_parents(root)
    try:
        found = root.stat()
    except OSError:
        return  # the store is new, or opening it reports the problem
    if not stat.S_ISDIR(found.st_mode):
        raise BadInput(
            f"the store {root} is not a folder", code="bad-store", hint="choose a folder with --store DIR or E2I_STORE"
        )
    own = os.geteuid()
    group = _group(root, found)
    others = OTHERS if group is None else stat.S_IWOTH
    _check_owner(root, found, own, group)
    if found.st_mode & others:
        raise _open_to_others(root, "the store")
    others_enter = bool(found.st_mode & ENTER)
    with os.scandir(root) as entries:
        for entry in entries:
            if entry.is_symlink():
                raise Refused(
                    f"the store contains a link: {entry.path}",
                    code="store-holds-link",
                    hint="remove the link; to keep the store elsewhere, use --store DIR or E2I_STORE, or make the whole"
                    " folder a link",
                )
            try:
                inside = entry.stat(follow_symlinks=False)
            except FileNotFoundError:  # removed by another process
                continue
            _check_owner(Path(entry.path), inside, own, group)
            if others_enter and inside.st_mode & others:
                raise _open_to_others(Path(entry.path), "a file in the store")


def share(root: Path) -> None:
    """Declares that the operator shares this store with the group of its folder.

    Holds for this process and those it starts, and for the files that they create: the file mask becomes 007.
    """
    known = os.environ.get(GROUP, "").split(":")
    if str(root) not in known:
        os.environ[GROUP] = ":".join(filter(None, [*known, str(root)]))
    os.umask(0o007)


def create(root: Path) -> None:
    """Creates the folder of a store, if it is missing: for its user, or for the group that it is shared with."""
    try:
        root.mkdir(parents=True, mode=0o700)
    except FileExistsError:
        if root.is_dir():
            return
        raise
    if str(root.resolve()) in os.environ.get(GROUP, "").split(":"):
        root.chmod(0o2770)


def is_shared(root: Path) -> bool:
    """Returns whether the store is shared with a group, by its folder and by the operator."""
    try:
        return _group(root.resolve(), root.stat()) is not None
    except OSError:
        return False


def mask(root: Path) -> int:
    """Returns the file mask of processes that write to the store."""
    return 0o007 if is_shared(root) else 0o077


def open_to_group(root: Path) -> None:
    """Opens to the group of a shared store what this user left closed: databases of tools, which SQLite creates for
    their user, and what a process that was killed has written.
    """
    if not is_shared(root):
        return
    own = os.geteuid()
    for file in (*root.glob("*/*.db*"), *root.glob("feast/*/versions/*/*.db*")):
        with contextlib.suppress(OSError):
            found = file.lstat()
            if stat.S_ISREG(found.st_mode) and found.st_uid == own and not found.st_mode & stat.S_IWGRP:
                file.chmod(0o660)
    regular.open_to_group(root / "tmp")
    for folder in root.glob("*/*/"):
        with contextlib.suppress(OSError):
            found = folder.lstat()
            if found.st_uid == own and not found.st_mode & stat.S_IWGRP and folder.parent.name != "objects":
                regular.open_to_group(folder)


def _group(root: Path, found: os.stat_result) -> int | None:
    """Returns the group that shares the store; None when it is private, or this user is not in the group."""
    shared = found.st_mode & SHARED == SHARED and str(root) in os.environ.get(GROUP, "").split(":")
    member = os.geteuid() == 0 or found.st_gid in (os.getegid(), *os.getgroups())
    return found.st_gid if shared and member else None


def _check_parents(root: Path) -> None:
    if os.environ.get(ALONE) == "1":
        return
    for parent in root.parents:
        try:
            mode = parent.stat().st_mode
        except OSError:
            continue
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            raise Refused(
                f"any user can replace the store {root}: {parent} is writable by all users",
                code="store-not-private",
                hint=f"chmod +t {parent} (or o-w), or choose another folder with --store DIR or E2I_STORE;"
                f" if no other user can reach the store, as in a container, set {ALONE}=1",
            )


def _check_owner(path: Path, found: os.stat_result, own: int, group: int | None) -> None:
    if found.st_uid != own and (group is None or found.st_gid != group):
        raise Refused(
            f"{path} belongs to another user (uid {found.st_uid}, not {own})",
            code="store-not-yours",
            hint="run as that user, change the owner with chown, or choose another folder with --store DIR;"
            " several users can share a store: `mode: group` in config/",
        )


def _open_to_others(path: Path, what: str) -> Refused:
    return Refused(
        f"{what} is writable by other users: {path}",
        code="store-not-private",
        hint=f"chmod -R go-w {path}, if nobody else wrote there; or choose another folder with --store DIR",
    )
