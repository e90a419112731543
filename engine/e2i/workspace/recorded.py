"""Serve the included specs of a recorded run as files.

In: texts by name. Out: files.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import BinaryIO

from msgspec import Struct

from e2i.workspace.paths import Found


class RecordedFiles(Struct, frozen=True):
    """Implements ``e2i.catalog.files.Files`` for recorded texts, whatever is at these paths now."""

    texts: Mapping[str, str]

    def open(self, path: str) -> BinaryIO | None:
        text = self.texts.get(path)
        return None if text is None else BytesIO(text.encode())

    def names(self, folder: str) -> Sequence[str]:
        return sorted(posixpath.basename(path) for path in self.texts if (posixpath.dirname(path) or ".") == folder)

    def matching(self, path: str) -> Sequence[str]:
        return (path,)

    def glob(self, pattern: str) -> None:
        return None

    def configured(self, tool: str, setting: str) -> None:
        return None

    def configured_names(self, tool: str, setting: str) -> None:
        return None

    def look(self, path: str) -> Found:
        """Returns the type of what was at a path."""
        return "file" if path in self.texts else "missing"
