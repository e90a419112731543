"""Trace the clients of language models with the integrations of Opik's SDK. In: a client. Out: the same, traced."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import Any, TypeVar

from e2i.errors import BadCall, ToolUnavailable
from e2i.tools.opik import OpikSettings

Client = TypeVar("Client")


def track(client: Client, library: str, settings: OpikSettings) -> Client:
    """Returns the client, which traces its calls below the open span. ``library`` is ``anthropic`` or ``openai``.

    Raises ToolUnavailable when the library is not installed, ValueError when the client is not one of it.
    """
    _import(library, library, f"pip install {library}")
    if type(client).__module__.partition(".")[0] != library:
        raise BadCall(
            f"{type(client).__name__} is no client of {library}", hint="pass the object that its calls are made on"
        )
    module = _import(f"opik.integrations.{library}", "opik", 'pip install "e2i[opik]"')
    function: Any = getattr(module, f"track_{library}")
    tracked: Client = function(client, project_name=settings.project_name)
    return tracked


def _import(module: str, name: str, remedy: str) -> ModuleType:
    try:
        return import_module(module)
    except ImportError as error:
        raise ToolUnavailable("opik", f"{name} is not installed: {error}", code="tool-missing", hint=remedy) from error
