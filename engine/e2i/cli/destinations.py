"""Say where the tools of a command are: their addresses and where these come from.

In: a workspace. Out: one line. The settings of tools without a server or a folder of their own are not read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from e2i.catalog.action import without_credentials
from e2i.workspace.workspace import Workspace

PLACES = ("host", "repo_path", "context_root")
"""Settings that say where a tool is and are no URL."""


def line(workspace: Workspace) -> str:
    """Returns the tools with a server, each with its addresses and their source, the rest, and the profile."""
    settings = workspace.settings
    served = [f"{name} {', '.join(found)} ({source})" for name, found, source in _served(workspace)]
    rest = "other tools" if served else "tools"
    shared = [f"results shared at {without_credentials(settings.shared.url)}"] if settings.shared is not None else []
    places = "; ".join([*served, f"{rest} embedded in {workspace.store}", *shared])
    return f"{places}; profile {settings.profile}" + (f" ({settings.note})" if settings.note else "")


def _served(workspace: Workspace) -> Iterator[tuple[str, tuple[str, ...], str]]:
    settings = workspace.settings
    for name, configured in sorted(settings.tools.items()):
        if not _may_have_server(configured) or settings.registry.problem(name) is not None:
            continue
        if found := settings.tool(name).addresses():
            yield name, found, settings.sources.get(name, "config")


def _may_have_server(value: Any) -> bool:
    """Returns whether settings contain an address or a place: most tools need not be imported to know that."""
    if isinstance(value, Mapping):
        return any(key in PLACES or _may_have_server(item) for key, item in value.items())
    return isinstance(value, str) and "://" in value
