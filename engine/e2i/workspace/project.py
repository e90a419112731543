"""Find the project folder for a command.

In: the current directory, and a spec. Out: a folder. A project is a folder whose ``config/`` has settings or a policy.
A search upwards ends at the root of a git repository and at the home folder, and skips folders of other users.
"""

from __future__ import annotations

import os
from pathlib import Path

from e2i.policy import Origin

MARKS = ("default.yaml", "mlops.yaml", "policy.yaml")


def root_of(spec: str | Path | None, here: Path, origin: Origin) -> Path:
    """Returns the workspace of a spec: the current directory if it is a project that contains the spec, else the
    nearest project upwards from the spec, else the current directory.

    An agent's spec cannot choose: the policy that applies must not depend on the spec's location. Without a spec (None,
    or not a file) it is the nearest project upwards from here, unless there is a store here.
    """
    here = here.resolve()
    if origin is Origin.AGENT or (_is_project(here) and (spec is None or _lies_in(spec, here))):
        return here
    if spec is None or not _is_file(spec):
        return here if (here / ".e2i").is_dir() else _nearest(here) or here
    return _nearest(_folder(spec)) or here


def _nearest(folder: Path) -> Path | None:
    """Returns the nearest project upwards from a folder, the folder included; None when there is none."""
    home = Path.home().resolve() if os.environ.get("HOME") else None
    for parent in (folder, *folder.parents):
        if _is_project(parent) and _has_same_owner(parent, folder):
            return parent
        if parent == home or os.path.lexists(parent / ".git"):
            return None
    return None


def _has_same_owner(parent: Path, folder: Path) -> bool:
    """Returns whether a project belongs to the owner of the folder: settings of other users are not applied."""
    try:
        return parent == folder or (parent / "config").stat().st_uid == folder.stat().st_uid
    except OSError:
        return False


def _is_project(folder: Path) -> bool:
    """Returns whether the folder is a project, also when a settings file cannot be read: its reader reports that."""
    return any(os.path.lexists(folder / "config" / name) for name in MARKS)


def _lies_in(spec: str | Path, folder: Path) -> bool:
    return not _is_file(spec) or _folder(spec).is_relative_to(folder)


def _folder(spec: str | Path) -> Path:
    return Path(os.path.abspath(spec)).parent.resolve()  # noqa: PTH100 - links are not followed


def _is_file(spec: str | Path) -> bool:
    if isinstance(spec, str) and "\n" in spec:
        return False
    try:
        return os.path.lexists(spec)
    except ValueError:
        return False
