"""Find the versions of Feast projects that nobody needs, and the rows that only they use."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from e2i.catalog.retention import Kept, Leftover, is_old

VERSIONS, SOURCES = "versions", "sources"


def leftovers(home: Path, kept: Kept) -> list[Leftover]:
    """Return the versions that no kept run names, then the rows that no remaining version uses.

    The version in ``feature_store.yaml``, which Feast's own client opens, stays.
    """
    found: list[Leftover] = []
    for project in sorted(path for path in home.glob("*") if (path / VERSIONS).is_dir()):
        gone = list(_versions(project, kept))
        found += gone
        found += _sources(project, kept, {leftover.paths[0] for leftover in gone})
    return found


def _versions(project: Path, kept: Kept) -> Iterator[Leftover]:
    latest = project / "feature_store.yaml"
    shown = latest.read_text("utf-8") if latest.is_file() else ""
    for folder in sorted((project / VERSIONS).iterdir()):
        needed = f"sha256:{folder.name}" in kept.digests or folder.name in shown
        newest = [path for path in (folder, *folder.glob("*")) if path.exists()]
        if folder.is_dir() and not needed and is_old(kept, *newest):
            yield Leftover(f"{project.name}/{folder.name[:12]}", (folder,))


def _sources(project: Path, kept: Kept, gone: set[Path]) -> Iterator[Leftover]:
    """Yield the files of rows that no remaining version names. None when a definition cannot be read."""
    used: set[str] = set()
    for folder in (project / VERSIONS).iterdir():
        if folder in gone:
            continue
        try:
            views = json.loads((folder / "definition.json").read_bytes())["views"]
            used |= {str(view["source"]) for view in views}
        except (OSError, ValueError, KeyError, TypeError):
            return
    for file in sorted((project / SOURCES).glob("*.parquet")):
        if file.stem not in used and is_old(kept, file):
            yield Leftover(f"{project.name}/{file.name[:12]}", (file,))
