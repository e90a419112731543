"""Examine all specs and test files of a folder. In: a folder. Out: ``SpecState``s, each with steps, types and problems.

Runs nothing. A spec is a YAML file with ``steps``; hidden folders and ``config`` have none.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import chdir
from pathlib import Path

from msgspec import Struct

from e2i import route
from e2i.check import actions
from e2i.check.context import CheckContext
from e2i.documents import ParamValues
from e2i.errors import BadInput
from e2i.route import Draft
from e2i.spec import document
from e2i.spec.problems import Problem
from e2i.testing import suite
from e2i.testing.files import SUFFIXES
from e2i.testing.suite import ReadyFile
from e2i.workspace.workspace import Workspace

MOST_SPECS = 2_000


class SpecState(Struct, frozen=True):
    """A spec at one revision. ``context`` has the types of all outputs; None when it has no steps."""

    name: str
    draft: Draft
    context: CheckContext | None

    @property
    def errors(self) -> tuple[Problem, ...]:
        return tuple(problem for problem in self.draft.problems if problem.severity == "error")

    def nodes_of(self, problem: Problem) -> list[str]:
        """Returns the steps that a problem is of, as ids of nodes; the name in its path when nothing is known of it."""
        keys = problem.path.split("/")[1:3]
        if len(keys) < 2 or keys[0] not in ("steps", "finally"):
            return []
        if self.draft.expanded is None:
            return [keys[1]]
        nodes = self.draft.expanded.nodes.values()
        found = [node.id for node in nodes if node.document.file == problem.location.file and node.path == tuple(keys)]
        return found or [keys[1]]


class FolderState(Struct, frozen=True):
    """All specs and test files of a folder."""

    specs: Mapping[str, SpecState]
    tests: Mapping[str, ReadyFile]
    test_problems: tuple[Problem, ...]


def examine(
    folder: Path, *, profile: str | None, origin: str | None, known: Collection[str] = frozenset()
) -> FolderState:
    """Examines everything below a folder, which is the current one in the meantime. Files in ``known`` are specs, also
    those that cannot be read as one. Raises BadInput for settings that cannot be read.
    """
    with chdir(folder):
        workspace = Workspace.open(root=folder, profile=profile, origin=origin)
        specs = {name: _spec(name, workspace) for name in _specs(folder, known)}
        tests, problems = suite.check(list(_tests(folder)), profile=profile, origin=origin, root=folder)
    return FolderState(specs, {one.file.name: one for one in tests}, tuple(problems))


def _files(folder: Path) -> Iterator[str]:
    for path in sorted(folder.rglob("*.y*ml")):
        inner = path.relative_to(folder)
        if inner.parts[0] != "config" and not any(part.startswith(".") for part in inner.parts):
            yield inner.as_posix()


def _specs(folder: Path, known: Collection[str]) -> Iterator[str]:
    count = 0
    for name in _files(folder):
        if name.endswith(SUFFIXES):
            continue
        found, _ = document.read((folder / name).read_bytes(), name)
        if name in known or (found is not None and isinstance(found.data.get("steps"), dict)):
            yield name
            count += 1
            if count > MOST_SPECS:
                raise BadInput(f"there are more than {MOST_SPECS:,} specs", code="bad-option")


def _tests(folder: Path) -> Iterator[str]:
    return (name for name in _files(folder) if name.endswith(SUFFIXES))


def _spec(name: str, workspace: Workspace) -> SpecState:
    source = route.read(name, workspace)
    draft = route.examine(source, workspace, ParamValues(), require_params=False)
    if draft.expanded is None:
        return SpecState(name, draft, None)
    context = CheckContext.of(draft.expanded, workspace.authority, draft.files)
    for _ in actions.check(context):  # it records the types of all outputs
        pass
    return SpecState(name, draft, context)
