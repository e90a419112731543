"""Record the steps of a run: results are committed before they are published.

In: starts, measurements, ends. Out: rows of the run store, entries of the outbox, events, ``StepRecord``s.
"""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field
from msgspec.structs import asdict, replace

from e2i import compact
from e2i.catalog.registry import tool_name
from e2i.documents import OutputValues, ParamValues, plain
from e2i.execution import abandoned
from e2i.execution.events import (
    Event,
    Listener,
    RunStarted,
    Stamped,
    StepFinished,
    StepStarted,
    StepWarned,
    TelemetryWaiting,
    ToolDegraded,
)
from e2i.execution.record import RunStatus, StepRecord
from e2i.execution.request import RunRequest
from e2i.execution.state import Status
from e2i.execution.telemetry import FinishDelivery, Telemetry, bounded
from e2i.planning import work
from e2i.planning.build import Decision
from e2i.planning.model import PlanStep, Why
from e2i.resilience.processes import process_identity
from e2i.spec import sizes
from e2i.spec.expansion.nodes import StepNode
from e2i.store.database import StoreError
from e2i.store.past import RecordedAttempt
from e2i.store.rows import Result, RunRow, StepEnd
from e2i.store.runs import RunStore
from e2i.store.usage import Usage
from e2i.telemetry.bodies import (
    AbandonedRun,
    Attempt,
    FinishedRun,
    FinishedStep,
    LLMCall,
    Measurement,
    Metric,
    StartedRun,
    Warned,
    measurement,
    recorded,
)
from e2i.telemetry.entries import Entry, target_of
from e2i.telemetry.outbox import Tally

if TYPE_CHECKING:
    from e2i.execution.machine import MachineWatch
from e2i.workers.executor import Ended, Failure


class StepExecution(Struct):
    """A step that is running, or waits for its next attempt."""

    decision: Decision
    known: OutputValues | None = None
    """The outputs of a finished result, until its effect is found missing."""
    attempt: int = 1
    started_ms: int = 0
    give_up_at: float = math.inf
    """End of the time for all attempts together, by the engine's clock."""
    measured: list[Measurement] = field(default_factory=list)
    """Telemetry that the latest attempt has recorded so far."""
    attempts: list[Attempt] = field(default_factory=list)
    """The finished attempts."""
    memory: int | None = None
    """Peak memory of the last attempt in bytes, if it was measured."""

    @property
    def lost(self) -> str:
        """Returns what was missing of an effect when the step was planned to run again."""
        reason = self.decision.reason
        return reason.detail if reason.code is Why.EFFECT_LOST else ""


SYSTEM = "system"
"""What metrics of the machine have in place of a step, as in MLflow."""


class RunRecorder:
    """The records of one run. All writes happen inside ``together``."""

    def __init__(
        self,
        request: RunRequest,
        run_store: RunStore,
        start_delivery: Callable[[], FinishDelivery],
        listen: Listener,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._request = request
        self._run_store = run_store
        self._listen = listen
        self._now_ms = now_ms
        self._unpublished: list[Event] = []
        self.started_ms = now_ms()
        self._ended = False
        self.records: dict[str, StepRecord] = {}
        """The finished steps."""
        self._telemetry = Telemetry(
            request.run,
            self.started_ms,
            request.settings.sinks,
            run_store,
            start_delivery,
            limit=request.settings.measurements,
            size_limit=sizes.parse(request.settings.outbox_limit),
            target=lambda sink: target_of(request.settings.tool(sink)),
        )
        self._machine: MachineWatch | None = None

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Commits everything that is recorded inside at once, then publishes its events."""
        with self._run_store.together():
            yield
        unpublished, self._unpublished = self._unpublished, []
        for event in unpublished:
            self._listen(event)

    def emit(self, stamped: Stamped) -> None:
        """Queues an event that is published after the commit."""
        self._unpublished.append(stamped(self._request.run, self._now_ms() / 1000))

    def begin(self) -> None:
        """Records the start of the run."""
        request = self._request
        if request.approval is not None:
            from e2i.approvals import required

            required.use(request.approval, request.run, self._run_store, self.started_ms)
        resumed = self._run_store.start_run(
            RunRow(
                run=request.run,
                pipeline=request.plan.name,
                status="running",
                started_ms=self.started_ms,
                holder=process_identity(),
                file=request.file,
                spec=request.text,
                profile=request.settings.profile,
                params=_dump(request.plan.params),
                plan=compact.dumps(request.plan.to_json() if request.options.bound else request.plan.outline()),
                included=_dump(request.included),
                options=compact.dumps(request.options),
                provenance=_dump(plain(request.provenance)),
            )
        )
        self.emit(
            partial(
                RunStarted,
                steps=len(request.plan.steps),
                name=request.plan.name,
                trackers=request.settings.sinks,
                resumed=resumed,
                note=request.resumed_because,
            )
        )
        abandoned.close(self._run_store)
        if self._telemetry.end_waits():
            self._telemetry.wake()
        for tracker in self._telemetry.known_to() if resumed else ():
            self._involve(tracker)
        self._machine = self._watch()

    def start(self, node: StepNode, execution: StepExecution, *, ends_at_once: bool = False) -> None:
        """Records the start of an attempt. One that ends before the next commit has no row for its start."""
        now = self._now_ms()
        if execution.attempt == 1:
            execution.started_ms = now
        self._begin_telemetry()
        if (found := self._request.settings.registry.action(node.step.uses)) is not None and found.begins_run:
            self._involve(tool_name(node.step.uses))
        self._telemetry.begin_attempt(node.id)
        if not ends_at_once:
            self._run_store.start_step(self._request.run, node.id, execution.attempt, now)
        self.emit(partial(StepStarted, step=node.id, attempt=execution.attempt, uses=node.step.uses))

    def measure(self, step: str, execution: StepExecution, body: Measurement) -> None:
        """Records a measurement of a step."""
        if not self._telemetry.admit():
            if self._telemetry.refused == 1:
                self._report_flood()
            return
        if isinstance(body, Metric):
            if self._telemetry.thin(step, body.name):
                if self.thinned == 1:
                    self._report_full(f"the outbox has reached its limit of {self._limit}: metrics are thinned")
                return
            body = replace(body, at_ms=self._now_ms())
        body = replace(body, step=step)
        execution.measured.append(body)
        self._run_store.record(self._telemetry.entries(body))

    def measure_machine(self) -> None:
        """Records the state of the machine when it is due, if the settings of MLflow ask for it."""
        if self._machine is None or not self._machine.due() or not self._telemetry.began:
            return
        index = max(0, self._now_ms() - self.started_ms) // 1000
        for name, value in self._machine.measure().items():
            if not self._telemetry.thin(SYSTEM, name):
                body = Metric(step=SYSTEM, name=name, value=value, index=index, at_ms=self._now_ms())
                self._run_store.record(self._telemetry.entries(body, ("mlflow",)))

    def _watch(self) -> MachineWatch | None:
        settings = self._request.settings
        if "mlflow" not in settings.sinks or settings.tools.get("mlflow", {}).get("system_metrics") is not True:
            return None
        from e2i.execution.machine import MachineWatch  # most runs do not need psutil

        try:
            return MachineWatch(time.monotonic)
        except ModuleNotFoundError:
            problem = 'system_metrics needs the package psutil: pip install "e2i[mlflow]"'
            self.emit(partial(ToolDegraded, tool="mlflow", problem=problem))
            return None

    def end_attempt(self, execution: StepExecution, ended: Ended, failure: Failure | None) -> None:
        """Records the end of an attempt, successful or not, for the record of its step."""
        now = self._now_ms()
        began, error = now - round(ended.seconds * 1000), failure.document if failure else None
        execution.memory = ended.memory
        execution.attempts.append(Attempt(started_ms=began, ended_ms=now, seconds=ended.seconds, error=error))

    def close(
        self,
        planned: PlanStep,
        node: StepNode,
        status: Status,
        decision: Decision | None,
        execution: StepExecution | None,
        outputs: OutputValues | None,
        failure: Failure | None,
        note: str,
    ) -> None:
        """Records the end of a step."""
        now = self._now_ms()
        attempts = execution.attempts if execution else []
        count = execution.attempt if execution else 0
        error = failure.document if failure else None
        fingerprint = decision.fingerprint if decision else None
        result = None
        measured: list[Measurement] = []
        if status is Status.REUSED and fingerprint and self._telemetry.is_wanted:
            measured = [measurement(stored) for stored in self._run_store.telemetry(fingerprint)]
        if status is Status.SUCCEEDED and execution and decision and fingerprint:
            result = Result(
                fingerprint=fingerprint,
                static_key=self._request.planner.static_key(node.id),
                uses=node.step.uses,
                components=decision.components,
                outputs=outputs or OutputValues(),
                telemetry=tuple(recorded(body) for body in execution.measured if not isinstance(body, LLMCall)),
                run=self._request.run,
                created_ms=now,
            )

        def entries() -> list[Entry]:
            finished = FinishedStep(
                step=node.id,
                uses=node.step.uses,
                agent=node.agent,
                status=status.value,
                attempts=tuple(attempts),
                started_ms=execution.started_ms if execution else now,
                ended_ms=now,
                needs=planned.needs,
                inputs=bounded(decision.params) if decision else None,
                outputs=bounded(outputs),
                error=error,
                group=node.group if node.combination is not None else None,
            )
            return [entry for body in (*measured, finished) for entry in self._telemetry.entries(body)]

        warnings = self._warnings(fingerprint if status is Status.REUSED else None, execution, measured)
        end = StepEnd(
            pipeline=self._request.plan.name,
            status=status.value,
            started_ms=execution.started_ms if execution else None,
            ended_ms=now,
            fingerprint=fingerprint,
            outputs=outputs,
            error=error,
            attempts=count,
            note="; ".join(filter(None, (note, *warnings))),
            tries=[
                RecordedAttempt(
                    number=number,
                    started_ms=attempt.started_ms,
                    ended_ms=attempt.ended_ms,
                    seconds=attempt.seconds,
                    error=attempt.error,
                )
                for number, attempt in enumerate(attempts, 1)
            ],
            usage=self._usage(node, decision, execution, outputs) if status is Status.SUCCEEDED else None,
        )
        self._run_store.finish_step(self._request.run, node.id, end, result, self._telemetry.due(entries))
        seconds = attempts[-1].seconds if attempts else 0.0
        self.records[node.id] = StepRecord(node.id, node.step.uses, status, count, seconds, outputs, error)
        for message in warnings:
            self.emit(partial(StepWarned, step=node.id, message=message))
        finished = partial(StepFinished, step=node.id, status=status, attempts=count)
        self.emit(partial(finished, seconds=round(seconds, 3), error=error, note=note))

    def _usage(
        self, node: StepNode, decision: Decision | None, execution: StepExecution | None, outputs: OutputValues | None
    ) -> Usage | None:
        """Returns what a step took in its last attempt."""
        action = self._request.settings.registry.action(node.step.uses)
        if decision is None or execution is None or action is None or not execution.attempts:
            return None
        done = work.of_call(action, decision.params)
        return Usage(
            run=self._request.run,
            step=node.id,
            pipeline=self._request.plan.name,
            uses=node.step.uses,
            variant=done.variant,
            cells=done.cells,
            amount=done.amount,
            outputs=dict(work.tables(outputs or {})),
            seconds=execution.attempts[-1].seconds,
            memory=execution.memory,
            ended_ms=execution.attempts[-1].ended_ms,
        )

    def _warnings(
        self, reused: str | None, execution: StepExecution | None, measured: Sequence[Measurement]
    ) -> list[str]:
        """Returns the warnings of the step, or those of the reused result, each once."""
        if reused and not measured:
            return self._run_store.warnings(reused)
        bodies = (*measured, *(execution.measured if execution else ()))
        return list(dict.fromkeys(body.message for body in bodies if isinstance(body, Warned)))

    def end(self, status: RunStatus, outputs: OutputValues) -> None:
        """Records the end of the run."""
        ended = self._now_ms()
        self._run_store.finish_run(
            self._request.run,
            status,
            outputs,
            ended,
            self._telemetry.due(lambda: self._telemetry.entries(FinishedRun(status=status, ended_ms=ended))),
        )
        self._ended = True

    def abandon(self, error: BaseException) -> None:
        """Records that the engine failed during the run, as far as that is still possible; else the next start does."""
        if self._ended:
            return
        ended, reason = self._now_ms(), f"the engine failed: {type(error).__name__}"
        entries = self._telemetry.due(lambda: self._telemetry.entries(AbandonedRun(ended_ms=ended, reason=reason)))
        with contextlib.suppress(StoreError):
            self._run_store.finish_run(self._request.run, "interrupted", OutputValues(), ended, entries)

    def deliver(self, hurried: Callable[[], bool] = lambda: False) -> dict[str, Tally]:
        """Waits until the trackers have everything, at most as long as the settings allow, or less when ``hurried``.
        Returns the tally for each sink.
        """
        tallies = self._telemetry.finish(hurried)
        if self.thinned:
            left_out = f"{self.thinned:,} values of metrics were not recorded, the outbox was full ({self._limit})"
            self._report_full(left_out)
        for tool, tally in sorted(tallies.items()):
            problem = tally.problem
            if tally.redelivered:
                lost = f"its database was lost; {tally.redelivered} entries of open runs were queued again"
                problem = f"{lost}; {problem}" if problem else lost
            if tally.left or tally.dead_lettered or tally.redelivered:
                counts = partial(ToolDegraded, tool=tool, waiting=tally.left, refused=tally.dead_lettered)
                self.emit(partial(counts, problem=problem))
        if any(tally.elsewhere for tally in tallies.values()):
            self._report_others()
        return tallies

    def _report_others(self) -> None:
        """Reports entries that wait for trackers that these settings do not name."""
        for waiting in self._run_store.waiting_by_tracker():
            if waiting.target != target_of(self._request.settings.tool(waiting.sink)):
                found = waiting.seen_from(self._request.settings.profile)
                self.emit(partial(TelemetryWaiting, **asdict(found)))

    def _involve(self, tracker: str) -> None:
        """Registers a tracker that the run is in. A sink receives everything, another tracker only the end."""
        if tracker in self._request.settings.sinks:
            self._begin_telemetry()
        else:
            started = StartedRun(pipeline=self._request.plan.name, params=ParamValues(), started_ms=self.started_ms)
            self._telemetry.involve(tracker, started)

    def _begin_telemetry(self) -> None:
        """Reports the run to the trackers, unless they already know it."""
        plan = self._request.plan
        self._telemetry.begin(
            StartedRun(
                pipeline=plan.name,
                params=plan.params,
                spec=plan.digest,
                started_ms=self.started_ms,
                profile=self._request.settings.profile,
            )
        )

    @property
    def thinned(self) -> int:
        """Returns how many values of metrics were not recorded because the outbox was full."""
        return self._telemetry.quota.thinned

    def give_way(self) -> None:
        """Waits a moment outside of a transaction when values have met a full outbox, so that the delivery gets on."""
        if (seconds := self._telemetry.quota.pause()) > 0:
            time.sleep(seconds)

    @property
    def _limit(self) -> str:
        return sizes.text(sizes.parse(self._request.settings.outbox_limit))

    def _report_full(self, problem: str) -> None:
        for tool in self._request.settings.sinks:
            self.emit(partial(ToolDegraded, tool=tool, problem=problem))

    def _report_flood(self) -> None:
        settings = self._request.settings
        problem = f"the run has recorded {settings.measurements:,} measurements; later ones are dropped"
        for tool in settings.sinks:
            self.emit(partial(ToolDegraded, tool=tool, problem=problem))


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=dict)
