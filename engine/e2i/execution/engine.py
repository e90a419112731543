"""Carries a plan out: steps that are ready go to the executor, what they say becomes durable, then known.

In: a planner, an executor, a journal. Out: a ``RunRecord``; events on the way. One thread, one loop; nothing here
knows what a step does.
"""

from __future__ import annotations

import json
import random
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from e2i.catalog.context import RunInfo
from e2i.catalog.telemetry import Entry
from e2i.execution import secrets
from e2i.execution.decider import Decider, Faulty, LeftOut, Ready, Reused
from e2i.execution.events import Event, Listener
from e2i.execution.executor import Ended, Executor, Failure, Measured, Progressed, StepCall
from e2i.execution.journal import Journal
from e2i.execution.masking import Masker
from e2i.execution.record import RunRecord, RunStatus, StepRecord
from e2i.execution.request import RunRequest
from e2i.execution.state import GOOD, RunState, Status
from e2i.execution.telemetry import FinishCourier, Telemetry, bounded
from e2i.planning.build import Decision
from e2i.planning.fingerprint import static_key
from e2i.planning.model import PlanStep, Verdict
from e2i.resilience import retry
from e2i.resilience.outbox import process_identity
from e2i.spec import durations

JITTER = 0.1
"""The share of each wait between attempts that is left to chance, so that many runs do not come back at once."""


@dataclass(slots=True)
class _Attempting:
    """A step that is being carried out, or waits for its next attempt."""

    decision: Decision
    attempt: int = 1
    started_ms: int = 0
    telemetry: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    attempts: list[dict[str, Any]] = field(default_factory=list)


class Engine:
    """One run. ``execute`` blocks until it is over; ``stop`` may be called from a signal handler."""

    def __init__(
        self,
        request: RunRequest,
        executor: Executor,
        journal: Journal,
        start_courier: Callable[[], FinishCourier],
        listen: Listener,
        *,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        clock: Callable[[], float] = time.monotonic,
        chance: random.Random | None = None,
    ) -> None:
        self._request = request
        self._executor = executor
        self._journal = journal
        self._listen = listen
        self._now_ms = now_ms
        self._clock = clock
        self._chance = chance or random.Random()
        self._steps: dict[str, PlanStep] = {step.id: step for step in request.plan.steps}
        self._state = RunState(
            {step.id: step.needs for step in request.plan.steps}, {step.id for step in request.plan.steps if step.final}
        )
        self._decider = Decider(request, self._state)
        self._records: dict[str, StepRecord] = {}
        self._attempting: dict[str, _Attempting] = {}
        self._waiting: list[str] = []
        """Steps that are ready and decided, in order, until a worker is free."""
        self._retries: dict[str, float] = {}
        """When a step's next attempt may start."""
        self._masker = Masker(secrets.values(request.settings.secrets, request.environ))
        """What no output, message or measurement may hold."""
        self._stopping = 0
        self._started_ms = now_ms()
        self._telemetry = Telemetry(request.run, self._started_ms, request.settings.sinks, journal, start_courier)

    def stop(self) -> None:
        """Once: nothing new starts, what runs may finish. Twice: what runs is ended at once."""
        self._stopping += 1

    def execute(self) -> RunRecord:
        """Carries the plan out and returns what came of it."""
        request = self._request
        self._journal.start_run(
            {
                "run": request.run,
                "pipeline": request.plan.name,
                "status": "running",
                "started_ms": self._started_ms,
                "holder": process_identity(),
                "file": request.file,
                "spec": request.text,
                "profile": request.settings.profile,
                "params": _dump(request.plan.params),
                "plan": _dump(request.plan.to_json()),
            },
            [(step.id, step.uses) for step in request.plan.steps],
        )
        self._tell("run.started", steps=len(self._steps), name=request.plan.name)
        said_stopping = False
        while not self._state.is_over:
            self._decide_ready()
            if self._stopping and not said_stopping:
                said_stopping = True
                self._tell("run.stopping", running=self._state.open(Status.RUNNING))
            if self._stopping:
                self._cancel_open()
            if self._stopping < 2:
                self._submit_waiting()
            if self._state.open(Status.RUNNING):
                self._take(self._executor.poll(self._patience()))
            elif self._retries:
                self._executor.poll(self._patience())
        return self._finish()

    # What becomes of a step that is ready

    def _decide_ready(self) -> None:
        ready = self._state.take_ready()
        while ready:
            for step in ready:
                if self._state.status[step] is Status.PENDING:  # it may have been cancelled since
                    self._decide(step)
            ready = self._state.take_ready()

    def _may_start(self, step: str) -> bool:
        """Whether an attempt may start now: after an interruption, only of what stands under ``finally``."""
        return self._stopping < (2 if self._steps[step].final else 1)

    def _decide(self, step: str) -> None:
        """Leaves a step out, reuses its result, or lines it up for a worker."""
        if self._steps[step].final:
            self._decider.learn_status(self._status())
        match self._decider.decide(step):
            case LeftOut(note):
                self._close(step, Status.SKIPPED, None, note=note)
            case Faulty(failure, decision):
                self._close(step, Status.FAILED, decision, failure)
            case Reused(decision):
                telemetry = self._journal.telemetry(decision.fingerprint or "")
                self._close(step, Status.REUSED, decision, telemetry=telemetry)
            case Ready(decision):
                self._attempting[step] = _Attempting(decision)
                self._waiting.append(step)

    # Work

    def _submit_waiting(self) -> None:
        now = self._clock()
        due = [step for step, at in self._retries.items() if at <= now]
        for step in due:
            del self._retries[step]
        self._waiting = due + self._waiting
        while self._waiting and self._executor.free() > 0:
            self._submit(self._waiting.pop(0))
        if self._executor.free() > 0:
            self._executor.foresee(self._next_uses())

    def _submit(self, step: str) -> None:
        attempting = self._attempting[step]
        node = self._decider.nodes[step]
        now = self._now_ms()
        if attempting.attempt == 1:
            self._state.start(step)
            attempting.started_ms = now
        self._telemetry.begin(
            {
                "pipeline": self._request.plan.name,
                "params": dict(self._request.plan.params),
                "spec": self._request.plan.digest,
                "started_ms": self._started_ms,
                "profile": self._request.settings.profile,
            }
        )
        self._journal.start_step(self._request.run, step, attempting.attempt, now)
        self._tell("step.started", step, attempt=attempting.attempt, uses=node.step.uses)
        settings = self._request.settings
        params, revealed = self._decider.revealed(attempting.decision)
        self._executor.submit(
            StepCall(
                uses=node.step.uses,
                params=params,
                info=RunInfo(
                    run=self._request.run,
                    pipeline=self._request.plan.name,
                    step=step,
                    attempt=attempting.attempt,
                    agent=node.agent,
                    started_ms=self._started_ms,
                ),
                seed=self._decider.planner.seed,
                threads=node.options.resources.threads or self._threads(),
                fingerprint=attempting.decision.fingerprint or "",
                timeout=durations.parse(node.options.timeout or settings.timeout),
                secrets=revealed,
            )
        )

    def _threads(self) -> int:
        """The cores divided among the steps that run side by side now."""
        side_by_side = len(self._state.open(Status.RUNNING)) + len(self._waiting)
        return max(1, self._request.cores // max(1, min(side_by_side, self._request.cores)))

    def _next_uses(self) -> list[str]:
        """The actions of the steps that are next in the plan and may be carried out."""
        pending = (self._steps[step] for step in self._state.open(Status.PENDING))
        return [step.uses for step in pending if step.verdict is not Verdict.SKIP][:3]

    def _patience(self) -> float:
        """Seconds until something must be looked at, whatever the workers say."""
        return max(0.0, min([0.5, *(at - self._clock() for at in self._retries.values())]))

    def _take(self, messages: list[Any]) -> None:
        measured: list[Entry] = []
        for message in messages:
            match message:
                case Measured(step, kind, body):
                    body = self._masker.data(body)
                    body = {"step": step, **body, **({"at_ms": self._now_ms()} if kind == "metric" else {})}
                    self._attempting[step].telemetry.append((kind, body))
                    measured.extend(self._telemetry.entries(kind, body))
                case Progressed(step, done, total, note):
                    self._tell("step.progress", step, done=done, total=total, note=self._masker.text(note))
                case Ended():
                    self._journal.record(measured)
                    measured = []
                    self._end(message)
        if measured:
            self._journal.record(measured)

    def _end(self, ended: Ended) -> None:
        """An attempt is over: the step is done, or is tried again."""
        step, attempting = ended.step, self._attempting[ended.step]
        failure = self._masker.data(ended.failure)
        node = self._decider.nodes[step]
        now = self._now_ms()
        attempting.attempts.append(
            {
                "started_ms": now - round(ended.seconds * 1000),
                "ended_ms": now,
                "seconds": ended.seconds,
                "error": failure.to_json() if failure else None,
            }
        )
        if failure is None:
            self._decider.gave(step, self._masker.data(ended.outputs))
            return self._close(step, Status.SUCCEEDED, attempting.decision, seconds=ended.seconds)
        options = node.options.retry
        idempotent = self._decider.planner.action(node).idempotent
        again = failure.unavailable or (failure.lost and idempotent)
        if again and attempting.attempt < options.attempts and self._may_start(step):
            wait = retry.pause(
                attempting.attempt,
                initial=durations.parse(options.initial),
                maximum=durations.parse(options.max),
                backoff=options.backoff,
            ) * (1 - JITTER * self._chance.random())
            attempting.attempt += 1
            attempting.telemetry.clear()
            self._retries[step] = self._clock() + wait
            self._tell("step.retried", step, attempt=attempting.attempt, wait=round(wait, 3), error=failure.to_json())
            return None
        status = Status.FAILED
        if failure.code == "cancelled":
            status = Status.CANCELLED
        elif failure.unavailable and node.options.on_unavailable != "fail":
            status = Status.SKIPPED if node.options.on_unavailable == "skip" else Status.DEFERRED
        return self._close(step, status, attempting.decision, failure, seconds=ended.seconds)

    # Ends

    def _close(
        self,
        step: str,
        status: Status,
        decision: Decision | None,
        failure: Failure | None = None,
        *,
        seconds: float = 0.0,
        note: str = "",
        telemetry: list[tuple[str, dict[str, Any]]] | None = None,
    ) -> None:
        """A step is over: durable first, then known to the steps below and to whoever listens."""
        attempting = self._attempting.pop(step, None)
        attempts = attempting.attempt if attempting else 0
        outputs = self._decider.outputs.get(step) if status in GOOD else None
        error = failure.to_json() if failure else None
        now = self._now_ms()
        node = self._decider.nodes[step]
        told = (attempting.telemetry if attempting else telemetry) or []
        result = None
        if status is Status.SUCCEEDED and decision and decision.fingerprint:
            result = {
                "fingerprint": decision.fingerprint,
                "static_key": static_key(decision.components),
                "uses": node.step.uses,
                "components": decision.components,
                "telemetry": told,
            }
        entries = [entry for kind, body in (telemetry or []) for entry in self._telemetry.entries(kind, body)]
        finished = {
            "step": step,
            "uses": node.step.uses,
            "agent": node.agent,
            "status": status.value,
            "attempts": attempting.attempts if attempting else [],
            "started_ms": attempting.started_ms if attempting else now,
            "ended_ms": now,
            "needs": list(self._steps[step].needs),
            "inputs": bounded(decision.params) if decision else None,
            "outputs": bounded(outputs),
            "error": error,
            "group": node.group if node.cell is not None else None,
        }
        entries.extend(self._telemetry.entries("step.finished", finished))
        facts = {
            "status": status.value,
            "pipeline": self._request.plan.name,
            "ended_ms": now,
            "fingerprint": decision.fingerprint if decision else None,
            "outputs": outputs,
            "error": error,
            "attempts": attempts,
        }
        self._journal.finish_step(self._request.run, step, facts, result, self._telemetry.due(entries))
        if status not in GOOD:
            self._decider.outputs[step] = None
        self._records[step] = StepRecord(step, node.step.uses, status, attempts, seconds, outputs, error)
        self._state.finish(step, status)
        self._tell(
            "step.finished",
            step,
            status=status.value,
            seconds=round(seconds, 3),
            attempts=attempts,
            error=error,
            note=note,
        )

    def _cancel_open(self) -> None:
        """Steps that have not started never will; the second time, those that run are ended."""
        lined_up = [*self._waiting, *self._retries, *self._state.open(Status.PENDING)]
        for step in [step for step in dict.fromkeys(lined_up) if not self._may_start(step)]:
            self._close(step, Status.CANCELLED, None)
        self._waiting = [step for step in self._waiting if self._may_start(step)]
        self._retries = {step: at for step, at in self._retries.items() if self._may_start(step)}
        if self._stopping > 1:
            for step in self._state.open(Status.RUNNING):
                self._executor.cancel(step)

    def _finish(self) -> RunRecord:
        status = self._status()
        outputs = self._decider.run_outputs()
        ended = self._now_ms()
        entries = self._telemetry.entries("run.finished", {"status": status, "ended_ms": ended})
        self._journal.finish_run(self._request.run, status, outputs, ended, self._telemetry.due(entries))
        self._executor.close()
        shutil.rmtree(self._request.store / "tmp" / self._request.run, ignore_errors=True)
        tallies = self._telemetry.finish()
        for tool, tally in sorted(tallies.items()):
            if tally.left or tally.set_aside:
                self._tell(
                    "tool.degraded", tool=tool, waiting=tally.left, refused=tally.set_aside, problem=tally.problem
                )
        record = RunRecord(
            run=self._request.run,
            pipeline=self._request.plan.name,
            status=status,
            started_ms=self._started_ms,
            ended_ms=self._now_ms(),
            steps={step: self._records[step] for step in self._steps},
            outputs=outputs,
            store=self._request.store,
            telemetry=tallies,
        )
        document = record.to_json()
        self._tell("run.finished", status=status, steps=document["steps"], outputs=document["outputs"])
        return record

    def _status(self) -> RunStatus:
        statuses = [(step, record.status) for step, record in self._records.items()]
        nodes = self._decider.nodes
        if any(status is Status.FAILED and nodes[step].options.on_error == "fail" for step, status in statuses):
            return "failed"
        return "interrupted" if any(status is Status.CANCELLED for _, status in statuses) else "succeeded"

    def _tell(self, name: str, step: str | None = None, /, **facts: Any) -> None:
        self._listen(Event(name, self._request.run, self._now_ms(), step, facts))


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=dict)
