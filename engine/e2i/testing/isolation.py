"""Keep a run away from everything real: another store, no trackers, no servers, no files that steps may write.

In: a workspace, environment variables. Out: the same, without what leads to the real ones.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from msgspec.structs import replace

from e2i.alerting import Log
from e2i.policy import Approval
from e2i.resilience import removal
from e2i.settings import VARIABLES
from e2i.workers import environment
from e2i.workspace.workspace import Workspace


def isolated(workspace: Workspace, store: Path) -> Workspace:
    """Returns the workspace with another store, no trackers, no servers, and no files that steps may write.

    Tests of a person's specs need no approval. Those of an agent's do, so that a test runs nothing that a run may not.
    """
    settings = workspace.settings
    embedded = {name: own for name, own in settings.tools.items() if settings.tool(name).is_embedded}
    quiet = settings.model_copy(
        update={
            "sinks": (),
            "tools": {name: own for name, own in embedded.items() if name not in SERVERS},
            "shared": None,
            "on_finish": (),
            "metrics_file": None,
            "log": Log(),
            "max_runs": None,
            "mode": "private",
        }
    )
    policy = workspace.policy
    human = policy.human.model_copy(update={"write_roots": (), "approval": Approval()})  # nothing real is reached
    agent = policy.agent.model_copy(update={"write_roots": ()})
    return replace(
        workspace, store=store, settings=quiet, policy=policy.model_copy(update={"human": human, "agent": agent})
    )


SERVERS = frozenset(tool for tool, _ in VARIABLES)
"""Tools with state of their own, which the settings may put elsewhere. In a test it is in the store of the test."""


def environment_of(workspace: Workspace, tools: Iterable[str], environ: Mapping[str, str]) -> dict[str, str]:
    """Returns the environment variables without those that lead the tools to a server."""
    hidden = set(VARIABLES.values())
    registry = workspace.settings.registry
    for tool in map(registry.tool, environment.asked(tools, registry)):
        hidden |= {*tool.variables, *tool.credentials} if tool else set()
    return {name: value for name, value in environ.items() if name not in hidden}


def remove(folder: Path) -> None:
    """Removes the stores. Folders of a store are read-only."""
    for inner in sorted(folder.iterdir()) if folder.is_dir() else ():
        removal.remove_below(folder, inner)
    shutil.rmtree(folder, ignore_errors=True)
