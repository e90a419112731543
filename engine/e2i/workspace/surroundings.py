"""What a plan may know of this machine: versions of libraries and digests of workspace files. Reads only."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import cache
from typing import Any

from e2i.errors import Refused
from e2i.planning.fingerprint import Surroundings
from e2i.settings import Settings
from e2i.store.digests import digest_of
from e2i.workspace import paths
from e2i.workspace.paths import Roots


def of(roots: Roots, settings: Settings) -> Surroundings:
    """The surroundings of a workspace's specs. Each file, library and tool is looked at once."""

    @cache
    def file(name: str) -> str | None:
        try:
            path = paths.resolve(roots, name)
        except Refused:  # the step itself will say so
            return None
        return digest_of(path) if path.exists() else None

    @cache
    def server(tool: str) -> Mapping[str, Any]:
        return settings.tool(tool).identity()

    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return Surroundings(library=installed, file=file, python=python, server=server)


@cache
def installed(distribution: str) -> str | None:
    """The installed version of a distribution, or None."""
    from importlib.metadata import PackageNotFoundError, version  # a seventh of the start of `e2i plan`

    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
