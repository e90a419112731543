"""Paths that a spec names, against the file system. In: a workspace, allowed folders, a path's text. Out: what is
there, or the file.

Links are followed before anything is decided, and a file is opened component by component without following any, so
that a link put in between the check and the opening is refused, not followed.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from msgspec import Struct

from e2i.errors import Refused, StepError

Found = Literal["file", "directory", "special", "missing", "outside", "hidden", "settings"]


class Roots(Struct, frozen=True):
    """The workspace, and the folders that paths may lead into: relative to it, or absolute."""

    workspace: Path
    folders: tuple[str, ...] = (".",)
    hidden: bool = True
    """Whether a path may lead through a name that starts with a dot, by itself or by a link."""

    def find(self, text: str) -> tuple[Path, Path] | None:
        """The folder that the path leads into, and the path, both without links; None when it leads elsewhere.

        Raises OSError when the path cannot be followed.
        """
        try:
            path = (self.workspace / text).resolve()
        except RuntimeError as error:  # what Python before 3.13 says of a loop of links
            raise OSError(errno.ELOOP, "the links lead in a loop") from error
        for folder in self.folders:
            root = (self.workspace / folder).resolve()
            if path.is_relative_to(root):
                return root, path
        return None

    def is_settings(self, path: Path) -> bool:
        """Whether a path without links is a file of settings, or the policy: specs neither read nor change what the
        operator says.
        """
        return path.suffix.lower() in (".yaml", ".yml") and path.parent == (self.workspace / "config").resolve()


def look(roots: Roots, text: str) -> Found:
    """What the path leads to, links followed."""
    try:
        found = roots.find(text)
        if found is None:
            return "outside"
        if not roots.hidden and _hidden(found):
            return "hidden"
        if roots.is_settings(found[1]):
            return "settings"
        mode = found[1].stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return "missing"
    except OSError:  # a loop of links, a name too long, a folder that must not be entered
        return "special"
    return "file" if stat.S_ISREG(mode) else "directory" if stat.S_ISDIR(mode) else "special"


def resolve(roots: Roots, text: str) -> Path:
    """The path with links followed. Raises Refused when it leads elsewhere than the roots."""
    if not text or "\0" in text or "://" in text:
        raise Refused(f"not a path: {text!r}", code="bad-path", hint="give a path relative to the workspace")
    try:
        found = roots.find(text)
    except OSError as error:
        raise Refused(f"the path {text!r} cannot be followed: {error.strerror}", code="bad-path") from error
    if found is None:
        raise Refused(
            f"the path {text!r} leads outside {_names(roots.folders)}",
            code="policy-path",
            hint="put the file into the workspace",
        )
    if not roots.hidden and (name := _hidden(found)):
        raise Refused(f"the path {text!r} leads through {name!r}, a hidden name", code="policy-path")
    if roots.is_settings(found[1]):
        raise Refused(f"the path {text!r} leads to a file of the operator's settings", code="policy-path")
    return found[1]


def _hidden(found: tuple[Path, Path]) -> str | None:
    """The first name below the folder that starts with a dot."""
    root, path = found
    return next((name for name in path.relative_to(root).parts if name.startswith(".")), None)


def open_file(roots: Roots, text: str) -> int:
    """A descriptor of the regular file, for reading. Raises Refused when it leads elsewhere, StepError when there is
    none.
    """
    path = resolve(roots, text)
    root = next(root for folder in roots.folders if path.is_relative_to(root := (roots.workspace / folder).resolve()))
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        *above, name = path.relative_to(root).parts or (".",)
        for part in above:
            below = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            os.close(folder)
            folder = below
        # Without O_NONBLOCK the opening of a named pipe would wait for a writer.
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise Refused(f"the path {text!r} changed while it was opened", code="policy-path") from error
        raise StepError(f"{text} cannot be opened: {error.strerror}", code="no-such-file") from error
    finally:
        os.close(folder)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise StepError(f"{text} is no regular file", code="bad-path", hint="name a file with data in it")
    return file


def read(roots: Roots, text: str, most: int) -> bytes:
    """The bytes of a regular file. Raises as ``open_file`` does, and StepError when there are more than ``most``."""
    with os.fdopen(open_file(roots, text), "rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise StepError(f"{text} has more than {most:,} bytes", code="file-too-large")
    return content


def _names(folders: Sequence[str]) -> str:
    return "the workspace" if tuple(folders) == (".",) else "the folders " + ", ".join(folders)
