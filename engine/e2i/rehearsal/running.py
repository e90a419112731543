"""Rehearse a spec: run all of it on a sample, or on no rows, in a throw-away store.

In: a spec, parameters, the wanted sample. Out: a ``RehearsalDocument``. The store, the trackers, the outbox, the
databases and the files of the workspace are as before.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from e2i import route
from e2i.check import actions
from e2i.check.context import CheckContext
from e2i.documents import OutputValues, ParamValues
from e2i.execution.engine import Engine
from e2i.execution.events import Listener
from e2i.execution.record import RunRecord
from e2i.execution.session import Session, executor_of, new_run_id
from e2i.planning.build import Planner
from e2i.planning.model import Plan
from e2i.policy import Approval, Policy
from e2i.rehearsal import empty as without_rows
from e2i.rehearsal import unexercised
from e2i.rehearsal.redirect import Redirects, databases
from e2i.rehearsal.results import NotExercised, RehearsalDocument, SampledTable
from e2i.rehearsal.sampling import Wanted
from e2i.rehearsal.sources import Sources
from e2i.rehearsal.stand_in import Sampler, StandInExecutor
from e2i.route import Draft
from e2i.spec.expansion.expanded import Expanded
from e2i.spec.problems import Problem
from e2i.store.artifacts import ArtifactStore
from e2i.store.history import NoHistory
from e2i.testing import isolation
from e2i.testing.fixtures import Keeper
from e2i.tools.database import LOCAL_FILE
from e2i.workspace.options import RunOptions
from e2i.workspace.source import Source, Spec
from e2i.workspace.workspace import Workspace

READ = ("database", "remote")
"""Tools whose servers are read in a rehearsal. What is written goes elsewhere."""


AUTHORS = ("human", "agent")


class Rehearsed(Struct, frozen=True):
    """The end of a rehearsal: its document, the record of its run, and its failures as problems."""

    document: RehearsalDocument
    record: RunRecord
    failures: tuple[Problem, ...]


def rehearse(
    spec: Spec,
    params: ParamValues,
    wanted: Wanted,
    workspace: Workspace,
    *,
    empty: bool = False,
    listen: Listener | None = None,
    on_engine: Callable[[Engine], None] | None = None,
) -> Rehearsed:
    """Runs a spec in a throw-away store, which is removed at the end.

    ``wanted``: a column of entities or of classes that is not set is that of the spec: ``by`` of a step with
    ``strategy: entity``, ``target`` of a model. ``empty``: tables have no rows. Raises the errors of ``api.run``.
    """
    began = time.monotonic()
    workspace.settings.check()
    workspace.settings.check_secrets(os.environ)
    source = route.read(spec, workspace)
    draft = route.examine(source, workspace, params)
    expanded = route.valid(draft)
    _expect_approved(expanded, workspace, params)
    context = CheckContext.of(expanded, workspace.authority, draft.files)
    for _ in actions.check(context):  # it records the types of all outputs
        pass
    sources = Sources(expanded, context.environment)
    wanted = _completed(wanted, sources)
    with _folder() as folder:
        stage = Stage(workspace, folder, sources, wanted, empty=empty)
        record, plan = stage.run(source, params, listen, on_engine)
    outputs = {name: step.outputs for name, step in record.steps.items()}
    excused = stage.excused(record)
    failed = [*unexercised.failures(record, expanded, excused)]
    if empty:
        reported = {_step_of(problem) for problem in failed}
        found = without_rows.problems(draft, context, outputs)
        failed += [problem for problem in found if _step_of(problem) not in reported]
    missing = [*stage.notes(draft), *unexercised.listed(record, plan, expanded, workspace.settings, excused)]
    interrupted = record.status == "interrupted"
    document = RehearsalDocument(
        name=record.pipeline,
        status="failed" if failed else "interrupted" if interrupted else "succeeded",
        seconds=round(time.monotonic() - began, 3),
        empty=empty,
        sample=stage.taken,
        steps=record.ends,
        failures=[problem.document for problem in failed],
        not_exercised=missing,
    )
    return Rehearsed(document, record, tuple(failed))


def _expect_approved(expanded: Expanded, workspace: Workspace, params: ParamValues) -> None:
    """Raises Refused when the policy demands an approval of this plan and none counts: its code would run here too."""
    if not workspace.authority.rules.approval.is_demanded:
        return
    from e2i.approvals import required
    from e2i.planning import binding

    planned = route.plan(expanded, NoHistory(), workspace, RunOptions(params)).plan()
    need = required.need(planned, expanded, workspace, time.time_ns() // 1_000_000)
    if need is None:
        return
    if need.refusal is not None:
        raise need.refusal
    binding.check_code(planned)


class Stage:
    """The throw-away store of one rehearsal, with everything that stands in for something real."""

    def __init__(self, workspace: Workspace, folder: Path, sources: Sources, wanted: Wanted, *, empty: bool) -> None:
        self._sources = sources
        self._wanted = wanted
        self._registry = workspace.settings.registry
        self._redirects = Redirects(folder, self._registry)
        quiet = isolation.isolated(workspace, folder / "store")
        read = {name: own for name, own in workspace.settings.tools.items() if name in READ}
        settings = quiet.settings.model_copy(update={"tools": {**quiet.settings.tools, **read}})
        own = {
            who: {"write_roots": getattr(workspace.policy, who).write_roots, "approval": Approval()} for who in AUTHORS
        }
        self._workspace = replace(quiet, settings=settings, policy=_changed(quiet.policy, own))
        if "database" in read:
            read["database"] = databases(workspace.settings, folder)
        led = settings.model_copy(update={"tools": {**settings.tools, **read}})
        files = str(self._redirects.files)
        rules = {
            who: {"roots": (*getattr(workspace.policy, who).roots, files), "write_roots": (files,)} for who in AUTHORS
        }
        self._workers = replace(self._workspace, settings=led, policy=_changed(quiet.policy, rules))
        store = self._workspace.store
        store.mkdir(mode=0o700)
        _copy_local(workspace.store, store)
        self._artifacts = ArtifactStore(store)
        self._sampler = Sampler(self._artifacts, wanted, sources.looked_up, empty=empty)
        self._prepared = without_rows.prepare(sources) if empty else None

    @property
    def taken(self) -> list[SampledTable]:
        """The tables of sources, as far as they were reached, in the order of the spec."""
        taken = list(self._sampler.taken)
        if self._prepared is not None:
            taken += [
                SampledTable(step=step, output=name, rows=0, of=None, how="no rows, of the known columns")
                for step, outputs in self._prepared.given.items()
                if step in self._sources.nodes
                for name in outputs
            ]
        position = {name: index for index, name in enumerate(self._sources.nodes)}
        return sorted(taken, key=lambda one: position[one.step])

    def run(
        self,
        source: Source,
        params: ParamValues,
        listen: Listener | None,
        on_engine: Callable[[Engine], None] | None,
    ) -> tuple[RunRecord, Plan]:
        """Runs the spec. Everything that was started has ended when this returns."""
        options = RunOptions(params, run_id=new_run_id())
        planner = self._planner(options)
        settings = self._workspace.settings
        tools = {node.step.uses.partition(".")[0] for node in planner.expanded.nodes.values()} - {*READ}
        environ = isolation.environment_of(self._workspace, tools, os.environ)
        executor = executor_of(self._workers, settings.workers or len(os.sched_getaffinity(0)), environ)
        led = StandInExecutor(executor, self._sampler, self._redirects, self._sources.nodes)
        with ExitStack() as stack:
            stack.callback(_end_endpoints, self._workspace.store)
            stack.callback(executor.close)
            session = stack.enter_context(Session(self._workspace, None, listen, environ=environ, executor=led))
            return session.run(planner, source, options, on_engine=on_engine), planner.plan()

    def excused(self, record: RunRecord) -> dict[str, str]:
        """Returns the steps that were not executed because they need rows, with what was done instead."""
        if self._prepared is None:
            return {}
        found: dict[str, str] = {}
        for name, step in record.steps.items():
            if name in self._sources.nodes:
                if name not in self._prepared.run:
                    found[name] = f"{step.uses}: its tables are made of the known columns"
            elif name not in self._prepared.run:
                found[name] = f"{step.uses} cannot take zero rows; its parameters are checked against the columns"
            elif step.error is not None and step.uses == "python.call" and without_rows.needs_rows(step.error.message):
                found[name] = f"{step.uses} cannot take zero rows: {step.error.message.splitlines()[0]}"
        return found

    def notes(self, draft: Draft) -> Iterator[NotExercised]:
        """Yields what was led elsewhere, and wanted columns that no source has."""
        yield from self._redirects.notes
        for name in (self._wanted.by, self._wanted.stratify):
            if name is not None and self._sampler.taken and name not in self._sampler.columns:
                yield NotExercised(kind="cut", step="", detail=f"no source has the column {name}: rows are single")

    def _planner(self, options: RunOptions) -> Planner:
        planner = route.plan(self._sources.expanded, NoHistory(), self._workspace, options)
        if self._prepared is None:
            return planner
        keep = Keeper(self._artifacts)
        given = {
            step: OutputValues({name: keep.table(table) for name, table in outputs.items()})
            for step, outputs in self._prepared.given.items()
        }
        return replace(planner, selected={*self._prepared.run, *given}, given=given, finals=False)


def _changed(policy: Policy, rules: Mapping[str, Mapping[str, tuple[str, ...] | Approval]]) -> Policy:
    """Returns a policy with other rules for each kind of author."""
    return policy.model_copy(
        update={who: getattr(policy, who).model_copy(update=dict(own)) for who, own in rules.items()}
    )


def _completed(wanted: Wanted, sources: Sources) -> Wanted:
    """Returns the wanted sample, with the columns that the spec names."""
    by, classes = sources.entity, sources.classes
    return replace(
        wanted,
        by=wanted.by or (by[0] if by else None),
        stratify=wanted.stratify or (classes[0] if classes else None),
    )


def _step_of(problem: Problem) -> tuple[str, str]:
    """Returns the file and the path of the step that a problem is of."""
    return problem.location.file, "/".join(problem.path.split("/")[:3])


@contextmanager
def _folder() -> Iterator[Path]:
    """Yields a folder that is removed at the end, whatever happens."""
    folder = Path(tempfile.mkdtemp(prefix="e2i-rehearsal-")).resolve()
    try:
        yield folder
    finally:
        isolation.remove(folder)


def _copy_local(store: Path, to: Path) -> None:
    """Copies the database in the store, which earlier runs may have written what is read now."""
    file = store / "database" / LOCAL_FILE
    if not file.is_file():
        return
    (to / "database").mkdir(mode=0o700)
    with (
        contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as real,
        contextlib.closing(sqlite3.connect(to / "database" / LOCAL_FILE)) as copy,
    ):
        real.backup(copy)


def _end_endpoints(store: Path) -> None:
    """Ends the endpoints that steps have deployed: they would outlive the rehearsal."""
    home = store / "bentoml"
    if (home / "endpoints").is_dir():
        from e2i.tools.bentoml.endpoints import Endpoints

        endpoints = Endpoints(home / "endpoints", home, {})
        for name in endpoints.names():
            endpoints.stop(name)
