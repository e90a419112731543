"""The engine with simulated nodes: what planning and driving very many steps takes, and where it saturates.

    python benchmarks/scale.py [--steps 10000] [--nodes 10000] [--seconds 60] [--lost 0.001] [--profile] [--json]

Everything but the nodes is the engine's own code: the spec is read, expanded, checked and planned, steps are decided,
claimed, recorded in a run store on this disk and ended as in any run. A node is an entry of a queue. Its step ends
after a lognormal time with the median ``--seconds``, plus ``--transfer`` seconds; ``--lost`` is the share of attempts
whose node is lost, which the engine repeats. These three are assumptions, given as options and printed.

The clock of the simulation is the CPU time of the engine plus the waits, which are skipped. So an engine that is busy
delays the steps as it would in a real run, but a slow disk does not. The steps are groups of 500, each behind one step
of a chain as wide as ``--columns``. Nothing of dask.distributed, the network or the storage is in the figures.
"""

from __future__ import annotations

import argparse
import cProfile
import heapq
import json
import math
import os
import pstats
import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from e2i import route
from e2i.documents import OutputValues, ParamValues
from e2i.execution.session import Session
from e2i.workers.executor import Ended, Failure, Message, StepCall
from e2i.workspace.options import RunOptions
from e2i.workspace.source import Source
from e2i.workspace.workspace import Workspace

GROUP = 500
"""Steps of one matrix."""
WARM = 0.2
"""Share of the steps after which memory is first measured."""
SPREAD = 0.5
"""Standard deviation of the logarithm of a step's time."""
LOST = Failure("worker-lost", "its simulated node was lost", lost=True)
STEP = """
  head_{group}:
    uses: debug.sleep
    retry: {{attempts: 10}}
    needs: [{needs}]
    with: {{seconds: 0, value: {group}}}
  cells_{group}:
    uses: debug.sleep
    retry: {{attempts: 10}}
    needs: [head_{group}]
    matrix: {{n: {cells}}}
    with: {{seconds: 0, value: "${{{{ matrix.n }}}}"}}
"""


@dataclass(slots=True)
class Figures:
    """What one run found."""

    steps: int
    nodes: int
    seconds: float
    transfer: float
    lost: float
    check_cpu_ms: float
    """CPU milliseconds a step to read, expand and check the spec."""
    plan_cpu_ms: float
    drive_cpu_ms: float
    """CPU milliseconds a step from the plan to the record of the run, planning again for the run included."""
    attempts: int
    simulated: float
    """Seconds of the simulation from the first call to the last end."""
    busy: float
    """The share of these in which the engine worked."""
    rate: float
    """Steps a second of the engine's CPU: it saturates here."""
    used: float
    """Mean share of the nodes that had a step."""
    planned_kb: float
    """Memory a planned step before the first one starts, in kB: the spec, the plan and the engine's indexes."""
    finished_kb: float
    """Memory a finished step, in kB, between ``WARM`` of the steps and the last one."""
    peak_mb: float
    store_kb: float
    """Size of the store a step, in kB."""


class Nodes:
    """An executor whose one-slot nodes are simulated, and the clock of that simulation."""

    def __init__(self, nodes: int, seconds: float, transfer: float, lost: float) -> None:
        self._nodes, self._seconds, self._transfer, self._lost = nodes, seconds, transfer, lost
        self._random = random.Random(7)
        self._skipped = 0.0
        self._running: list[tuple[float, int, float, StepCall]] = []
        self.attempts = 0
        self.finished = 0
        self.work = 0.0
        """Seconds of all nodes together."""
        self.first: float | None = None
        self.last = 0.0
        self.memory: list[tuple[int, int]] = []
        """Finished steps, and the memory of this process in bytes, at the start and about 100 times."""
        self.every = 1

    def clock(self) -> float:
        return time.process_time() + self._skipped

    def free(self) -> int:
        return self._nodes - len(self._running)

    def free_memory(self) -> int:
        return 2**60

    def is_idle(self) -> bool:
        return not self._running

    def affinity(self, uses: str) -> int:
        return 0

    def submit(self, call: StepCall) -> None:
        now = self.clock()
        if self.first is None:
            self.first = now
            self.memory.append((0, resident()))
        seconds = self._transfer + self._seconds * math.exp(self._random.gauss(0, SPREAD))
        heapq.heappush(self._running, (now + seconds, self.attempts, seconds, call))
        self.attempts += 1
        self.work += seconds

    def preload(self, uses: Sequence[str], *, certain: bool = False) -> None:
        pass

    def poll(self, seconds: float) -> list[Message]:
        """Skips to the next end of a step, at most ``seconds`` ahead, and returns the steps that have ended."""
        now = self.clock()
        until = min(now + seconds, self._running[0][0]) if self._running else now + seconds
        if until > now:
            self._skipped += until - now
            now = until
        ended: list[Message] = []
        while self._running and self._running[0][0] <= now:
            self.last, _, took, call = heapq.heappop(self._running)
            ended.append(self._end(call, took))
        return ended

    def cancel(self, step: str) -> None:
        raise AssertionError("no step of the benchmark is cancelled")

    def dismiss(self) -> None:
        pass

    def close(self) -> None:
        pass

    def _end(self, call: StepCall, seconds: float) -> Ended:
        if self._random.random() < self._lost:
            return Ended(call.info.step, seconds, failure=LOST)
        self.finished += 1
        if self.finished % self.every == 0:
            self.memory.append((self.finished, resident()))
        return Ended(call.info.step, seconds, OutputValues({"value": call.params.get("value")}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--nodes", type=int, default=10_000)
    parser.add_argument("--columns", type=int, default=20, help="groups of steps that do not wait for each other")
    parser.add_argument("--seconds", type=float, default=60.0, help="median time of a step")
    parser.add_argument("--transfer", type=float, default=0.01, help="seconds to send a call and fetch its result")
    parser.add_argument("--lost", type=float, default=0.001, help="share of attempts whose node is lost")
    parser.add_argument("--profile", action="store_true", help="also print what dominates; the figures are then higher")
    parser.add_argument("--json", action="store_true", help="one JSON document instead of the table")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="e2i-bench-") as name:
        found = measure(Path(name), given)
    if given.json:
        print(json.dumps({"schema_version": 1, **asdict(found)}))
    else:
        for key, value in asdict(found).items():
            print(f"{key:14} {value:,.3f}" if isinstance(value, float) else f"{key:14} {value:,}")


def measure(folder: Path, given: argparse.Namespace) -> Figures:
    """Runs the spec in a workspace of its own."""
    (folder / "config").mkdir()
    (folder / "config" / "default.yaml").write_text("sinks: []\n", "utf-8")
    budgets = "budgets: {steps: 2000000, values: 100000000, bytes: 1000000000}"
    (folder / "config" / "policy.yaml").write_text(f"human: {{{budgets}}}\n", "utf-8")
    workspace = Workspace.open(root=folder, environ={})
    nodes = Nodes(given.nodes, given.seconds, given.transfer, given.lost)
    before, began = resident(), time.process_time()
    source = Source(spec(given.steps, given.columns), "scale.yaml")
    expanded = route.valid(route.examine(source, workspace, ParamValues()))
    steps = len(expanded.nodes)
    nodes.every = max(1, steps // 100)
    checked = time.process_time()
    with Session(workspace, None, environ={}, executor=nodes, clock=nodes.clock) as session:
        planner = route.plan(expanded, session.history, workspace, RunOptions())
        planner.plan()
        planned = time.process_time()
        profile = cProfile.Profile() if given.profile else None
        if profile is not None:
            profile.enable()
        record = session.run(planner, source, RunOptions())
        if profile is not None:
            profile.disable()
            pstats.Stats(profile).sort_stats("tottime").print_stats(25)
    ended = time.process_time()
    assert record.status == "succeeded", record.status
    drive, simulated = ended - planned, nodes.last - (nodes.first or 0.0)
    warm = next(sample for sample in nodes.memory if sample[0] >= WARM * steps)
    last = nodes.memory[-1]
    return Figures(
        steps=steps,
        nodes=given.nodes,
        seconds=given.seconds,
        transfer=given.transfer,
        lost=given.lost,
        check_cpu_ms=(checked - began) * 1000 / steps,
        plan_cpu_ms=(planned - checked) * 1000 / steps,
        drive_cpu_ms=drive * 1000 / steps,
        attempts=nodes.attempts,
        simulated=simulated,
        busy=min(1.0, drive / simulated),
        rate=steps / drive,
        used=nodes.work / (given.nodes * simulated),
        planned_kb=(nodes.memory[0][1] - before) / 1000 / steps,
        finished_kb=(last[1] - warm[1]) / 1000 / max(1, last[0] - warm[0]),
        peak_mb=max(memory for _, memory in nodes.memory) / 1e6,
        store_kb=sum(path.stat().st_size for path in workspace.store.rglob("*") if path.is_file()) / 1000 / steps,
    )


def spec(steps: int, columns: int) -> str:
    """Returns the YAML text of a spec with about so many steps."""
    parts = ["version: 1\nname: scale\nsteps:\n"]
    for group, first in enumerate(range(0, steps, GROUP + 1)):
        cells = list(range(first, first + min(GROUP, max(1, steps - first - 1))))
        needs = f"head_{group - columns}" if group >= columns else ""
        parts.append(STEP.format(group=group, cells=cells, needs=needs))
    return "".join(parts)


def resident() -> int:
    """Returns the resident memory of this process in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
