"""Read the environment of a plan: versions of libraries and digests of workspace files. Reads only."""

from __future__ import annotations

import hashlib
import os
import sys
from functools import cache

from e2i.catalog.action import Identity
from e2i.documents import ParamValues
from e2i.errors import Refused, StepError
from e2i.planning.fingerprint import Environment
from e2i.settings import Settings
from e2i.workspace import paths
from e2i.workspace.paths import Roots


def of(roots: Roots, settings: Settings) -> Environment:
    """Returns the environment of a workspace's specs. Each file, library and tool is read once."""
    code: dict[str, bytes | None] = {}
    """The content of code files: the same bytes are hashed and searched for imports."""

    @cache
    def file(name: str) -> str | None:
        if name in code:
            content = code[name]
            return None if content is None else f"sha256:{hashlib.sha256(content).hexdigest()}"
        try:
            handle = paths.open_file(roots, name)
        except (Refused, StepError):  # the step itself reports it
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
    def glob(pattern: str) -> tuple[str, ...]:
        from e2i.workspace import matches  # for specs with patterns only

        return tuple(matches.of(roots, pattern))

    @cache
    def modules_of(name: str) -> tuple[str, ...]:
        from e2i.workspace import modules  # imports ``ast``, which most plans do not need

        return modules.imported(roots.workspace, name, read)

    @cache
    def matching(name: str) -> tuple[str, ...]:
        try:
            return paths.matching(roots, name)
        except (Refused, OSError):  # the step itself reports it
            return (name,)

    tool_settings = cache(settings.tool)

    def server(tool: str, given: ParamValues) -> Identity:
        return tool_settings(tool).identity_of(given)

    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return Environment(
        library=installed,
        file=file,
        python=python,
        modules=modules_of,
        matching=matching,
        glob=glob,
        server=server,
        registry=settings.registry,
    )


@cache
def installed(distribution: str) -> str | None:
    """Returns the installed version of a distribution, or None."""
    from importlib.metadata import (
        PackageNotFoundError,
        version,
    )  # importing it takes a seventh of the start of `e2i plan`

    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
