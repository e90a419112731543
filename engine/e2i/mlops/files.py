"""Read the data files that programs name. In: a workspace, a path. Out: rows."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from e2i.errors import BadInput
from e2i.spec.suggest import hint
from e2i.workspace import paths
from e2i.workspace.paths import Roots

if TYPE_CHECKING:
    import pyarrow as pa


class DataFiles(Struct, frozen=True):
    """The data files of a workspace. Implements ``e2i.tools.great_expectations.programs.Files``."""

    roots: Roots
    scratch: Path
    """Folder for the names of open files."""

    def has(self, path: str) -> bool:
        """Return True when there is such a file, or one that must not be read."""
        return paths.look(self.roots, path) not in ("missing", "directory")

    def read(self, path: str) -> pa.Table:
        """Return the rows of a file. Raises Refused for one outside the workspace, StepError, BadInput."""
        if paths.look(self.roots, path) in ("missing", "directory"):
            folder = paths.resolve(self.roots, str(Path(path).parent))
            names = _data_files(folder) if folder.is_dir() else []
            raise BadInput(
                f"there is no file {path!r} in the workspace, and no datasource that has such a table",
                code="no-such-file",
                hint=hint(Path(path).name, names) or "set `datasources` to validate tables by name",
            )
        return _read(self.roots, path, self.scratch)

    def tables(self, folder: str) -> Mapping[str, str]:
        """Return the data files of a folder: name without ending → name. Raises BadInput for two of one name."""
        from e2i.tools.data import formats

        root = self.roots.workspace / folder
        if not root.is_dir():
            raise BadInput(f"there is no folder {folder!r}", code="no-such-file", hint="correct `datasources`")
        found: dict[str, str] = {}
        for name in _data_files(root):
            ending = next(suffix for suffix in formats.SUFFIXES if name.lower().endswith(suffix))
            table = name[: -len(ending)]
            if table in found:
                both = f"{found[table]} and {name}"
                raise BadInput(f"folder {folder!r} has two tables {table!r}: {both}", code="two-tables")
            found[table] = name
        return found

    def read_table(self, folder: str, name: str) -> pa.Table:
        """Return the rows of a file of a datasource's folder. Raises Refused for a link that leads elsewhere."""
        return _read(Roots(self.roots.workspace / folder), name, self.scratch)


def _data_files(folder: Path) -> list[str]:
    """Return the names of the files of a folder that data is read from."""
    from e2i.tools.data import formats

    names = sorted(item.name for item in folder.iterdir() if not item.name.startswith((".", "_")))
    return [name for name in names if name.lower().endswith(tuple(formats.SUFFIXES))]


def _read(roots: Roots, path: str, scratch: Path) -> pa.Table:
    """Return the rows of a file, which is opened without following links that change meanwhile."""
    from e2i.tools.data import LoadParams, files

    handle = paths.open_file(roots, path)
    try:
        with tempfile.TemporaryDirectory(dir=scratch) as folder:
            name = Path(folder) / Path(path).name  # its suffix says how it is read
            name.symlink_to(f"/proc/self/fd/{handle}")
            return files.read(name, LoadParams(path=path)).hand_over()
    finally:
        os.close(handle)
