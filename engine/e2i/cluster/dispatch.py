"""The calls that are on the cluster: given to nodes, followed by their reports, given again when a node fails.

In: portable calls, and what arrives from the cluster. Out: messages about them. A node that goes, refuses a call or
returns a forged result costs a try on another node; a cluster that goes raises ClusterGone.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from queue import Empty
from typing import assert_never

from msgspec.structs import replace

from e2i.catalog.registry import Registry
from e2i.cluster import messages
from e2i.cluster.arrivals import Arrivals, Moved, Reported, TaskOver
from e2i.cluster.connection import Connection
from e2i.cluster.demand import Demand
from e2i.cluster.exchange import Exchange, Sent
from e2i.cluster.faults import ClusterGone
from e2i.cluster.jobs import Job
from e2i.cluster.messages import Assignment, Entered, Finished, Logged, Progressed, Recorded, Refused, Report
from e2i.cluster.roster import Roster
from e2i.store.history import stored_digests
from e2i.telemetry.bodies import Warned
from e2i.workers import executor
from e2i.workers.executor import Ended, Failure, Measured, Message, StepCall
from e2i.workspace.environment import installed

TRIES = 4
"""Number of nodes that a call is given to, one after the other."""
OVERDUE = 10.0
"""Seconds after its time limit when a call without an end is taken from its node."""
PARTING = 10.0
"""Seconds after which a cancelled call counts as ended although its node is silent."""
SILENT = 5.0
"""Seconds that the result of an ended task may take to arrive."""
TRANSFERS = 8
"""Number of calls whose inputs or results are transferred at a time."""


class Dispatch:
    """The calls of one run on one cluster."""

    def __init__(
        self,
        connection: Connection,
        exchange: Exchange,
        arrivals: Arrivals,
        *,
        setup: bytes,
        store: Path,
        registry: Registry,
        wait: float,
    ) -> None:
        """``wait``: seconds that a run without a node waits for one."""
        self.unportable: list[StepCall] = []
        """Calls whose workspace files have changed: a process of this machine reports which file it is."""
        self._connection = connection
        self._exchange = exchange
        self._arrivals = arrivals
        self._setup = setup
        self._store = store
        self._registry = registry
        self._roster = Roster(connection.address, wait, connection.nodes(), time.monotonic())
        self._jobs: dict[str, Job] = {}
        """By token."""
        self._outgoing: dict[Demand, dict[str, bytes]] = {}
        """Assignments that are submitted together when the cluster is next looked at, by token. Those that no node
        fits wait for one.
        """
        self._transfers = ThreadPoolExecutor(TRANSFERS, thread_name_prefix="e2i-exchange")

    def free(self) -> int:
        """Returns how many calls could be given to the nodes now."""
        return max(0, self._roster.capacity() - len(self._jobs))

    def is_idle(self) -> bool:
        """Returns whether no call is on the cluster."""
        return not self._jobs

    def submit(self, call: StepCall) -> None:
        """Gives a portable call to the cluster, once its inputs are in the storage."""
        job = Job(call, secrets.token_hex(8), Demand.of(call), since=time.monotonic())
        self._jobs[job.token] = job
        inputs = set(stored_digests(dict(call.params)))
        files = dict(call.files or {})
        if self._exchange.lacks({*inputs, *(digest for digest in files.values() if digest)}):
            self._in_background(job.token, partial(self._send, job.token, sorted(inputs), files))
        else:
            self._assign(job)

    def cancel(self, step: str) -> list[Message]:
        """Ends the call of a step on its node. Returns its end if no node has begun it; else it follows."""
        ended: list[Message] = []
        for job in [job for job in self._jobs.values() if job.call.info.step == step and not job.cancelled]:
            job.cancelled, job.since = True, time.monotonic()
            self._outgoing.get(job.demand, {}).pop(job.token, None)
            self._connection.release(job.token)
            if job.phase is None:
                ended.append(self._cancelled(job))
        return ended

    def dismiss(self) -> None:
        """Ends all calls."""
        for job in self._jobs.values():
            self._connection.release(job.token)

    def close(self) -> None:
        """Closes the connection."""
        self._transfers.shutdown(wait=False, cancel_futures=True)
        self._connection.close()

    def arrived(self, seconds: float) -> list[Message]:
        """Waits up to ``seconds`` for something from the cluster. Returns the messages that follow from it."""
        self._submit_outgoing()
        found: list[Message] = []
        try:
            arrival = self._arrivals.get(timeout=seconds) if seconds else self._arrivals.get_nowait()
            while True:
                match arrival:
                    case Reported(report, body):
                        found += self._report(report, body)
                    case TaskOver():
                        found += self._task_over(arrival)
                    case Moved():
                        found += self._has_moved(arrival)
                    case _:
                        assert_never(arrival)
                arrival = self._arrivals.get_nowait()
        except Empty:
            return found

    def look(self, now: float) -> list[Message]:
        """Looks at the nodes, and for calls that are overdue. Called about once a second. Raises ClusterGone."""
        if not self._connection.is_open():
            raise self._gone()
        nodes = self._connection.latest_nodes()
        if nodes is not None:
            self._roster.update(nodes, now)
        if self._jobs:
            self._roster.require(now)
        found: list[Message] = []
        for demand in [demand for demand, waiting in self._outgoing.items() if waiting]:
            self._roster.require_for(demand, now)
        for job in list(self._jobs.values()):
            if job.nodes and not job.cancelled and job.finished is None and not self._roster.knows(job.nodes):
                found += self._again(job, Failure("node-lost", "the nodes that it may go to are gone", lost=True))
            elif job.cancelled and now > job.since + PARTING:
                found.append(self._cancelled(job))
            elif job.over_at is not None and job.finished is None and now > job.over_at + SILENT:
                found += self._again(job, Failure("node-lost", "its task ended without a result", lost=True))
            elif job.phase == "running" and now > job.since + job.call.timeout + OVERDUE:
                message = f"node {self._roster.name(job.node or '')} did not end it at its time limit, and is silent"
                found += self._again(job, Failure("node-lost", message, lost=True))
        return found

    # Calls on their way to a node

    def _submit_outgoing(self) -> None:
        """Submits the calls that a connected node fits. Those of equal demands go together."""
        for demand in [demand for demand in self._outgoing if self._roster.has(demand)]:
            outgoing, nodes = self._outgoing.pop(demand), self._roster.allowed(demand)
            for token in outgoing:
                self._jobs[token].nodes = tuple(nodes)
            if outgoing:
                self._connection.submit(self._setup, outgoing, nodes, self._roster.counted(demand))

    def _send(self, token: str, inputs: Sequence[str], files: dict[str, str | None]) -> Moved:
        return Moved(token, sent=self._exchange.send(inputs, files))

    def _in_background(self, token: str, move: partial[Moved]) -> None:
        def moved() -> None:
            try:
                self._arrivals.put(move())
            except BaseException as error:  # noqa: BLE001 - raised again where the engine polls
                self._arrivals.put(Moved(token, error=error))

        self._transfers.submit(moved)

    def _assign(self, job: Job) -> None:
        """Gives a call to the cluster, with the next ones. Raises ClusterGone when no node could execute it."""
        self._roster.require(time.monotonic())
        action = self._registry.action(job.call.uses)
        libraries = {name: installed(name) for name in action.libraries} if action else {}
        assignment = Assignment(token=job.token, topic=self._connection.topic, call=job.call, libraries=libraries)
        self._outgoing.setdefault(job.demand, {})[job.token] = messages.assignment_bytes(assignment)

    def _again(self, job: Job, failure: Failure) -> list[Message]:
        """Gives a call to another node, or ends it with the failure after the last try."""
        self._connection.release(job.token)
        if job.tries >= TRIES:
            return [self._end(job, Ended(job.call.info.step, 0.0, failure=failure))]
        del self._jobs[job.token]
        job.again(secrets.token_hex(8), time.monotonic())
        self._jobs[job.token] = job
        self._assign(job)
        return []

    # What arrives

    def _report(self, report: Report, body: bytes) -> list[Message]:
        job = self._jobs.get(report.token)
        if job is None:  # of an earlier try
            return []
        step = job.call.info.step
        match report:
            case Entered(node=node, phase=phase):
                if not job.cancelled:
                    job.enter(node, phase, time.monotonic())
            case Logged(offset=offset):
                job.write_log(self._store, offset, body)
            case Recorded(bodies=bodies):
                return [*job.record(bodies)]
            case Progressed(done=done, total=total, note=note):
                return [executor.Progressed(step, done, total, note)]
            case Refused(node=node, reason=reason):
                return self._refuse(job, node, reason)
            case Finished():
                return self._finished(job, report)
            case _:
                assert_never(report)
        return []

    def _finished(self, job: Job, report: Finished) -> list[Message]:
        call = job.call
        if job.cancelled:
            return [self._cancelled(job)]
        named = (report.run, report.step, report.ended.step, report.fingerprint)
        if named != (call.info.run, call.info.step, call.info.step, call.fingerprint):
            return self._refuse(job, report.node, f"it returned the result of another step: {report.step[:100]!r}")
        failure = report.ended.failure
        if failure is not None and failure.code in ("cluster-storage", "node-failed"):
            return self._again(job, failure)
        wanted = {*stored_digests(dict(report.ended.outputs)), *report.artifacts}
        self._roster.learn_pace(report.ended.seconds)
        if not wanted:
            return [self._end(job, report.ended)]
        job.finished, job.phase = report, "storing"
        self._in_background(job.token, partial(self._receive, job.token, sorted(wanted)))
        return []

    def _receive(self, token: str, digests: Sequence[str]) -> Moved:
        return Moved(token, missing=self._exchange.receive(digests))

    def _has_moved(self, moved: Moved) -> list[Message]:
        job = self._jobs.get(moved.token)
        if moved.error is not None:
            raise moved.error
        if job is None:
            return []
        if job.cancelled:
            return [self._cancelled(job)]
        if moved.sent is Sent.CHANGED:
            del self._jobs[job.token]
            self.unportable.append(job.call)
            return []
        if moved.sent is not None:
            self._assign(job)
            return []
        assert job.finished is not None
        if moved.missing is not None:
            return self._refuse(job, job.finished.node, f"it returned {moved.missing}, which has other bytes or none")
        return [*job.held, self._end(job, job.finished.ended)]

    def _refuse(self, job: Job, node: str, reason: str) -> list[Message]:
        """Gives no more calls to a node, and this one to another."""
        step, name = job.call.info.step, self._roster.name(node)
        told: list[Message] = []
        if self._roster.refuse(node, reason):
            warning = f"node {name} ({node}) is not used any more: {reason}"
            told.append(Measured(step, Warned(step=step, message=warning)))
        failure = Failure("node-refused", f"node {name} ({node}) was refused: {reason}", lost=True)
        return [*told, *self._again(job, failure)]

    def _task_over(self, over: TaskOver) -> list[Message]:
        """Notes the end of a task. Its result was published before; if not, it may take a moment."""
        job = self._jobs.get(over.token)
        if job is None or job.cancelled:
            return []
        if over.status == "finished":
            job.over_at = time.monotonic()
            return []
        if not self._connection.is_open():
            raise self._gone()
        why = over.problem or f"its task was {over.status}"
        failure = Failure("node-lost", f"no node completed it: {why}", "see the logs of the nodes", lost=True)
        return self._again(job, failure)

    def _gone(self) -> ClusterGone:
        return ClusterGone(f"the connection to the cluster at {self._connection.address} was lost")

    def _cancelled(self, job: Job) -> Ended:
        return self._end(job, Ended(job.call.info.step, 0.0, failure=Failure("cancelled", "it was cancelled")))

    def _end(self, job: Job, ended: Ended) -> Ended:
        self._jobs.pop(job.token, None)
        self._connection.release(job.token)
        return replace(ended, step=job.call.info.step)
