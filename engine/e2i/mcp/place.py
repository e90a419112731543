"""The workspace that an MCP server serves: always with origin ``agent``, opened again for each call.

In: the options of `e2i mcp`. Out: a ``Workspace``, and specs that an agent may name.
"""

from __future__ import annotations

import time
from pathlib import Path

from msgspec import Struct

from e2i import api
from e2i.errors import BadInput
from e2i.policy import Origin


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
