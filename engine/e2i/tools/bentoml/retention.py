"""Find the Bentos that nobody needs: of no kept run or endpoint, not served, not among the newest of their name."""

from __future__ import annotations

import json
from pathlib import Path

from e2i.catalog.retention import Kept, Leftover, changed_ms, is_old
from e2i.tools.bentoml.kept import mark_of


def leftovers(home: Path, kept: Kept) -> list[Leftover]:
    """Return the Bentos that could be removed, each with its model, oldest first."""
    found = []
    deployed = _records(home / "endpoints")
    for folder in sorted(path for path in (home / "bentos").glob("*") if path.is_dir()):
        versions = [path for path in folder.iterdir() if path.is_dir() and not path.is_symlink()]
        versions.sort(key=lambda path: (changed_ms(path) or 0, path.name))
        for version in versions[: max(0, len(versions) - kept.newest)]:
            tag = f"{folder.name}:{version.name}"
            if is_old(kept, version) and f'"{tag}"' not in deployed and not _is_needed(home, tag, kept):
                model = home / "models" / folder.name / version.name
                found.append(Leftover(tag, (mark_of(home, tag), version, model)))
    return found


def _records(endpoints: Path) -> str:
    """Return the records of all endpoints: what they serve, and what they served before and may return to."""
    files = sorted(path for path in endpoints.glob("*/*.json") if path.is_file())
    return "\n".join(path.read_text("utf-8", "replace") for path in files)


def _is_needed(home: Path, tag: str, kept: Kept) -> bool:
    if ("bento", tag) in kept.names or tag in kept.arguments:
        return True
    try:
        return json.loads(mark_of(home, tag).read_text("utf-8"))["digest"] in kept.digests
    except (OSError, ValueError, KeyError, TypeError):
        return False  # incomplete: the step that needs it builds it again
