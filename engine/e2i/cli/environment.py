"""The tools of the environment that a command is called in. In: a profile. Out: their registry."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from e2i.catalog.registry import Registry


def registry(profile: str | None) -> Registry:
    """Returns the tools that specs can use here, with that profile. Raises BadInput for unreadable settings."""
    from e2i import settings
    from e2i.policy import Origin
    from e2i.workspace import project

    root = project.root_of(None, Path.cwd(), Origin.HUMAN)
    return settings.load(root / "config", profile, os.environ).registry
