"""Check that a store belongs to who uses it, and to nobody else. In: its folder. Out: nothing, or Refused.

What is in a store decides what is reused, and what is removed from it. So whoever else could write there, or have
something removed elsewhere, is found before anything is read.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from e2i.errors import BadInput, Refused

OTHERS = stat.S_IWGRP | stat.S_IWOTH
ALONE = "E2I_STORE_ALONE"
"""Set to 1 by an operator who knows that nobody else can reach the folders above the store."""
ENTER = stat.S_IXGRP | stat.S_IXOTH


def check(root: Path) -> None:
    """Raises Refused when the store, or what is in it, belongs to another user, may be written by others, or is a link.

    A store that is not there yet is looked for in folders that others may not rename.
    """
    root = root.resolve()
    _check_way(root)
    try:
        found = root.stat()
    except OSError:
        return  # it is to be made, or the one who opens it says what is wrong
    if not stat.S_ISDIR(found.st_mode):
        raise BadInput(
            f"the store {root} is no folder", code="bad-store", hint="choose a folder by --store DIR or E2I_STORE"
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
                    f"the store holds a link: {entry.path}",
                    code="store-holds-link",
                    hint="remove the link; to have the store elsewhere, use --store DIR or E2I_STORE, or make the whole"
                    " folder a link",
                )
            try:
                inside = entry.stat(follow_symlinks=False)
            except FileNotFoundError:  # others are at work here
                continue
            _check_owner(Path(entry.path), inside, own)
            if others_enter and inside.st_mode & OTHERS:
                raise _open_to_others(Path(entry.path), "what is in the store")


def _check_way(root: Path) -> None:
    if os.environ.get(ALONE) == "1":
        return
    for above in root.parents:
        try:
            mode = above.stat().st_mode
        except OSError:
            continue
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            raise Refused(
                f"anybody may replace the store {root}: {above} may be written by all users",
                code="store-not-private",
                hint=f"chmod +t {above} (or o-w), or choose another folder by --store DIR or E2I_STORE;"
                f" where no other user can reach it, as in a container, set {ALONE}=1",
            )


def _check_owner(path: Path, found: os.stat_result, own: int) -> None:
    if found.st_uid != own:
        raise Refused(
            f"{path} belongs to another user (uid {found.st_uid}, not {own})",
            code="store-not-yours",
            hint="run as that user, or choose a folder of your own by --store DIR or E2I_STORE; chown takes it over",
        )


def _open_to_others(path: Path, what: str) -> Refused:
    return Refused(
        f"{what} may be written by other users: {path}",
        code="store-not-private",
        hint=f"chmod -R go-w {path}, if nobody else wrote there; or choose another folder by --store DIR or E2I_STORE",
    )
