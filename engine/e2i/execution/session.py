"""Open what a run needs: run store, shared results, worker processes, delivery of telemetry.

In: a workspace. Out: the history to plan with, then the ``RunRecord`` of the run. Everything is closed at the end.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Self

from msgspec.structs import replace

from e2i.catalog.registry import SINKS
from e2i.execution import provenance
from e2i.execution.engine import Engine
from e2i.execution.events import Listener, SpecWarning, StateCorrupt
from e2i.execution.record import RunRecord
from e2i.execution.relay import EventRelay
from e2i.execution.request import RunRequest
from e2i.execution.telemetry import FinishDelivery
from e2i.machines import Dask
from e2i.planning import binding
from e2i.planning.model import Verdict
from e2i.store import ownership
from e2i.store.artifacts import ArtifactStore
from e2i.store.past import RecordedOptions
from e2i.store.queue import Reservation
from e2i.store.runs import RunStore
from e2i.store.unfinished import Unfinished
from e2i.store.use import in_use
from e2i.workers.environment import for_delivery, for_worker
from e2i.workers.executor import Executor, OnDemand
from e2i.workspace.options import RunOptions
from e2i.workspace.repository import Question
from e2i.workspace.source import Source
from e2i.workspace.workspace import Workspace

if TYPE_CHECKING:
    from e2i.approvals.record import Approval
    from e2i.planning.build import History, Planner
    from e2i.planning.model import Plan
    from e2i.spec.expansion.expanded import Expanded
    from e2i.spec.problems import Problem
    from e2i.store.shared import SharedStore


class Session:
    """A store that is open for one run."""

    def __init__(
        self,
        workspace: Workspace,
        shared: SharedStore | None,
        listen: Listener | None = None,
        *,
        environ: Mapping[str, str] | None = None,
        executor: Executor | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``environ``: default, that of this process. ``executor``: default, one of the run's own. ``clock``: counts
        the seconds of waits. Raises StoreError, and Refused for a store that does not belong to this user alone.
        """
        self._workspace = workspace
        self._environ = os.environ if environ is None else environ
        self._given_executor = executor
        self._clock = clock
        self._settings = workspace.settings
        self._cores = len(os.sched_getaffinity(0))
        self._relay = EventRelay(listen or (lambda event: None), lambda: time.time_ns() // 1_000_000)
        self._emit: Listener = self._relay.emit
        with ExitStack() as stack:
            store = workspace.store
            self._run_store = RunStore(store, ArtifactStore(store, self._relay.corruption).has)
            stack.callback(self._run_store.close)
            ownership.open_to_group(store)  # what a killed process left closed
            stack.callback(ownership.open_to_group, store)
            if self._run_store.quarantined is not None:
                self._relay.notice(partial(StateCorrupt, kept=str(self._run_store.quarantined)))
            stack.enter_context(in_use(store))
            self._opened_ms = time.time_ns() // 1_000_000
            self.history: History = self._run_store
            """Results of past runs, to plan with."""
            if shared is not None:
                from e2i.execution.sharing import Sharing

                sharing = Sharing(shared, store, self._run_store, self._relay, self._settings.flush)
                self.history, self._emit = sharing.history, sharing.emit
            self._stack = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def warn(self, problems: Iterable[Problem]) -> None:
        """Reports warnings about the spec, right after the start of the run."""
        for problem in problems:
            self._relay.notice(partial(SpecWarning, problem=problem.document))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def run(
        self,
        planner: Planner,
        source: Source,
        options: RunOptions,
        repository: Question | None = None,
        on_engine: Callable[[Engine], None] | None = None,
        reservation: Reservation | None = None,
    ) -> RunRecord:
        """Runs the plan of ``planner``, or resumes its latest unfinished run. Raises Refused when that is not the plan
        that the run is bound to. ``reservation``: the place of this run in the queue of the store.
        """
        planned = planner.plan()
        if options.bound_to is not None:
            binding.check(planned, options.bound_to)
        self._require(planned)
        self._hold_to_budget(planned, planner)
        approval = self._approval(planned, planner.expanded, options)
        executor = self._given_executor or self._executor()
        included = _included_texts(planner.expanded)
        recorded = self._recorded(options, bound=options.bound_to is not None or approval is not None)
        unfinished: Unfinished | None = None
        if options.run_id is None and not options.fresh:
            unfinished = self._run_store.resume(
                planned.name, planned.digest, recorded, file=source.file, spec=source.text, included=included
            )
        run = options.run_id or (unfinished.run if unfinished else new_run_id())
        if reservation is not None:
            reservation.name(run)
        facts = {"id": run, "name": planned.name, "profile": self._settings.profile}
        git = repository.answer(source.file) if repository else None
        request = RunRequest(
            run=run,
            file=source.file,
            text=source.text,
            planner=replace(planner, expanded=replace(planner.expanded, run=facts)),
            plan=planned,
            settings=self._settings,
            store=self._workspace.store,
            environ=self._environ,
            cores=self._cores,
            authority=self._workspace.authority,
            roots=self._workspace.roots,
            planned_ms=self._opened_ms,
            done=self._run_store.done(run),
            included=included,
            options=recorded,
            resumed_because=unfinished.why if unfinished else "",
            approval=approval,
            provenance=provenance.of(planned, planner.seed, source.text, git),
        )
        engine = Engine(request, executor, self._run_store, self._start_delivery, self._emit, clock=self._clock)
        if on_engine is not None:
            on_engine(engine)
        return engine.execute()

    def _approval(self, planned: Plan, expanded: Expanded, options: RunOptions) -> Approval | None:
        """Returns the approval that allows the run, where the policy demands one. Raises Refused when none does, or
        for code that nobody can approve.
        """
        if not self._workspace.authority.rules.approval.is_demanded:
            return None
        from e2i.approvals import required

        run = options.run_id
        if run is None and not options.fresh:
            recorded = self._recorded(options, bound=True)
            unfinished = self._run_store.resumable(planned.name, planned.digest, recorded)
            run = unfinished.run if unfinished else None
        now_ms = time.time_ns() // 1_000_000
        approval = required.find(planned, expanded, self._workspace, self._run_store, run, now_ms)
        if approval is not None:
            binding.check_code(planned)
        return approval

    def _recorded(self, options: RunOptions, *, bound: bool) -> RecordedOptions:
        """Returns the options of the run as its record keeps them."""
        return RecordedOptions(
            select=tuple(options.select), fresh=options.fresh, origin=self._workspace.origin.value, bound=bound
        )

    def _hold_to_budget(self, planned: Plan, planner: Planner) -> None:
        """Warns about budgets of the spec that the estimate is over. Raises RefusedSpec for those of the policy."""
        authority = self._workspace.authority
        if authority.limits_runs or planner.expanded.loaded.spec.has_budget:
            from e2i.execution import budget

            before = replace(planned, warnings=())
            self.warn(budget.held(before, planner, self._run_store, self._settings, authority).warnings)

    def _require(self, planned: Plan) -> None:
        """Raises ToolUnavailable when a required tool of the plan, or a required tracker, cannot be used."""
        used = {step.uses.partition(".")[0] for step in planned.steps if step.verdict is not Verdict.SKIP}
        tools = {*used, *self._settings.sinks}
        required = [name for name in tools if self._settings.tools.get(name, {}).get("required")]
        if required:  # rare, and importing the means to ask takes time
            from e2i.execution import reaching

            reaching.require(required, self._settings)

    def _executor(self) -> Executor:
        executor = executor_of(self._workspace, self._settings.workers or self._cores, self._environ)
        self._stack.callback(executor.close)
        return executor

    def _start_delivery(self) -> FinishDelivery:
        """Starts the process that delivers telemetry. Returns a function that waits for its end."""
        from e2i.execution.delivery import DeliveryProcess

        store = self._workspace.store
        environ = for_delivery(self._environ, threads=self._cores, store=store, sinks=SINKS)
        process = DeliveryProcess(store, self._settings, environ)
        self._stack.callback(process.kill)
        return process.finish


def executor_of(workspace: Workspace, size: int, environ: Mapping[str, str]) -> Executor:
    """Returns an executor of up to ``size`` worker processes, started when the first step needs them, and of the
    cluster of the settings, connected then.
    """
    store, settings = workspace.store, workspace.settings
    cores = len(os.sched_getaffinity(0))

    def start_pool() -> Executor:
        from e2i.workers.pool import Pool

        return Pool(
            size,
            store=store,
            roots=workspace.roots,
            settings=settings.model_dump_json(),
            environ=for_worker(environ, threads=cores, store=store),
            registry=settings.registry,
        )

    local, cluster = OnDemand(size, start_pool), settings.executor
    if not isinstance(cluster, Dask):
        return local

    def connect() -> Executor:
        from e2i.cluster.opening import open_cluster

        return open_cluster(workspace, cluster, local)

    return OnDemand(size, connect)


def new_run_id() -> str:
    """Returns a unique name that sorts by time."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{os.urandom(3).hex()}"


def _included_texts(expanded: Expanded) -> Mapping[str, str]:
    """Returns the texts of the included specs, as they were read."""
    _, *included = expanded.loaded.files()
    return {included_spec.document.file: included_spec.document.text or "" for included_spec in included}
