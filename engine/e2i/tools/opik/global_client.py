"""Point Opik's own clients of this process to the place of the settings: ``@opik.track``, ``opik.Opik()``.

In: settings and the tool's home folder. Nothing is imported for it: a program that does not use the SDK directly does
not wait two seconds for its import. When the program imports it, the settings apply. Nothing is written to the user's
home folder, and no environment variable is set, which other programs would inherit.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from e2i.tools.opik import OpikSettings
from e2i.tools.opik.documents import Noted


def point(
    settings: OpikSettings, home: Path, take: Callable[[Sequence[Noted]], None], settle: Callable[[], None]
) -> None:
    """Makes the settings those of clients that the process opens from now on. The latest call counts.

    ``take`` and ``settle`` are those of ``capture.Taker``.
    """
    configure = partial(_configure, settings, home, take, settle)
    for finder in [finder for finder in sys.meta_path if isinstance(finder, AfterImport)]:
        sys.meta_path.remove(finder)
    if "opik" in sys.modules:
        configure()
    else:
        sys.meta_path.insert(0, AfterImport("opik", configure))


def _configure(
    settings: OpikSettings, home: Path, take: Callable[[Sequence[Noted]], None], settle: Callable[[], None]
) -> None:
    from opik import config
    from opik.api_objects import opik_client

    from e2i.tools.opik.capture import Taker
    from e2i.tools.opik.client import address, capture

    if settings.url is not None:
        capture(Taker(settings, take, settle))

    key = settings.api_key.get_secret_value() if settings.api_key else None
    chosen = {
        "url_override": address(settings, home),
        "workspace": settings.workspace,
        "project_name": settings.project_name,
        "api_key": key,
        "default_flush_timeout": max(1, int(settings.deadline)),
    }
    for name, value in chosen.items():
        if value is not None:
            config.update_session_config(name, value)
    if opik_client.get_current_client_raw() is not None:  # it was opened for another place
        opik_client.reset_global_client(end_client=False)


class AfterImport(MetaPathFinder):
    """Calls a function once, right after a module was imported for the first time."""

    def __init__(self, name: str, act: Callable[[], None]) -> None:
        self._name = name
        self._act = act

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Returns the module's own spec, with a loader that calls the function afterwards."""
        if fullname != self._name:
            return None
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        spec = find_spec(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = _Then(spec.loader, self._act)
        return spec


class _Then(Loader):
    def __init__(self, inner: Loader, act: Callable[[], None]) -> None:
        self._inner = inner
        self._act = act

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._inner.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._inner
        assert module.__spec__ is not None
        module.__spec__.loader = self._inner
        self._inner.exec_module(module)
        self._act()
