"""A call that is given to the cluster: who has it, how far it is, and its log in the engine's store."""

from __future__ import annotations

import os
from pathlib import Path

from msgspec import Struct, field

from e2i.cluster.demand import Demand
from e2i.cluster.messages import Finished, Phase
from e2i.regular import open_private
from e2i.store import disk
from e2i.telemetry.bodies import Attachment, Measurement
from e2i.workers import steplog
from e2i.workers.executor import Measured, StepCall


class Job(Struct, eq=False):
    """One call, until its end is returned. Times are those of a monotonic clock."""

    call: StepCall
    token: str
    """Identifies this try; another node gets another token."""
    demand: Demand
    """What its node must have."""
    tries: int = 1
    nodes: tuple[str, ...] = ()
    """Addresses of the nodes that it was restricted to; none: any."""
    node: str | None = None
    """Address of the node that has it."""
    phase: Phase | None = None
    since: float = 0.0
    """When the phase began, or when the call was submitted."""
    over_at: float | None = None
    """When Dask ended its task without an error: its result is published already."""
    cancelled: bool = False
    finished: Finished | None = None
    held: list[Measured] = field(default_factory=list)
    """Attached artifacts, which are not passed on before they have arrived."""
    log_start: int | None = None
    """Size of the step's log before this call, which has the output of earlier attempts."""

    def again(self, token: str, now: float) -> None:
        """Prepares another try."""
        self.token, self.tries, self.since = token, self.tries + 1, now
        self.node = self.phase = self.finished = self.over_at = None
        self.nodes = ()
        self.held.clear()

    def enter(self, node: str, phase: Phase, now: float) -> None:
        if node != self.node:  # another one begins it, because the one before is gone
            self.held.clear()
        self.node, self.phase, self.since = node, phase, now

    def record(self, bodies: tuple[Measurement, ...]) -> list[Measured]:
        """Returns what can be passed on now. A measurement names the step itself, whatever the node says."""
        messages = [Measured(self.call.info.step, body) for body in bodies if body.step == self.call.info.step]
        self.held += [message for message in messages if isinstance(message.body, Attachment)]
        return [message for message in messages if not isinstance(message.body, Attachment)]

    def write_log(self, store: Path, offset: int, part: bytes) -> None:
        """Writes part of the output into the step's log. Raises DiskTrouble and OSError."""
        path = steplog.path_of(store, self.call.info.run, self.call.info.step)
        disk.folder(store, *path.relative_to(store).parts[:-1])
        descriptor = open_private(path, os.O_WRONLY | os.O_CREAT)
        try:
            if self.log_start is None:
                self.log_start = os.fstat(descriptor).st_size
            if offset == 0:
                os.ftruncate(descriptor, self.log_start)
            os.pwrite(descriptor, part, self.log_start + offset)
        finally:
            os.close(descriptor)
