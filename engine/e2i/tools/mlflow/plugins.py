"""Load MLflow's plugins for request headers before the first request to a server.

MLflow imports these plugins with its first request, whose deadline is short. Feast installs one that only its own data
sources use, and importing it takes seconds, so it is left out. Every other plugin is loaded as MLflow would.
"""

from __future__ import annotations

import threading
from typing import Any

UNUSED = ("feast",)
"""Names of plugins that add nothing to a request of e2i."""
_ONCE = threading.Lock()


def load_header_providers() -> None:
    """Import the providers of headers. The first call in a process takes as long as their imports."""
    from mlflow.utils import plugins

    with _ONCE:
        find = plugins.get_entry_points

        def needed(group: str) -> list[Any]:
            return [plugin for plugin in find(group) if plugin.name not in UNUSED]

        plugins.get_entry_points = needed  # bound by name in the module that is imported now, and nowhere else
        try:
            import mlflow.tracking.request_header.registry  # noqa: F401 - for its effect
        finally:
            plugins.get_entry_points = find
