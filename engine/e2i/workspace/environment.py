"""What a plan may know of this machine: versions of libraries and digests of workspace files. Reads only."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Mapping
from functools import cache
from typing import Any

from e2i.errors import Refused, StepError
from e2i.planning.fingerprint import Environment
from e2i.settings import Settings
from e2i.workspace import paths
from e2i.workspace.paths import Roots


def of(roots: Roots, settings: Settings) -> Environment:
    """The surroundings of a workspace's specs. Each file, library and tool is looked at once."""
    code: dict[str, bytes | None] = {}
    """The content of the files that are code: what is hashed is what is looked through for imports."""

    @cache
    def file(name: str) -> str | None:
        if name in code:
            content = code[name]
            return None if content is None else f"sha256:{hashlib.sha256(content).hexdigest()}"
        try:
            handle = paths.open_file(roots, name)
        except (Refused, StepError):  # the step itself will say so
            return None
        with os.fdopen(handle, "rb") as opened:
            return f"sha256:{hashlib.file_digest(opened, 'sha256').hexdigest()}"

    def read(name: str) -> bytes | None:
        from e2i.workspace import modules

        if name not in code:
            try:
                code[name] = paths.read(roots, name, modules.LARGEST)
            except (Refused, StepError):
                code[name] = None
        return code[name]

    @cache
    def modules_of(name: str) -> tuple[str, ...]:
        from e2i.workspace import modules  # with the compiler's syntax tree, which most plans do without

        return modules.imported(roots.workspace, name, read)

    @cache
    def server(tool: str) -> Mapping[str, Any]:
        return settings.tool(tool).identity()

    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return Environment(library=installed, file=file, python=python, modules=modules_of, server=server)


@cache
def installed(distribution: str) -> str | None:
    """The installed version of a distribution, or None."""
    from importlib.metadata import PackageNotFoundError, version  # a seventh of the start of `e2i plan`

    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
