"""Check that a store belongs to its user and to nobody else.

In: its folder. Out: nothing, or Refused. The content of a store decides what is reused and removed. So a store that
others could write to, or that leads elsewhere, is refused before anything is read.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from e2i.errors import BadInput, Refused

OTHERS = stat.S_IWGRP | stat.S_IWOTH
ALONE = "E2I_STORE_ALONE"
"""Set to 1 by an operator who knows that nobody else can reach the parent folders of the store."""
ENTER = stat.S_IXGRP | stat.S_IXOTH


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
    _check_owner(root, found, own)
    if found.st_mode & OTHERS:
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
            _check_owner(Path(entry.path), inside, own)
            if others_enter and inside.st_mode & OTHERS:
                raise _open_to_others(Path(entry.path), "a file in the store")


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


def _check_owner(path: Path, found: os.stat_result, own: int) -> None:
    if found.st_uid != own:
        raise Refused(
            f"{path} belongs to another user (uid {found.st_uid}, not {own})",
            code="store-not-yours",
            hint="run as that user, change the owner with chown, or choose another folder with --store DIR",
        )


def _open_to_others(path: Path, what: str) -> Refused:
    return Refused(
        f"{what} is writable by other users: {path}",
        code="store-not-private",
        hint=f"chmod -R go-w {path}, if nobody else wrote there; or choose another folder with --store DIR",
    )
