"""The workspace that an MCP server serves: always with origin ``agent``, opened again for each call.

In: the options of `e2i mcp`. Out: a ``Workspace``, and specs that an agent may name.
"""

from __future__ import annotations

import time
from pathlib import Path

from msgspec import Struct

from e2i import api
from e2i.documents import JsonObject
from e2i.errors import BadInput, E2IError, InvalidSpec
from e2i.policy import Origin
from e2i.spec.problems import Problem

MOST_PROBLEMS = 50
"""Most problems in an answer."""
WIDTH = 1_000
"""Most characters of a message, a line or a cell."""


class Place(Struct, frozen=True):
    """Where the server works. An agent can choose none of it."""

    root: Path
    store: Path | None = None
    profile: str | None = None

    def workspace(self) -> api.Workspace:
        """Opens the workspace. Settings and policy are those of now, so that the operator can change them."""
        return api.Workspace.open(root=self.root, store=self.store, profile=self.profile, origin=Origin.AGENT.value)

    def spec(self, spec: str, workspace: api.Workspace) -> str:
        """Returns the text of a spec, or the path of one that specs of an agent may read. Raises BadInput."""
        if "\n" in spec:
            return spec
        try:
            opened = workspace.files.open(spec)
        except OSError as error:
            raise BadInput(f"cannot read the spec {spec!r}: {error}", code="no-such-spec", hint=_HINT) from error
        if opened is None:
            raise BadInput(f"there is no spec {spec!r} in the workspace", code="no-such-spec", hint=_HINT)
        opened.close()
        return str(self.root / spec)


_HINT = "pass the text of a spec, or the path of a YAML file in the workspace"


def now_ms() -> int:
    """Returns the time in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def invalid(problems: tuple[Problem, ...], place: Place) -> JsonObject:
    """Returns the answer about a spec that has problems; it may be valid, with warnings only."""
    shown = [problem(each, place) for each in problems[:MOST_PROBLEMS]]
    found: JsonObject = {"valid": all(each.severity != "error" for each in problems), "problems": shown}
    if len(problems) > MOST_PROBLEMS:
        found["more_problems"] = len(problems) - MOST_PROBLEMS
    return found


def problem(found: Problem, place: Place) -> JsonObject:
    """Returns a problem in brief: what, where, what to do."""
    where = found.location
    file = where.file.removeprefix(f"{place.root}/")
    brief: JsonObject = {
        "code": found.code,
        "at": f"{file}:{where.line}:{where.column}",
        "message": short(found.message),
    }
    if found.path:
        brief["path"] = found.path
    if found.hint:
        brief["hint"] = short(found.hint)
    if found.severity != "error":
        brief["severity"] = found.severity
    if found.document.fixable:
        brief["fixable"] = True
    return brief


def short(text: str) -> str:
    """Returns a text of at most ``WIDTH`` characters: a message may quote what an agent, a program or data wrote."""
    return text if len(text) <= WIDTH else f"{text[:WIDTH]}…"


def error(found: E2IError, place: Place) -> JsonObject:
    """Returns an error as an answer."""
    facts: JsonObject = {"code": found.code, "message": short(found.message)}
    if found.hint:
        facts["hint"] = short(found.hint)
    if isinstance(found, InvalidSpec):
        facts["problems"] = [problem(each, place) for each in found.problems[:MOST_PROBLEMS]]
    return {"error": facts}
