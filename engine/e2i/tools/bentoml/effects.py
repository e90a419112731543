"""Looks whether the effects of finished BentoML steps are there: in BentoML's store, by its files."""

from __future__ import annotations

import json
from pathlib import Path

from e2i.catalog.context import Look
from e2i.tools.bentoml import PackageOutputs, PackageParams


def package(params: PackageParams, outputs: PackageOutputs, look: Look) -> str | None:
    """Returns what is missing of the Bento; None when it is complete, with the content of the result."""
    bento, home = outputs.bento, look.home("bentoml")
    return None if is_complete(home, bento.tag, bento.digest) else f"the Bento {bento.tag} is not in the store"


def mark_of(home: Path, tag: str) -> Path:
    """The file that is written last, when a Bento is complete."""
    return home / "complete" / f"{tag.replace(':', '@')}.json"


def is_complete(home: Path, tag: str, digest: str) -> bool:
    """Whether the Bento of that tag was built to its end, with that content, and is still there."""
    try:
        made = json.loads(mark_of(home, tag).read_text("utf-8"))["digest"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return bool(made == digest) and is_there(home, tag)


def is_there(home: Path, tag: str) -> bool:
    """Whether BentoML's store has the Bento and its model."""
    location = tag.replace(":", "/")
    return (home / "bentos" / location / "bento.yaml").is_file() and (
        home / "models" / location / "model.yaml"
    ).is_file()
