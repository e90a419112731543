"""Check in the engine's process that the effect of a finished result exists, for embedded tools, by reading files.

No tool is imported.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from e2i.catalog.action import ToolSettings
from e2i.catalog.context import C, idempotency_key
from e2i.documents import OutputValues
from e2i.settings import Settings
from e2i.workers import acting
from e2i.workspace import paths
from e2i.workspace.paths import Roots


class Looker:
    """Checks effects of this environment."""

    def __init__(self, store: Path, settings: Settings, roots: Roots) -> None:
        self._store = store
        self._settings = settings
        self._roots = roots

    def can_see(self, uses: str) -> bool:
        """Return True when the effect of the action is in the store's files; otherwise a worker must ask its tool."""
        return self._settings.tool(uses.partition(".")[0]).is_embedded

    def missing(self, uses: str, params: Any, outputs: OutputValues, fingerprint: str) -> str | None:
        """Return what is missing of an effect that can be checked here; None when it exists."""
        files = _Files(self._store, self._settings, self._roots, fingerprint)
        return acting.missing(uses, params, outputs, files, self._settings.registry)


class _Files:
    """Implements ``e2i.catalog.context.Look`` for files."""

    def __init__(self, store: Path, settings: Settings, roots: Roots, fingerprint: str) -> None:
        self._store = store
        self._roots = roots
        self._settings = settings
        self._fingerprint = fingerprint

    def settings(self, tool: str) -> ToolSettings:
        return self._settings.tool(tool)

    def home(self, tool: str) -> Path:
        return self._store / tool

    def key(self, *parts: str) -> str:
        return idempotency_key(self._fingerprint, *parts)

    def placed(self, text: str) -> str | None:
        return paths.digest(self._roots, text)

    def placed_content(self, text: str) -> bytes | None:
        return paths.written(self._roots, text)

    def connect(self, connector: type[C]) -> C:
        raise NotImplementedError(f"only workers call {connector.tool}")
