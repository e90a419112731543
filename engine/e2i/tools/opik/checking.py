"""Asks an Opik server whether it is there, without the SDK."""

from __future__ import annotations

from e2i.catalog.action import ToolSettings
from e2i.resilience import asking
from e2i.tools.opik import OpikSettings


def check(settings: ToolSettings) -> None:
    """Raises ToolUnavailable when nothing answers, or something that is not Opik. Does nothing when it is embedded."""
    assert isinstance(settings, OpikSettings)
    if settings.url is not None:
        asking.check("opik", f"{settings.url}is-alive/ver", setting="tools.opik.url")
