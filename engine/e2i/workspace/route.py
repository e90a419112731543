"""The route of a spec in a workspace: a source goes in; its problems come out, or its steps and who decides on them."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from e2i.check import check
from e2i.check.parts import PartFiles
from e2i.errors import BadInput, InvalidSpec, RefusedSpec
from e2i.settings import Settings
from e2i.spec import sizes
from e2i.spec.problems import Problem
from e2i.workspace.source import Source, Spec, read_source
from e2i.workspace.workspace import Workspace

if TYPE_CHECKING:
    from e2i.catalog.files import Files
    from e2i.planning.build import History, Planner
    from e2i.spec.expand import Expanded
    from e2i.store.shared import SharedStore


def source(spec: Spec, workspace: Workspace) -> Source:
    """The spec, no more of it than the policy allows and one byte. Raises BadInput when there is no such file."""
    rules = workspace.authority.rules
    return read_source(spec, rules.budgets.bytes, [workspace.root, *(workspace.root / root for root in rules.roots)])


def problems(
    source: Source, params: Mapping[str, Any], workspace: Workspace, files: Files | None = None
) -> tuple[Problem, ...]:
    """All problems of a spec; a parameter without a value is none."""
    return tuple(_check(source, params, workspace, files or workspace.files, require_params=False)[1])


def checked(source: Source, params: Mapping[str, Any], workspace: Workspace) -> Expanded:
    """The steps of a spec without problems. Raises InvalidSpec, BadInput, RefusedSpec (only policy is against it)."""
    expanded, found = _check(source, params, workspace, workspace.files, require_params=True)
    if expanded is None:
        raise RefusedSpec(found) if only_policy(found) else InvalidSpec(found)
    return expanded


def only_policy(problems: Collection[Problem]) -> bool:
    """Whether nothing but the policy stands in the way."""
    return all(problem.is_policy for problem in problems if problem.severity == "error")


def planner(
    expanded: Expanded, history: History, workspace: Workspace, select: Collection[str], fresh: bool
) -> Planner:
    """Who decides about the steps, given what past runs left behind. Raises BadInput for a selection of nothing."""
    from e2i.planning import graph
    from e2i.planning.build import Planner
    from e2i.workspace import operator, surroundings

    selected = None
    if select:
        labels: dict[str, set[str]] = {}
        for node in expanded.nodes.values():
            for label in node.labels:
                labels.setdefault(label, set()).add(node.id)
        selected = graph.select(graph.build(graph.waits(expanded)), select, labels)
    around = surroundings.of(workspace.roots, workspace.settings)
    operated = operator.of(workspace, expanded, os.environ)
    return Planner(expanded, history, around, fresh, selected, workspace.settings.profile, operated)


def shared_store(workspace: Workspace) -> SharedStore | None:
    """The store that this environment shares results through; those of agents and of humans apart."""
    if workspace.settings.shared is None:
        return None
    from e2i.store.shared import SharedStore

    return SharedStore(workspace.settings.shared, workspace.origin.value)


def _check(
    source: Source, params: Mapping[str, Any], workspace: Workspace, files: Files, *, require_params: bool
) -> tuple[Expanded | None, Sequence[Problem]]:
    """The steps of a spec, if it has no errors, and its problems. Raises BadInput for settings that are wrong."""
    known, then = workspace.settings, source.revision
    expanded, found = check(
        source.content,
        source.file,
        params,
        known.env,
        known.secrets,
        authority=workspace.authority,
        files=files,
        beside=workspace.name(source.file.partition(":")[2] if then else source.file),
        parts=_parts_of(source),
        require_params=require_params,
    )
    if then:
        found = [_in_revision(problem, source.file, then.name) for problem in found]
    _check_settings(expanded, known)
    return expanded, found


def _parts_of(source: Source) -> PartFiles | None:
    """Where the parts of a spec are read, if not in the workspace as it is now."""
    if source.revision is not None:
        return PartFiles(source.revision, source.revision.look)
    if source.parts:
        from e2i.workspace.recorded import RecordedFiles

        kept = RecordedFiles(source.parts)
        return PartFiles(kept, kept.look)
    return None


def _in_revision(problem: Problem, spec: str, revision: str) -> Problem:
    """The problem with the file named as it was asked for: ``REV:PATH``, also when it is a part."""
    place = problem.place
    return problem if place.file == spec else replace(problem, place=replace(place, file=f"{revision}:{place.file}"))


def _check_settings(expanded: Expanded | None, settings: Settings) -> None:
    """Raises BadInput if the settings of a tool that the spec uses are wrong, or do not allow what a step asks for."""
    if expanded is None:
        return
    settings.check({node.step.uses.partition(".")[0] for node in expanded.nodes.values()})
    most = settings.resources.max_memory
    for name, node in expanded.nodes.items() if most else ():
        asked = node.options.resources.memory
        if asked and sizes.parse(asked) > sizes.parse(most or ""):
            raise BadInput(
                f"step {name!r} asks for {asked} of memory; here a step may have {most}",
                code="too-much-memory",
                hint="give it less by `resources: {memory: …}`; the operator sets `resources: max_memory:` in config/",
            )
