"""The Python API of the program. In: a spec. Out: a typed result with ``to_json()``.

A spec is a path, YAML text or a mapping. The commands are a thin layer over these functions.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from e2i import regular, route
from e2i import settings as settings_module
from e2i.documents import Documented, JsonObject, ParamValues, Values, plain
from e2i.errors import BadInput, E2IError, Exit, Refused
from e2i.policy import Origin
from e2i.spec.problems import Problem, ProblemsDocument
from e2i.workspace.files import ChangedFiles
from e2i.workspace.options import RunOptions
from e2i.workspace.source import Source, Spec, read_revision, read_source
from e2i.workspace.workspace import Workspace

if TYPE_CHECKING:
    from e2i.catalog.files import Files
    from e2i.check.fixing import Fixed
    from e2i.execution.engine import Engine
    from e2i.execution.events import Listener
    from e2i.execution.record import RunRecord
    from e2i.operations.watch import RunWatch
    from e2i.planning.build import History
    from e2i.planning.diff import SpecDiff
    from e2i.planning.model import Plan, PlanDocument
    from e2i.records.differences import RunDiff
    from e2i.spec.expansion.expanded import Expanded
    from e2i.store.past import RecordedRun

__all__ = [
    "Source", "Spec", "Validation", "Workspace", "compare", "complete", "diff", "fix", "plan", "planned", "read_source",
    "recorded", "resume", "run", "validate", "workspace_of",
]  # fmt: skip


CHANGED = ("parameter-changed", "input-changed", "file-changed", "library-changed", "action-changed", "seed-changed",
           "server-changed", "result-lost")  # fmt: skip
"""Reasons for which a finished step does not stay finished. Values of ``planning.model.Why``."""


class Validation(Documented, frozen=True):
    """The verdict on a spec, with all of its problems."""

    problems: tuple[Problem, ...]

    @property
    def valid(self) -> bool:
        return not self.errors

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems that keep the spec from running: all but warnings."""
        return tuple(problem for problem in self.problems if problem.severity == "error")

    @property
    def exit_code(self) -> Exit:
        """Refused when only the policy forbids the spec."""
        return Exit.DONE if self.valid else Exit.REFUSED if route.only_policy(self.problems) else Exit.BAD_INPUT

    @property
    def document(self) -> ProblemsDocument:
        return ProblemsDocument.of(self.problems)


def validate(
    spec: Spec,
    params: Values | None = None,
    *,
    profile: str | None = None,
    workspace: Workspace | None = None,
) -> Validation:
    """Checks a spec. Needs no tool to be installed, and runs nothing."""
    workspace = workspace or Workspace.open(profile=profile, spec=_path(spec))
    return Validation(_problems(route.read(spec, workspace), ParamValues(params or {}), workspace))


def fix(
    spec: Spec,
    params: Values | None = None,
    *,
    profile: str | None = None,
    workspace: Workspace | None = None,
) -> Fixed:
    """Applies every safe fix to the spec and to the specs that it includes. Comments and layout are kept.

    Writes nothing. Included specs outside the workspace stay unchanged.
    """
    from e2i.check.fixing import Fixed, fix_all

    workspace = workspace or Workspace.open(profile=profile, spec=_path(spec))
    source = route.read(spec, workspace)
    given = ParamValues(params or {})
    problems = _problems(source, given, workspace)
    if any(problem.code == "not-utf8" and problem.location.file == source.file for problem in problems):
        return Fixed(source.text, (), problems)
    files = workspace.files
    included: dict[str, Path] = {}

    def open_included(name: str) -> str | None:
        path = files.own(name)
        if path is None or path in (*included.values(), Path(source.file).resolve()):  # one file, whatever names it has
            return None
        try:
            text = regular.read(path, workspace.authority.rules.budgets.bytes).decode()
        except (OSError, UnicodeDecodeError):
            return None
        included[name] = path
        return text.removeprefix("\ufeff")

    def check_texts(texts: Mapping[str, str]) -> tuple[Problem, ...]:
        changed = ChangedFiles(files, {path: texts[name] for name, path in included.items() if name in texts})
        return _problems(Source(texts[source.file], source.file), given, workspace, changed)

    return fix_all(source.text.removeprefix("\ufeff"), source.file, open_included, check_texts, problems)


def plan(
    spec: Spec,
    params: Values | None = None,
    *,
    profile: str | None = None,
    select: Collection[str] = (),
    fresh: bool = False,
    estimate: bool = False,
    workspace: Workspace | None = None,
) -> Plan:
    """Plans what a run would do now, and why. Writes nothing.

    ``estimate``: with the time and memory that it takes, by past runs; also without it, where a budget limits the plan.
    Raises InvalidSpec, BadInput, and RefusedSpec for a plan that is over a budget of the policy.
    """
    given = ParamValues(params or {})
    return planned(spec, given, profile=profile, select=select, fresh=fresh, estimate=estimate, workspace=workspace)[0]


def planned(
    spec: Spec,
    params: ParamValues | None = None,
    *,
    profile: str | None = None,
    select: Collection[str] = (),
    fresh: bool = False,
    estimate: bool = False,
    workspace: Workspace | None = None,
) -> tuple[Plan, Expanded]:
    """Plans as ``plan`` does. Returns also the steps that the plan is of."""
    from e2i.records import outdated
    from e2i.store.artifacts import ArtifactStore
    from e2i.store.database import FILE
    from e2i.store.history import NoHistory, Reader

    workspace = workspace or Workspace.open(profile=profile, spec=_path(spec))
    options = RunOptions(params or ParamValues(), tuple(select), fresh)
    draft = route.examine(route.read(spec, workspace), workspace, options.params)
    expanded = route.valid(draft)
    with ExitStack() as stack:
        history: History = NoHistory()
        reader = None
        if (workspace.store / FILE).exists():
            history = reader = stack.enter_context(Reader(workspace.store, ArtifactStore(workspace.store).is_intact))
        if (shared := route.shared_store(workspace)) is not None:
            from e2i.store.shared import SharedResults

            history = SharedResults(history, shared, lambda result: True)
        planner = route.plan(expanded, history, workspace, options)
        made = planner.plan()
        hints = tuple(outdated.hints(made, reader.made_ms, workspace.settings.registry)) if reader else ()
        made = replace(made, warnings=draft.problems, hints=hints)
        if estimate or workspace.authority.limits_runs or expanded.loaded.spec.has_budget:
            from e2i.execution import budget

            made = budget.held(made, planner, reader, workspace.settings, workspace.authority)
        if workspace.authority.rules.approval.is_demanded:
            from e2i.approvals import required

            made = required.with_demands(made, expanded, workspace)
        return made, expanded


def diff(
    before: Spec,
    after: Spec,
    params: Values | None = None,
    *,
    profile: str | None = None,
    workspace: Workspace | None = None,
) -> SpecDiff:
    """Classifies the difference between two specs. A text ``REV:PATH`` names a file in a git revision."""
    from e2i.planning.diff import compare
    from e2i.store.history import NoHistory

    workspace = workspace or Workspace.open(profile=profile, spec=_path(after))
    sides = []
    for spec in (before, after):
        source = read_revision(spec, workspace) if isinstance(spec, str) else None
        draft = route.examine(source or route.read(spec, workspace), workspace, ParamValues(params or {}))
        expanded = route.valid(draft)
        sides.append((expanded.loaded.spec, route.plan(expanded, NoHistory(), workspace, RunOptions()).plan()))
    return compare(sides[0], sides[1])


def compare(before: str, after: str, *, workspace: Workspace | None = None) -> RunDiff:
    """Compares the inputs, steps and outputs of two runs. Raises BadInput.

    A run is named by its id, a prefix of it, ``last``, or ``last~1`` for the one before.
    """
    from e2i.planning import diff as spec_diff
    from e2i.records import again, comparison, lookup

    workspace = workspace or Workspace.open()
    runs = (lookup.run(workspace.store, before), lookup.run(workspace.store, after))
    sides = [again.as_planned(past.run, workspace) for past in runs]
    meaning = spec_diff.compare(sides[0], sides[1]) if sides[0] and sides[1] else None
    return comparison.compare(runs[0], runs[1], meaning)


def run(
    spec: Spec,
    params: Values | None = None,
    *,
    profile: str | None = None,
    select: Collection[str] = (),
    fresh: bool = False,
    bound_to: PlanDocument | JsonObject | None = None,
    run_id: str | None = None,
    wait: bool = True,
    listen: Listener | None = None,
    on_engine: Callable[[Engine], None] | None = None,
    watch: RunWatch | None = None,
    workspace: Workspace | None = None,
) -> RunRecord:
    """Runs a spec. ``bound_to`` is the document of an approved plan: any other plan is refused.

    Resumes the latest unfinished run of the same plan (``e2i.store.unfinished``), under its id, unless ``fresh`` or a
    ``run_id`` is passed. ``listen`` receives every event. ``on_engine`` receives the engine before it starts (to stop
    it from a signal handler). ``watch`` notifies the operator of several attempts together; default: of each run.
    ``wait=False``: raises RunLimit when ``max_runs`` allows no other run now. Raises InvalidSpec, BadInput, Refused,
    StoreError. A step that fails is in the record.
    """
    workspace = workspace or Workspace.open(profile=profile, spec=_path(spec))
    options = RunOptions(ParamValues(params or {}), tuple(select), fresh, _approved(bound_to), run_id, wait)
    read = cache(lambda: route.read(spec, workspace))
    with _watched(watch, workspace, listen, read) as emit:
        return route.run(read(), workspace, options, listen=emit, on_engine=on_engine)


def resume(
    run: str,
    *,
    wait: bool = True,
    listen: Listener | None = None,
    on_engine: Callable[[Engine], None] | None = None,
    watch: RunWatch | None = None,
    workspace: Workspace | None = None,
) -> RunRecord:
    """Resumes a recorded run under its own id, with its own spec, included specs, parameters, profile and options.

    The run of an agent stays one. Raises the errors of ``run``, BadInput when there is no such run, and Refused when
    its records were altered.
    """
    workspace = workspace or Workspace.open()
    source, workspace, options = _resumption(recorded(run, workspace), workspace)
    options = replace(options, wait=wait)
    with _watched(watch, workspace, listen, lambda: source) as emit:
        return route.run(source, workspace, options, listen=emit, on_engine=on_engine)


def complete(
    run: str,
    *,
    listen: Listener | None = None,
    on_engine: Callable[[Engine], None] | None = None,
    workspace: Workspace | None = None,
) -> RunRecord:
    """Executes the deferred steps of a recorded run, and the steps below them, under its own id.

    Finished steps are reused, also those of a run with ``fresh``. Raises the errors of ``resume``, and Refused when a
    finished step would not be reused, because something that it depends on has changed.
    """
    from e2i.planning.model import Verdict
    from e2i.store.artifacts import ArtifactStore
    from e2i.store.history import Reader

    workspace = workspace or Workspace.open()
    past = recorded(run, workspace)
    source, workspace, options = _resumption(past, workspace)
    options = replace(options, fresh=False)
    expanded = route.valid(route.examine(source, workspace, options.params))
    with Reader(workspace.store, ArtifactStore(workspace.store).is_intact) as reader:
        planned = route.plan(expanded, reader, workspace, options).plan()
    done = {step.id for step in past.steps if step.status in ("succeeded", "reused")}
    changed = [
        f"{step.id} ({step.reason.code})"
        for step in planned.steps
        if step.id in done and step.verdict is Verdict.RUN and step.reason.code in CHANGED
    ]
    if changed:
        raise Refused(
            f"run {run} cannot be completed: steps that were finished would run again: {', '.join(changed)}",
            code="inputs-changed",
            hint=f"run it again: e2i run {past.file}; or resume it as it is now: e2i run --resume {run}",
        )
    with _watched(None, workspace, listen, lambda: source) as emit:
        return route.run(source, workspace, options, listen=emit, on_engine=on_engine)


def _resumption(past: RecordedRun, workspace: Workspace) -> tuple[Source, Workspace, RunOptions]:
    """Returns the spec, the workspace and the options of a recorded run. Raises Refused when its records were
    altered.
    """
    run = past.id
    if past.corrupt:
        raise Refused(
            f"cannot resume run {run}: its records were altered since they were written: {', '.join(past.corrupt)}",
            code="state-altered",
            hint="run its spec again: finished steps do not run again; `e2i doctor` names every corrupt record",
        )
    origin = Origin.AGENT if past.options.origin == Origin.AGENT else workspace.origin
    asked = RunOptions(
        past.params,
        past.options.select or (),
        bool(past.options.fresh),
        _approved(plain(past.plan)) if past.options.bound else None,
        run,
    )
    return Source.recorded(past), replace(workspace_of(past, workspace), origin=origin), asked


def workspace_of(past: RecordedRun, workspace: Workspace) -> Workspace:
    """Returns the workspace with the settings of the profile that a recorded run had. Raises BadInput when there is no
    such profile any more.
    """
    if past.profile == workspace.settings.profile:
        return workspace
    return replace(workspace, settings=settings_module.load(workspace.root / "config", past.profile, os.environ))


def recorded(run: str, workspace: Workspace) -> RecordedRun:
    """Returns everything recorded of a run. Raises BadInput."""
    from e2i.store.database import FILE
    from e2i.store.history import Reader

    if (workspace.store / FILE).exists():
        with Reader(workspace.store, lambda digest: True) as reader:
            if (found := reader.run(run)) is not None:
                return found
    raise BadInput(
        f"there is no run {run!r} in the store {workspace.store}", code="unknown-run", hint="`e2i runs` lists them"
    )


@contextmanager
def _watched(
    watch: RunWatch | None, workspace: Workspace, listen: Listener | None, read: Callable[[], Source]
) -> Iterator[Listener | None]:
    """Yields the listener of a run that the operator is notified of, if the settings ask for that."""

    def pipeline() -> str | None:
        try:
            loaded = route.load(read(), workspace).loaded
        except E2IError:
            return None
        return loaded.spec.name if loaded else None

    settings = workspace.settings
    if watch is None and not (settings.on_finish or settings.metrics_file or settings.log.file):
        yield listen
        return
    from e2i.operations.watch import RunWatch

    with (watch or RunWatch()).attempt(workspace, listen or (lambda event: None), pipeline) as emit:
        yield emit


def _approved(plan: PlanDocument | JsonObject | None) -> PlanDocument | None:
    """Returns the document of an approved plan, from data that has its form. Raises BadInput."""
    from e2i.planning import document
    from e2i.planning.model import PlanDocument

    return plan if plan is None or isinstance(plan, PlanDocument) else document.read(plan)


def _problems(
    source: Source, params: ParamValues, workspace: Workspace, files: Files | None = None
) -> tuple[Problem, ...]:
    """Returns all problems of a spec. A parameter without a value is not a problem."""
    return route.examine(source, workspace, params, files=files, require_params=False).problems


def _path(spec: Spec) -> str | Path | None:
    return spec if isinstance(spec, str | Path) else None
