"""Find files as a past run read them, by their digest: in the workspace, or in the commits of the runs.

In: names and digests. Out: bytes, or copies in a folder that is the workspace of a mix.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from msgspec import Struct

from e2i.errors import BadInput, E2IError, Exit, Refused, StepError
from e2i.workspace import paths
from e2i.workspace.revision import Revision
from e2i.workspace.workspace import Workspace

MOST = 1 << 30
"""Limit on the bytes of a file."""


class PartLost(E2IError):
    """Raised when a file is no longer as a run read it, so that the runs cannot be mixed."""

    exit_code = Exit.UNAVAILABLE


class PastFiles(Struct, frozen=True):
    """The files of a workspace, now and in some commits."""

    workspace: Workspace
    commits: Sequence[str]

    def read(self, name: str, digest: str) -> bytes | None:
        """Returns the bytes of that digest; None when they are nowhere."""
        for content in self._candidates(name):
            if f"sha256:{hashlib.sha256(content).hexdigest()}" == digest:
                return content
        return None

    def write(self, name: str, digest: str | None, folder: Path, *, any_will_do: bool) -> None:
        """Writes a file to a folder as it was. ``any_will_do``: otherwise as it is now; its content is not read.

        Raises PartLost.
        """
        if digest is None:
            return
        content = self.read(name, digest)
        is_inside = not PurePosixPath(name).is_absolute() and ".." not in PurePosixPath(name).parts
        if content is not None and not is_inside:
            return  # it is read where it is
        if content is None and any_will_do and is_inside:
            content = next(iter(self._candidates(name)), None)
        if content is None:
            message = f"{name} is no longer as the run read it, neither in the workspace nor in a commit of the runs"
            raise PartLost(message, code="part-lost", hint="commit code and data before a run")
        to = folder / name
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_bytes(content)

    def _candidates(self, name: str) -> list[bytes]:
        found = []
        with contextlib.suppress(Refused, StepError):  # it is not there any more
            found.append(paths.read(self.workspace.roots, name, MOST))
        for commit in self.commits:
            try:
                found.append(Revision(self.workspace.root, commit).read(name))
            except BadInput:
                continue
        return found
