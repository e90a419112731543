"""Return the check of ``e2i doctor`` on Opik: one project of the workspace, with the configured key."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from e2i.catalog.questions import Question
from e2i.errors import ToolUnavailable
from e2i.tools.opik import OpikSettings


def questions(settings: OpikSettings) -> list[Question]:
    """Return one check, when there is a server."""
    return (
        [Question("api", partial(_ask, settings), settings.deadline, ("opik.rest_api.client",))] if settings.url else []
    )


def _ask(settings: OpikSettings) -> str:
    from e2i.tools.opik.client import open_rest
    from e2i.tools.opik.outages import telling_outages

    with telling_outages():
        page = open_rest(settings, Path()).projects.find_projects(page=1, size=1)
    if not isinstance(page.content, list):
        raise ToolUnavailable("opik", "the server is not Opik", hint="check `tools: opik: url`: it ends in /api")
    return f"projects: {page.total or 0}"
