"""A throw-away store for runs on recorded results, and which steps are never executed in it.

In: a workspace. Out: the workspace with another store and nothing that leads to a server, and copies of artifacts.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from e2i.catalog import marks
from e2i.catalog.action import Effect
from e2i.documents import OutputValues, ParamValues
from e2i.settings import Settings
from e2i.spec.expansion.expanded import Expanded
from e2i.store.artifacts import ArtifactStore
from e2i.store.history import stored_digests
from e2i.testing import isolation
from e2i.workspace.workspace import Workspace

REPEATABLE = ("optuna.tune", "feast.apply")
"""Actions with an effect that is only in the store and that depends on nothing but their parameters: with an embedded
tool, they can run again in another store.
"""


@contextmanager
def opened(workspace: Workspace, prefix: str) -> Iterator[Workspace]:
    """Yields the workspace with a throw-away store, without servers, trackers and files to write."""
    folder = Path(tempfile.mkdtemp(prefix=prefix)).resolve()
    try:
        quiet = isolation.isolated(workspace, folder / "store")
        quiet.store.mkdir(mode=0o700)
        yield quiet
    finally:
        isolation.remove(folder)


def copy_artifacts(outputs: Iterable[OutputValues], source: ArtifactStore, target: ArtifactStore) -> set[str]:
    """Copies the artifacts of outputs into another store. Returns the digests of those that are no longer there."""
    missing: set[str] = set()
    for digest in {digest for one in outputs for digest in stored_digests(one)}:
        to = Path(target.object_path(digest))
        if to.exists():
            continue
        if not source.is_intact(digest):
            missing.add(digest)
            continue
        path = Path(source.object_path(digest))
        to.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if path.is_dir():
            shutil.copytree(path, to, copy_function=_linked)
        else:
            _linked(str(path), str(to))
    return missing


def _linked(source: str, target: str) -> str:
    """Makes the same file available at another path: by a link, on another disk by a copy."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target


def kept_back(expanded: Expanded, settings: Settings) -> dict[str, str]:
    """Returns the steps that are never executed again, with the reason, in the order of the plan.

    They have effects outside of the results, or read what only the real tools hold.
    """
    found: dict[str, str] = {}
    tools: dict[str, set[str]] = {}
    for name, node in expanded.nodes.items():
        uses = node.step.uses
        tool = uses.partition(".")[0]
        action = settings.registry.action(uses)
        above = set(expanded.upstream(node))
        inherited = {one for other in above for one in tools.get(other, ())}
        if action is None or node.final:
            found[name] = "runs after all others" if node.final else "the action is not there any more"
        elif not settings.tool(tool).is_embedded:
            found[name] = f"{tool} has a server"
        elif (action.effect is not Effect.PURE or action.begins_run) and uses not in REPEATABLE:
            found[name] = f"{uses} has effects outside of its results"
        elif action.always or marks.changes_by_itself(action.params, node.step.with_):
            found[name] = f"{uses} reads what changes by itself"
        elif tool in inherited:
            found[name] = f"{uses} needs the effect of a step that is not executed"
        elif marks.written(action.params, ParamValues(node.step.with_)):
            found[name] = f"{uses} writes files"
        tools[name] = {*inherited, *((tool,) if name in found else ())}
    return found


def environ_of(workspace: Workspace, expanded: Expanded, environ: Mapping[str, str]) -> dict[str, str]:
    """Returns the environment variables without those that lead the tools of the spec to a server."""
    tools = {node.step.uses.partition(".")[0] for node in expanded.nodes.values()}
    return isolation.environment_of(workspace, tools, environ)
