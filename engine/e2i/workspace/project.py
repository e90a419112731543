"""Find the folder of the project that a command is about. In: the current directory, and a spec. Out: a folder.

A project is a folder with a ``config/`` in which there are settings or a policy.
"""

from __future__ import annotations

import os
from pathlib import Path

from e2i.policy import Origin

MARKS = ("default.yaml", "policy.yaml")


def root_of(spec: str | Path | None, here: Path, origin: Origin) -> Path:
    """Returns the workspace of a spec: the current directory, if it is a project that the spec lies in; or else the
    nearest project upwards from the spec; or else the current directory.

    The spec of an agent chooses nothing: the policy that holds for it must not depend on where it lies. Without a spec
    (None, or one that is no file) it is the nearest project upwards from here, unless there is a store here.
    """
    here = here.resolve()
    if origin is Origin.AGENT or (_is_project(here) and (spec is None or _lies_in(spec, here))):
        return here
    if spec is None or not _is_file(spec):
        return here if (here / ".e2i").is_dir() else _nearest(here) or here
    return _nearest(_folder(spec)) or here


def _nearest(folder: Path) -> Path | None:
    return next((above for above in (folder, *folder.parents) if _is_project(above)), None)


def _is_project(folder: Path) -> bool:
    """Also when a mark cannot be read: whoever reads it says so."""
    return any(os.path.lexists(folder / "config" / name) for name in MARKS)


def _lies_in(spec: str | Path, folder: Path) -> bool:
    return not _is_file(spec) or _folder(spec).is_relative_to(folder)


def _folder(spec: str | Path) -> Path:
    return Path(os.path.abspath(spec)).parent.resolve()  # noqa: PTH100 - a link lies where it is


def _is_file(spec: str | Path) -> bool:
    if isinstance(spec, str) and "\n" in spec:
        return False
    try:
        return os.path.lexists(spec)
    except ValueError:
        return False
