"""What the files in BentoML's home say about a Bento. In: a home and a tag. Out: is it complete, its workers."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from e2i.errors import StepError


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


def workers_of(home: Path, tag: str) -> int:
    """Return how many processes serve the Bento. Raises StepError when it is not in the store."""
    try:
        known = yaml.safe_load((home / "bentos" / tag.replace(":", "/") / "bento.yaml").read_text("utf-8"))
    except OSError as error:
        raise StepError(
            f"no Bento {tag} in the store", code="unknown-bento", hint="run the packaging step again"
        ) from error
    return int(known["services"][0]["config"].get("workers") or 1)
