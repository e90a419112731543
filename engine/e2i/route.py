"""The stages of a spec, from its text to its run. Read this module first.

Each stage is one call, in the order in which the data passes through them::

    read → load → expand → check → plan → run

Each command runs the stages that it needs: ``validate`` and ``fix`` up to ``check``, ``plan`` and ``diff`` up to
``plan``, ``run`` and ``resume`` all of them. A ``Draft`` collects the results and problems of a spec on the way.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from itertools import islice
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from e2i.check import check as check_rules
from e2i.check import machine, policy, references
from e2i.check.context import CheckContext
from e2i.check.included import IncludedFiles, reader
from e2i.documents import ParamValues
from e2i.errors import BadInput, InvalidSpec, RefusedSpec
from e2i.settings import Settings
from e2i.spec import included, sizes
from e2i.spec import load as shapes
from e2i.spec.expansion.expand import expand as expand_steps
from e2i.spec.expansion.expanded import Expanded
from e2i.spec.expansion.unknowns import without_unreadable
from e2i.spec.load import LoadedSpec
from e2i.spec.params import parameter_values
from e2i.spec.problems import MOST, Location, Problem, most
from e2i.workspace.options import RunOptions
from e2i.workspace.source import Source, Spec, read_source
from e2i.workspace.workspace import Workspace

if TYPE_CHECKING:
    from e2i.catalog.files import Files
    from e2i.check.type_environment import TypeEnvironment
    from e2i.execution.engine import Engine
    from e2i.execution.events import Listener
    from e2i.execution.record import RunRecord
    from e2i.planning.build import History, Planner
    from e2i.store.shared import SharedStore


class Draft(Struct, frozen=True):
    """The results of the stages so far for a spec."""

    source: Source
    workspace: Workspace
    files: Files
    """The files that checks may read: the workspace, or a hypothetical state of it."""
    loaded: LoadedSpec | None = None
    """The spec with its included specs, if its shape is valid."""
    expanded: Expanded | None = None
    """Its steps, if every expression and included spec can be read."""
    problems: tuple[Problem, ...] = ()
    environment: TypeEnvironment | None = None
    """The types of the steps' outputs, with the known columns of tables, once the steps are checked."""

    @property
    def is_valid(self) -> bool:
        """True when it may run: it has steps, and at most warnings."""
        return self.expanded is not None and all(problem.severity != "error" for problem in self.problems)


def read(spec: Spec, workspace: Workspace) -> Source:
    """Reads the text of a spec, up to one byte more than the policy allows. Raises BadInput when there is no such
    file.
    """
    rules = workspace.authority.rules
    return read_source(spec, rules.budgets.bytes, [workspace.root, *(workspace.root / root for root in rules.roots)])


def load(source: Source, workspace: Workspace, files: Files | None = None) -> Draft:
    """Loads text as a spec of valid shape, with the specs that it includes."""
    draft = Draft(source, workspace, files or workspace.files)
    authority, content, file = workspace.authority, source.content, source.file
    length = 0 if isinstance(content, Mapping) else len(content)
    if violation := policy.size(length, "the spec has", authority):
        return replace(
            draft, problems=(Problem(violation.code, violation.message, Location(file, 1, 1), "", violation.hint),)
        )
    limits = policy.limits(authority)
    parameters = authority.registry.parameters
    loaded, problems = shapes.load(content, file, limits, parameters)
    if loaded is None:
        return replace(draft, problems=tuple(problems))
    own = workspace.name(file.partition(":")[2] if source.revision else file)
    given = _included_of(source) or IncludedFiles(draft.files, authority.look)
    loaded, wrong = included.gather(loaded, own, reader(given, authority, length), limits, parameters)
    syntax = [error for one in loaded.files() for error in islice(references.unreadable(one), MOST)]
    if syntax:
        loaded = without_unreadable(loaded)
    reported = (problem for problem in syntax if problem is not None)
    return replace(draft, loaded=loaded, problems=(*problems, *wrong, *reported))


def expand(draft: Draft, params: ParamValues, *, require_params: bool = True) -> Draft:
    """Expands a loaded spec into its actual steps for these values of its parameters.

    ``require_params=False`` is for ``validate``: a parameter without a value is not an error of the spec.
    """
    if draft.loaded is None:
        return draft
    spec, *included = draft.loaded.files()
    values, wrong_values = parameter_values(spec.spec, spec.document, params)
    if not require_params:
        wrong_values = [violation for violation in wrong_values if violation.code != "missing-parameter"]
    for one in included:
        wrong = parameter_values(one.spec, one.document, ParamValues())[1]
        wrong_values += [violation for violation in wrong if violation.code != "missing-parameter"]
    settings, budgets = draft.workspace.settings, draft.workspace.authority.rules.budgets
    expanded, matrices = expand_steps(draft.loaded, values, settings.env, settings.secrets, most=budgets.steps)
    return replace(draft, expanded=expanded, problems=(*draft.problems, *wrong_values, *matrices))


def check(draft: Draft) -> Draft:
    """Checks the steps and adds all problems, sorted by location. Raises BadInput for invalid settings."""
    authority, found, environment = draft.workspace.authority, list(draft.problems), None
    if draft.expanded is not None and len(draft.expanded.nodes) > authority.rules.budgets.steps:
        found += islice(policy.sizes(draft.expanded, authority), MOST)
    elif draft.expanded is not None:
        context = CheckContext.of(draft.expanded, authority, draft.files)
        environment = context.environment
        found += check_rules(context, draft.problems)
        found += machine.lacking(draft.expanded, draft.workspace.settings)
    each = {problem.sort_key: _in_revision(problem, draft.source) for problem in found}  # combinations repeat theirs
    draft = replace(draft, problems=tuple(most(list(each.values()))), environment=environment)
    if draft.is_valid:
        _check_settings(draft.expanded, draft.workspace.settings)
    return draft


def plan(expanded: Expanded, history: History, workspace: Workspace, options: RunOptions) -> Planner:
    """Returns the planner for steps and past results. ``Planner.plan`` is the plan.

    Raises BadInput for a selection that matches nothing.
    """
    from e2i.planning import graph
    from e2i.planning.build import Planner
    from e2i.workspace import environment, operator

    selected = None
    if options.select:
        labels: dict[str, set[str]] = {}
        for node in expanded.nodes.values():
            for label in node.labels:
                labels.setdefault(label, set()).add(node.id)
        selected = graph.select(graph.build(graph.waits(expanded)), options.select, labels)
    facts = environment.of(workspace.roots, workspace.settings)
    operated = operator.of(workspace, expanded, os.environ)
    return Planner(
        expanded, history, facts, options.fresh, selected, workspace.settings.profile, operated, options.run_id
    )


def run(
    source: Source,
    workspace: Workspace,
    options: RunOptions,
    *,
    listen: Listener | None = None,
    on_engine: Callable[[Engine], None] | None = None,
) -> RunRecord:
    """Runs a spec to its end, when it is its turn in the store. ``listen`` receives every event. ``on_engine``
    receives the engine before it starts.

    Raises InvalidSpec, BadInput, Refused, RunLimit, StoreError. A step that fails is in the record.
    """
    from e2i.execution import secrets, turn
    from e2i.execution.session import Session
    from e2i.workspace.repository import Question

    workspace.settings.check()
    workspace.settings.check_secrets(os.environ)
    with secrets.without_core_dumps(), Question(workspace.root) as repository:  # git answers while the spec is checked
        draft = examine(source, workspace, options.params)
        expanded = valid(draft)
        heard = listen or (lambda event: None)
        with (
            turn.taken(workspace.store, workspace.settings.max_runs, heard, wait=options.wait) as reservation,
            Session(workspace, shared_store(workspace), listen) as session,
        ):
            session.warn(draft.problems)
            planner = plan(expanded, session.history, workspace, options)
            return session.run(planner, source, options, repository, on_engine, reservation)


def examine(
    source: Source,
    workspace: Workspace,
    params: ParamValues,
    *,
    files: Files | None = None,
    require_params: bool = True,
) -> Draft:
    """Runs the stages before the plan: finds everything that can be known of a spec before a run."""
    return check(expand(load(source, workspace, files), params, require_params=require_params))


def valid(draft: Draft) -> Expanded:
    """Returns the steps of a spec without errors. Raises InvalidSpec, or RefusedSpec when only the policy forbids
    it.
    """
    if draft.expanded is None or not draft.is_valid:
        raise RefusedSpec(draft.problems) if only_policy(draft.problems) else InvalidSpec(draft.problems)
    return draft.expanded


def only_policy(problems: Collection[Problem]) -> bool:
    """Returns True when all problems are policy problems."""
    return all(problem.is_policy for problem in problems if problem.severity == "error")


def shared_store(workspace: Workspace) -> SharedStore | None:
    """Returns the store through which this environment shares results. Agents and humans have separate ones."""
    if workspace.settings.shared is None:
        return None
    from e2i.store.shared import SharedStore

    return SharedStore(workspace.settings.shared, workspace.origin.value)


def _included_of(source: Source) -> IncludedFiles | None:
    """Returns the files of the included specs, if they are not read from the current workspace."""
    if source.revision is not None:
        return IncludedFiles(source.revision, source.revision.look)
    if source.included:
        from e2i.workspace.recorded import RecordedFiles

        kept = RecordedFiles(source.included)
        return IncludedFiles(kept, kept.look)
    return None


def _in_revision(problem: Problem, source: Source) -> Problem:
    """Returns the problem with its file as requested: ``REV:PATH``, also for an included spec."""
    location = problem.location
    if source.revision is None or location.file == source.file:
        return problem
    return replace(problem, location=replace(location, file=f"{source.revision.name}:{location.file}"))


def _check_settings(expanded: Expanded | None, settings: Settings) -> None:
    """Raises BadInput if the settings of a used tool are invalid, or do not allow what a step requests."""
    assert expanded is not None
    settings.check({node.step.uses.partition(".")[0] for node in expanded.nodes.values()})
    allowed = settings.resources.max_memory
    for name, node in expanded.nodes.items() if allowed else ():
        asked = node.options.resources.memory
        if asked and sizes.parse(asked) > sizes.parse(allowed or ""):
            raise BadInput(
                f"step {name!r} requests {asked} of memory, but the limit is {allowed}",
                code="too-much-memory",
                hint="reduce it with `resources: {memory: …}`; the operator sets `resources: max_memory:` in config/",
            )
