"""Check that the effects of finished BentoML steps still exist, by the files in BentoML's store."""

from __future__ import annotations

import json
from pathlib import Path

from e2i.catalog.context import Look
from e2i.tools.bentoml import PackageOutputs, PackageParams


def package(params: PackageParams, outputs: PackageOutputs, look: Look) -> str | None:
    """Return what is missing of the Bento; None when it is complete with the content of the result."""
    bento, home = outputs.bento, look.home("bentoml")
    return None if is_complete(home, bento.tag, bento.digest) else f"the Bento {bento.tag} is not in the store"


def mark_of(home: Path, tag: str) -> Path:
    """Return the path of the marker file, which is written last."""
    return home / "complete" / f"{tag.replace(':', '@')}.json"


def is_complete(home: Path, tag: str, digest: str) -> bool:
    """Return True when the Bento of that tag is complete, has that content, and still exists."""
    try:
        made = json.loads(mark_of(home, tag).read_text("utf-8"))["digest"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return bool(made == digest) and is_there(home, tag)


def is_there(home: Path, tag: str) -> bool:
    """Return True when BentoML's store has the Bento and its model."""
    path = tag.replace(":", "/")
    return (home / "bentos" / path / "bento.yaml").is_file() and (home / "models" / path / "model.yaml").is_file()
