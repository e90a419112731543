"""The workspace's files, to look at before a run. In: folders that paths may lead into. Out: bytes and names."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

from e2i.errors import Refused, StepError
from e2i.execution import paths
from e2i.execution.paths import Roots


@dataclass(frozen=True, slots=True)
class WorkspaceFiles:
    """Implements ``e2i.catalog.columns.Files``."""

    roots: Roots

    def open(self, path: str) -> BinaryIO | None:
        """The file's bytes; None when there is no such file. Raises OSError when it must not or cannot be read."""
        try:
            paths.resolve(self.roots, path)  # first: what is no path at all is not merely missing
            if paths.look(self.roots, path) == "missing":
                return None
            return os.fdopen(paths.open_file(self.roots, path), "rb")
        except (Refused, StepError) as error:
            raise OSError(str(error)) from error

    def names(self, folder: str) -> Sequence[str]:
        """The names of the files in a folder, sorted; none when there is no such folder."""
        try:
            found = paths.resolve(self.roots, folder)
            return sorted(item.name for item in found.iterdir() if item.is_file())
        except (Refused, OSError):
            return ()
