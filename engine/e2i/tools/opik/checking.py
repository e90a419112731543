"""Check that an Opik server is reachable, without the SDK."""

from __future__ import annotations

from e2i.catalog.action import ToolSettings
from e2i.resilience import asking
from e2i.tools.opik import OpikSettings


def check(settings: ToolSettings) -> None:
    """Raise ToolUnavailable when nothing answers, or something other than Opik. Does nothing when Opik is embedded."""
    assert isinstance(settings, OpikSettings)
    if settings.url is not None:
        asking.check("opik", f"{settings.url}is-alive/ver", setting="tools.opik.url")
