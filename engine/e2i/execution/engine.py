"""Execute a plan: ready steps go to the executor, and results are committed before they are published.

In: a planner, an executor, a run store. Out: a ``RunRecord``, and events on the way. One thread, one loop. Nothing here
knows what a step does.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections import deque
from collections.abc import Callable
from functools import cache, partial

from e2i.catalog.context import RunInfo
from e2i.catalog.variables import SHARED_CREDENTIALS
from e2i.execution import secrets
from e2i.execution.circuits import CircuitWatch
from e2i.execution.decider import Decider, Execute, Invalid, Reused, Skip
from e2i.execution.events import (
    Listener,
    LogCut,
    RunFinished,
    RunStopping,
    StepProgress,
    StepQueued,
    StepRetried,
    StepWaiting,
)
from e2i.execution.memory import MemoryShare
from e2i.execution.ready_queue import Prefetch, ReadyQueue
from e2i.execution.record import RunRecord, RunStatus
from e2i.execution.recorder import RunRecorder, StepExecution
from e2i.execution.request import RunRequest
from e2i.execution.state import GOOD, RunState, Status
from e2i.execution.telemetry import FinishDelivery
from e2i.execution.timing import steady
from e2i.planning import fingerprint
from e2i.planning.build import Decision
from e2i.planning.model import PlanStep
from e2i.resilience import removal, retry
from e2i.spec import durations, sizes
from e2i.store.runs import RunStore
from e2i.workers import inline
from e2i.workers.environment import asked, credentials, for_tool
from e2i.workers.executor import Ended, Executor, Failure, Measured, Message, Progressed, StepCall
from e2i.workers.masking import Masker

JITTER = 0.1
"""Random share of each wait between attempts, so that many runs do not retry at the same time."""
SLICE = 0.02
"""Seconds for decisions and inline steps before their results are committed."""
LONG_SLICE = 0.2
"""The same while no step is running: only the end is waited for."""
PARTING = 4.5
"""Seconds for the last delivery after the stop that ends a run at once."""
LOOK_AGAIN = 0.1
"""Seconds between checks of work that another run is executing."""


def _until_next_attempt(failure: Failure) -> float:
    """Returns the seconds for which an open circuit would reject another attempt."""
    found = failure.details.get("retry_in", 0.0) if isinstance(failure.details, dict) else 0.0
    return float(found) if failure.code == "circuit-open" else 0.0


def _chance() -> float:
    import random  # few runs need it, and its import takes time

    return random.random()


class Engine:
    """Executes one run. ``execute`` blocks until it is over; ``stop`` may be called from a signal handler."""

    def __init__(
        self,
        request: RunRequest,
        executor: Executor,
        run_store: RunStore,
        start_delivery: Callable[[], FinishDelivery],
        listen: Listener,
        *,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = _chance,
    ) -> None:
        self._request = request
        self._executor = executor
        self._run_store = run_store
        self._now_ms = now_ms = steady(now_ms, clock)
        self._clock = clock
        self._chance = chance
        self._steps: dict[str, PlanStep] = {step.id: step for step in request.plan.steps}
        self._state = RunState(
            {step.id: step.needs for step in request.plan.steps}, {step.id for step in request.plan.steps if step.final}
        )
        self._decider = Decider(request, self._state)
        self._recorder = RunRecorder(request, run_store, start_delivery, listen, now_ms)
        self._ready: deque[str] = deque()
        """Steps without open dependencies, in order, that are not decided yet."""
        self._registry = request.settings.registry
        self._executions: dict[str, StepExecution] = {}
        """Steps to execute, until they are over."""
        self._queue = ReadyQueue(request.plan.steps, self._is_inline)
        """The queued ones among them."""
        self._prefetch = Prefetch(request.plan.steps, self._is_inline)
        self._others_write = False
        """Whether other processes were found writing to the run store during this run."""
        self._elsewhere: set[str] = set()
        """Steps whose work another run was found executing."""
        total = request.settings.resources.total_memory
        self._total_memory = None if total is None else sizes.parse(total)
        self._memory_share = MemoryShare(request.store, self._total_memory, request.run)
        self._short: set[str] = set()
        """Steps that were found waiting for the memory of other steps."""
        tools = {step.uses.partition(".")[0] for step in request.plan.steps} | {*request.settings.sinks}
        self._circuits = CircuitWatch(request.store, request.settings, tools, clock)
        shared = (request.environ.get(name) or "" for name in SHARED_CREDENTIALS)
        self._masker = Masker(
            {
                *secrets.values(request.settings.secrets, request.environ),
                *credentials(request.environ, tools, self._registry),
                *request.settings.credentials(asked(tools, self._registry)),
                *shared,
            }
        )
        """Masks secrets and credentials in outputs, messages and measurements."""
        self._stopping = 0
        self._stops_heeded = 1
        """Number of stops after which the last delivery is not waited for."""
        self._parted_at = math.inf
        """Time after which the last delivery is not waited for."""
        self._reported_stopping = False

    def stop(self) -> None:
        """Stops the run. After the first call running steps may finish; the second call ends them at once."""
        self._stopping += 1
        if self._stopping == 2:
            self._parted_at = self._clock() + PARTING

    def is_hurried(self) -> bool:
        """Returns whether to stop waiting for the trackers at the end: after another stop, or, for a run that was ended
        at once, after ``PARTING`` seconds for the trackers to receive its end.
        """
        return self._stopping > self._stops_heeded or self._clock() > self._parted_at

    def execute(self) -> RunRecord:
        """Executes the plan and returns the record of the run."""
        self._executor.preload(self._prefetch.certain(), certain=True)  # a worker starts in the meantime
        with self._recorder.together():
            self._recorder.begin()
        try:
            return self._execute()
        except BaseException as error:
            self._recorder.abandon(error)
            raise
        finally:
            self._memory_share.give_all_back()

    def _execute(self) -> RunRecord:
        messages: list[Message] = []
        while True:
            with self._recorder.together():
                self._execute_inline()
                self._take(messages)
                self._report_circuits()
                self._recorder.measure_machine()
                self._decide_ready()
                calls = self._start_waiting()
            for call in calls:
                self._executor.submit(call)
            self._recorder.give_way()
            if self._state.is_over:
                return self._finish()
            if self._executor.free() > 0 and not self._stopping:
                self._executor.preload(self._prefetch.uses(self._state, len(self._recorder.records)))
            messages = self._executor.poll(self._poll_timeout())

    # Decisions about ready steps

    def _decide_ready(self) -> None:
        """Decides about steps for a slice of time, so that one commit serves many of them."""
        began = self._clock()
        while True:
            if self._stopping:
                self._stop_open()
            self._ready.extend(self._state.take_ready())
            if not self._ready or self._clock() - began > (SLICE if self._executions else LONG_SLICE):
                return
            step = self._ready.popleft()
            if self._state.status[step] is Status.PENDING:  # it may have been cancelled since
                self._decide(step)

    def _decide(self, step: str) -> None:
        """Skips a step, reuses its result, or queues it."""
        if self._steps[step].final:
            self._decider.learn_status(self._status())
        match self._decider.decide(step):
            case Skip(note):
                self._close(step, Status.SKIPPED, None, note=note)
            case Invalid(failure, decision):
                self._close(step, Status.FAILED, decision, failure)
            case Reused(decision):
                self._close(step, Status.REUSED, decision)
            case Execute(decision, known):
                self._executions[step] = StepExecution(decision, known)
                self._queue.add(step)

    # Execution

    def _start_waiting(self) -> list[StepCall]:
        """Starts as many attempts as there are free workers. Returns the calls to submit after the commit."""
        calls: list[StepCall] = []
        self._queue.take_in(self._clock())
        if not self._queue.waiting or self._stopping > 1:
            return calls
        free = self._executor.free()
        free_memory, alone = self._executor.free_memory(), self._executor.is_idle()
        too_large: list[str] = []
        affinity = cache(self._executor.affinity)  # the same until the calls are submitted
        while self._queue.waiting and len(calls) < free:
            step = self._queue.take(lambda step: affinity(self._steps[step].uses))
            memory = self._memory(step)
            if memory is not None and memory > free_memory and not (alone and not calls):
                too_large.append(step)  # until others have ended
            elif self._is_ours(step) and self._has_memory(step, memory):
                calls.append(self._start(step))
                free_memory -= memory or 0
        for step in too_large:
            self._queue.add(step)
        return calls

    def _memory(self, step: str) -> int | None:
        """Returns the bytes that the step may use, if the spec or the settings limit them."""
        size = self._decider.nodes[step].options.resources.memory or self._request.settings.resources.memory
        return None if size is None else sizes.parse(size)

    def _has_memory(self, step: str, memory: int | None) -> bool:
        """Returns whether the steps of all runs of the store leave enough memory; it is then held for this step."""
        waiting = self._memory_share.take(step, memory)
        if waiting is None:
            return True
        if step not in self._short:
            self._short.add(step)
            used = sum(place.amount for place in waiting.held)
            runs = tuple(dict.fromkeys(place.run for place in (*waiting.held, *waiting.ahead) if place.run))
            queued = partial(StepQueued, step=step, memory=memory or 0, used=used, total=self._total_memory or 0)
            self._recorder.emit(partial(queued, runs=runs))
        self._queue.put_off(step, self._clock() + LOOK_AGAIN)
        return False

    def _is_inline(self, step: str) -> bool:
        return self._decider.planner.action(self._decider.nodes[step]).inline

    def _execute_inline(self) -> None:
        """Executes, for a slice of time, steps that need no worker and were queued in an earlier turn, so that their
        inputs are committed.
        """
        self._others_write = self._others_write or self._run_store.others_wrote()
        slice_over = self._clock() + SLICE
        while self._queue.here and self._clock() < slice_over and self._stopping < 2:
            step = self._queue.here.popleft()
            if not (self._others_write and self._is_done_elsewhere(step)):
                self._end(inline.execute(self._start(step, ends_at_once=True), self._registry))

    def _is_ours(self, step: str) -> bool:
        """Returns whether this run executes the step. False when another run has finished the same work, whose result
        is used, or is executing it.
        """
        execution = self._executions[step]
        decision = execution.decision
        if execution.attempt > 1 or not self._decider.may_share(decision):
            return True
        if self._is_done_elsewhere(step):
            return False
        claim = self._run_store.claim(decision.fingerprint or "", self._request.run, step, self._now_ms())
        if claim is None:
            return True
        if step not in self._elsewhere:
            self._elsewhere.add(step)
            since = claim.at_ms / 1000
            self._recorder.emit(partial(StepWaiting, step=step, by=claim.run, holder=claim.holder, since=since))
        self._queue.put_off(step, self._clock() + LOOK_AGAIN)
        return False

    def _is_done_elsewhere(self, step: str) -> bool:
        """Returns whether another run has finished the same work since the decision. Then its result is used."""
        decision = self._executions[step].decision
        done = self._decider.done_elsewhere(decision) if self._decider.may_share(decision) else None
        if done is None:
            return False
        del self._executions[step]
        self._decider.gave(step, done)
        self._close(step, Status.REUSED, decision)
        return True

    def _start(self, step: str, *, ends_at_once: bool = False) -> StepCall:
        """Starts an attempt and returns its call."""
        execution = self._executions[step]
        node = self._decider.nodes[step]
        if execution.attempt == 1:
            self._state.start(step)
            if node.options.retry.total is not None:
                execution.give_up_at = self._clock() + durations.parse(node.options.retry.total)
        self._recorder.start(node, execution, ends_at_once=ends_at_once)
        settings = self._request.settings
        timeout = durations.parse(node.options.timeout or settings.timeout)
        resources = node.options.resources
        params, revealed = self._decider.revealed(execution.decision)
        tool = node.step.uses.partition(".")[0]
        known = {
            *revealed,
            *credentials(self._request.environ, (tool,), self._registry),
            *settings.credentials(asked((tool,), self._registry)),
        }
        return StepCall(
            uses=node.step.uses,
            params=params,
            info=RunInfo(
                run=self._request.run,
                pipeline=self._request.plan.name,
                step=step,
                attempt=execution.attempt,
                agent=node.agent,
                started_ms=self._recorder.started_ms,
            ),
            seed=self._decider.planner.seed,
            threads=resources.threads or resources.cpus or self._threads(),
            memory=self._memory(step),
            cpus=resources.cpus,
            gpus=resources.gpus or 0,
            labels=resources.labels,
            query_limits=self._request.authority.query_limits(),
            withheld=self._request.authority.rules.withheld(approved=self._request.approval is not None),
            log=sizes.parse(resources.log or settings.resources.log),
            processes=resources.processes or settings.resources.processes,
            fingerprint=execution.decision.fingerprint or "",
            files=fingerprint.files(execution.decision.components),
            timeout=min(timeout, max(0.001, execution.give_up_at - self._clock())),
            known=execution.known,
            done=step in self._request.done,
            secrets=tuple(sorted(known)),
            scanned=secrets.held_back(known),
            gone_after=bool(revealed),
            environ=for_tool(self._request.environ, tool, self._registry),
        )

    def _threads(self) -> int:
        """Returns the cores for one step: all cores divided by the steps that run in parallel now."""
        parallel = self._state.count(Status.RUNNING) + len(self._queue.waiting)
        return max(1, self._request.cores // max(1, min(parallel, self._request.cores)))

    def _poll_timeout(self) -> float:
        """Returns the seconds until something must be checked, with or without messages from workers."""
        return 0.0 if self._ready else max(0.0, min(0.5, self._queue.seconds(self._clock())))

    def _take(self, messages: list[Message]) -> None:
        for message in messages:
            match message:
                case Measured(step, body):
                    self._recorder.measure(step, self._executions[step], self._masker.data(body))
                case Progressed(step, done, total, note):
                    note = self._masker.text(note)
                    self._recorder.emit(partial(StepProgress, step=step, done=done, total=total, note=note))
                case Ended():
                    self._end(message)

    def _report_circuits(self, *, now: bool = False) -> None:
        for change in self._circuits.changes(now=now):
            self._recorder.emit(change)

    def _end(self, ended: Ended) -> None:
        """Ends an attempt: closes the step, or schedules another attempt."""
        step, execution = ended.step, self._executions[ended.step]
        self._memory_share.give_back(step)
        failure = self._masker.data(ended.failure)
        node = self._decider.nodes[step]
        self._recorder.end_attempt(execution, ended, failure)
        if ended.cut:
            most = node.options.resources.log or self._request.settings.resources.log
            self._recorder.emit(partial(LogCut, step=step, limit=sizes.parse(most)))
        if failure is None:
            self._decider.gave(step, self._masker.data(ended.outputs))
            if ended.reused:
                return self._close(step, Status.REUSED, execution.decision)
            lost = execution.lost or self._masker.text(ended.lost)
            return self._close(step, Status.SUCCEEDED, execution.decision, note=lost and f"effect-lost: {lost}")
        options = node.options.retry
        idempotent = self._decider.planner.action(node).idempotent
        again = failure.unavailable or (failure.lost and idempotent and not self._starved_before(execution))
        wait = retry.pause(
            execution.attempt,
            initial=durations.parse(options.initial),
            maximum=durations.parse(options.max),
            backoff=options.backoff,
        ) * (1 - JITTER * self._chance())
        wait = max(wait, _until_next_attempt(failure))
        in_time = self._clock() + wait < execution.give_up_at
        if again and in_time and execution.attempt < options.attempts and self._may_start(step):
            execution.attempt += 1
            execution.measured.clear()
            self._queue.put_off(step, self._clock() + wait)
            retried = partial(StepRetried, step=step, attempt=execution.attempt)
            self._recorder.emit(partial(retried, wait=round(wait, 3), error=failure.document))
            return None
        status = Status.FAILED
        if failure.code == "cancelled":
            status = Status.CANCELLED
        elif failure.unavailable and node.options.on_unavailable != "fail":
            status = Status.SKIPPED if node.options.on_unavailable == "skip" else Status.DEFERRED
        return self._close(step, status, execution.decision, failure)

    def _starved_before(self, execution: StepExecution) -> bool:
        """Returns whether two attempts ran out of memory. A single one may be caused by other steps on the machine."""
        codes = [attempt.error.code for attempt in execution.attempts if attempt.error is not None]
        return codes.count("out-of-memory") > 1

    # End of steps and of the run

    def _close(
        self, step: str, status: Status, decision: Decision | None, failure: Failure | None = None, note: str = ""
    ) -> None:
        """Closes a step: records its end, then makes it known to downstream steps."""
        self._memory_share.give_back(step)
        execution = self._executions.pop(step, None)
        outputs = self._decider.outputs.get(step) if status in GOOD else None
        if status not in GOOD:
            self._decider.gave(step, None)
        self._recorder.close(
            self._steps[step], self._decider.nodes[step], status, decision, execution, outputs, failure, note
        )
        self._state.finish(step, status)

    def _may_start(self, step: str) -> bool:
        """Returns whether an attempt may start now: after an interruption, only for steps under ``finally``."""
        return self._stopping < (2 if self._steps[step].final else 1)

    def _stop_open(self) -> None:
        """Cancels steps that have not started; after a second stop, also ends the running ones."""
        if not self._reported_stopping and not self._state.is_over:
            self._reported_stopping = True
            self._recorder.emit(partial(RunStopping, running=tuple(self._state.open(Status.RUNNING))))
        queued = [*self._queue.steps(), *self._state.open(Status.PENDING)]
        for step in [step for step in dict.fromkeys(queued) if not self._may_start(step)]:
            self._close(step, Status.CANCELLED, None)
        self._queue.keep(self._may_start)
        if self._stopping > 1:
            for step in self._state.open(Status.RUNNING):
                self._executor.cancel(step)

    def _finish(self) -> RunRecord:
        status = self._status()
        outputs = self._decider.run_outputs()
        self._remove_scratch()  # before the end is recorded: then another process may resume an interrupted run
        with self._recorder.together():
            self._recorder.end(status, outputs)
        self._executor.dismiss()  # workers and services end while the last entries are delivered
        self._stops_heeded = max(1, self._stopping)
        tallies = self._recorder.deliver(self.is_hurried)
        self._executor.close()
        record = RunRecord(
            run=self._request.run,
            pipeline=self._request.plan.name,
            status=status,
            started_ms=self._recorder.started_ms,
            ended_ms=self._now_ms(),
            steps={step: self._recorder.records[step] for step in self._steps},
            outputs=outputs,
            store=self._request.store,
            telemetry=tallies,
            thinned=self._recorder.thinned,
        )
        finished = partial(RunFinished, status=status, steps=record.ends, outputs=outputs, degraded=record.degraded)
        with self._recorder.together():
            self._report_circuits(now=True)
            self._recorder.emit(finished)
        return record

    def _remove_scratch(self) -> None:
        """Removes the scratch folder of the run, if there is one."""
        scratch = self._request.store / "tmp" / self._request.run
        if scratch.exists():
            with contextlib.suppress(OSError):
                removal.remove_below(self._request.store, scratch)

    def _status(self) -> RunStatus:
        statuses = [(step, record.status) for step, record in self._recorder.records.items()]
        nodes = self._decider.nodes
        if any(status is Status.FAILED and nodes[step].options.on_error == "fail" for step, status in statuses):
            return "failed"
        return "interrupted" if any(status is Status.CANCELLED for _, status in statuses) else "succeeded"
