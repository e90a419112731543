"""Runs test cases, each as a run of its own in a throw-away store, without trackers.

In: prepared cases. Out: for each, what its run came to. Cases whose steps have no effect outside of the store share one
store and its worker processes, but no result is reused. Other cases have a store of their own.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from msgspec import Struct, field
from msgspec.structs import replace

from e2i import route
from e2i.catalog.action import Effect
from e2i.catalog.registry import Registry
from e2i.documents import OutputValues, ParamValues
from e2i.errors import E2IError
from e2i.execution.record import RunRecord
from e2i.execution.session import Session, executor_of, new_run_id
from e2i.execution.state import Status
from e2i.planning.build import Planner
from e2i.planning.model import Plan
from e2i.spec.expansion.expanded import Expanded
from e2i.store.artifacts import ArtifactStore
from e2i.store.history import NoHistory
from e2i.testing import isolation
from e2i.testing.faults import FaultyExecutor
from e2i.testing.preparing import PreparedCase
from e2i.workers.executor import Executor
from e2i.workspace.options import RunOptions
from e2i.workspace.source import Source
from e2i.workspace.workspace import Workspace

WORKERS = 1
"""Worker processes of a run: a case has little data, and starting a process takes longer than its steps."""


class CaseRun(Struct, frozen=True):
    """What the run of a case came to: a record, or the error that kept it from starting."""

    seconds: float
    plan: Plan | None = None
    record: RunRecord | None = None
    error: E2IError | None = None
    expanded: Expanded | None = None
    outputs: Mapping[str, OutputValues | None] = field(default_factory=dict)
    """The outputs of the steps that have some, by node."""
    store: ArtifactStore | None = None


class Known(Struct, frozen=True):
    """Results of steps that a case need not run again, with the store that has their artifacts."""

    outputs: Mapping[str, OutputValues]
    store: ArtifactStore


class Runner:
    """Runs the cases of one workspace. Everything that they write is removed at the end."""

    def __init__(self, workspace: Workspace) -> None:
        self._stack = ExitStack()
        self._folder = Path(tempfile.mkdtemp(prefix="e2i-test-"))
        self._stack.callback(isolation.remove, self._folder)
        self._workspace = isolation.isolated(workspace, self._folder / "store")
        self._executor: Executor | None = None
        self._count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def planned(self, prepared: PreparedCase) -> Plan:
        """Returns the plan of a case whose spec is valid. Runs nothing."""
        assert prepared.expanded is not None
        self._workspace.store.mkdir(mode=0o700, parents=True, exist_ok=True)
        given = _given(prepared, ArtifactStore(self._workspace.store), None)
        return _planner(prepared, self._workspace, RunOptions(ParamValues(prepared.case.params)), given).plan()

    def run(self, prepared: PreparedCase, source: Source, known: Known | None = None) -> CaseRun:
        """Runs a case whose spec is valid. Steps with ``known`` results do not run, and count as succeeded."""
        began = time.monotonic()
        assert prepared.expanded is not None
        alone = self._has_effects(prepared)
        self._count += 1
        workspace = replace(self._workspace, store=self._folder / f"case-{self._count}") if alone else self._workspace
        workspace.store.mkdir(parents=True, exist_ok=True)
        workspace.store.chmod(0o700)
        store = ArtifactStore(workspace.store)
        plan: Plan | None = None
        try:
            given = _given(prepared, store, known)
            options = RunOptions(ParamValues(prepared.case.params), run_id=new_run_id())
            planner = _planner(prepared, workspace, options, given)
            plan = planner.plan()
            record = self._execute(workspace, planner, source, options, prepared, alone=alone)
            record = _as_executed(record, known)
        except E2IError as error:
            return CaseRun(time.monotonic() - began, plan, error=error, expanded=prepared.expanded, store=store)
        outputs = {name: step.outputs for name, step in record.steps.items()}
        return CaseRun(time.monotonic() - began, plan, record, None, prepared.expanded, outputs, store)

    def _execute(
        self,
        workspace: Workspace,
        planner: Planner,
        source: Source,
        options: RunOptions,
        prepared: PreparedCase,
        *,
        alone: bool,
    ) -> RunRecord:
        executor: Executor = executor_of(workspace, WORKERS, os.environ) if alone else self._shared()
        tools = {node.step.uses.partition(".")[0] for node in planner.expanded.nodes.values()}
        environ = isolation.environment_of(workspace, tools, os.environ)
        faulty = FaultyExecutor(executor, prepared.case.fault, closes=alone)
        try:
            with Session(workspace, None, environ=environ, executor=faulty, clock=faulty.clock) as session:
                return session.run(planner, source, options)
        finally:
            if alone:
                executor.close()

    def _shared(self) -> Executor:
        """Returns the workers that the cases share."""
        if self._executor is None:
            self._executor = executor_of(self._workspace, WORKERS, os.environ)
            self._stack.callback(self._executor.close)
        return self._executor

    def _has_effects(self, prepared: PreparedCase) -> bool:
        """Returns whether steps of the case write to tools or start services, or a tool of it fails."""
        assert prepared.expanded is not None
        registry = self._workspace.settings.registry
        used = [prepared.expanded.nodes[name].step.uses for name in prepared.run]
        return prepared.case.fault is not None or any(is_effect(registry, uses) for uses in used)


def is_effect(registry: Registry, uses: str) -> bool:
    """Returns whether an action writes to a tool, or starts a service."""
    action = registry.action(uses)
    return action is None or action.effect is not Effect.PURE or action.begins_run


def _given(prepared: PreparedCase, store: ArtifactStore, known: Known | None) -> dict[str, OutputValues]:
    """Returns the outputs of steps that do not run, with their artifacts in the store."""
    if known is not None and known.store.root != store.root:
        objects = known.store.root / "objects"
        shutil.copytree(objects, store.root / "objects", copy_function=os.link, dirs_exist_ok=True)
    given = {name: fixture.stored(store) for name, fixture in prepared.fixtures.items()}
    return {**given, **(known.outputs if known is not None else {})}


def _as_executed(record: RunRecord, known: Known | None) -> RunRecord:
    """Returns the record as if the steps with known results had run."""
    if known is None:
        return record
    steps = {
        name: replace(step, status=Status.SUCCEEDED) if name in known.outputs else step
        for name, step in record.steps.items()
    }
    return replace(record, steps=steps)


def _planner(
    prepared: PreparedCase, workspace: Workspace, options: RunOptions, given: Mapping[str, OutputValues]
) -> Planner:
    assert prepared.expanded is not None
    planner = route.plan(prepared.expanded, NoHistory(), workspace, options)
    return replace(planner, selected={*prepared.run, *given}, given=given, finals=prepared.case.run is None)
