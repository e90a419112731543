"""Rejected calls of an open circuit: median and 99.9th percentile of their wall time; exit 1 above the goal.

    python benchmarks/breakers.py [--calls 100000] [--json]

A circuit in memory, one in a file of a store as every run uses it, and that one with 8 processes of 8 threads calling
at once. The last has no goal: 64 threads also wait for processors and for their interpreter's lock. Beside it are calls
that raise the same error and do nothing else, in the same processes and threads: what they take is not the breaker's.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from e2i.resilience.breaker import Breaker, CircuitOpen, Outcome, Policy
from e2i.resilience.guard import Guard
from e2i.resilience.shared_state import SharedState

MEDIAN, TAIL = 20.0, 5_000.0
"""Goals in microseconds: of the median, and of the 99.9th percentile."""
PROCESSES, THREADS = 8, 8
TRIES = 3
"""A case with a goal is tried so often and the best try counts: a busy machine takes time, and never gives any."""
POLICY = Policy(recovery=3_600)


@dataclass
class Row:
    """Figures of one case, in microseconds."""

    case: str
    calls: int
    median: float
    p999: float
    longest: float
    goal: bool

    @property
    def is_met(self) -> bool:
        return not self.goal or (self.median <= MEDIAN and self.p999 <= TAIL)

    def __str__(self) -> str:
        verdict = "" if not self.goal else "  met" if self.is_met else "  MISSED"
        return f"{self.case:<40} {self.calls:>9,} {self.median:>9.1f} {self.p999:>9.1f} {self.longest:>10.1f}{verdict}"


def opened(breaker: Breaker) -> Breaker:
    for _ in range(breaker.policy.failures):
        breaker.settle(breaker.acquire().grant, Outcome.FAILED)
    return breaker


def rejections(call: Callable[..., Any], calls: int) -> list[float]:
    """Returns the microseconds of each of the calls, all of which must be rejected."""
    took = []
    for _ in range(calls):
        began = time.perf_counter_ns()
        try:
            call(unreachable)
        except CircuitOpen:
            took.append((time.perf_counter_ns() - began) / 1_000)
    assert len(took) == calls, f"{calls - len(took)} calls were made"
    return took


def unreachable() -> None:
    raise AssertionError("the backend was called")


def best(case: str, call: Callable[..., Any], calls: int) -> Row:
    return min((measured(case, rejections(call, calls)) for _ in range(TRIES)), key=lambda row: row.p999)


def measured(case: str, took: list[float], *, goal: bool = True) -> Row:
    took = sorted(took)
    return Row(case, len(took), statistics.median(took), took[int(len(took) * 0.999)], took[-1], goal)


def raises(function: Callable[[], None]) -> None:
    raise CircuitOpen("mlflow", 1.0)


def crowd(file: Path | None, calls: int, results: Any) -> None:
    """One process of ``THREADS`` threads, each of which makes so many calls; without a file, of ``raises``."""
    call = raises if file is None else Breaker("mlflow", POLICY, state=SharedState(file)).call
    found: list[list[float]] = []
    together = threading.Barrier(THREADS)

    def run() -> None:
        together.wait()
        found.append(rejections(call, calls))

    threads = [threading.Thread(target=run) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    results.put([one for took in found for one in took])


def crowded(file: Path | None, each: int) -> list[float]:
    """Returns the microseconds of the calls of all threads of all processes."""
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    members = [context.Process(target=crowd, args=(file, each, results)) for _ in range(PROCESSES)]
    for member in members:
        member.start()
    took = [one for _ in members for one in results.get(timeout=300)]
    for member in members:
        member.join()
    return took


def rows(calls: int) -> list[Row]:
    found = [best("in memory", opened(Breaker("mlflow", POLICY)).call, calls)]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "breakers" / "mlflow.json"
        shared = opened(Breaker("mlflow", POLICY, state=SharedState(file)))
        found.append(best("shared by a store", shared.call, calls))
        guard = Guard("mlflow", shared)
        found.append(best("shared by a store, through a guard", guard.call, calls))
        for case, shared_file in (("shared", file), ("raised", None)):
            took = crowded(shared_file, max(1, calls // (PROCESSES * THREADS)))
            found.append(measured(f"{case}, {PROCESSES} processes of {THREADS} threads", took, goal=False))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=100_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = rows(options.calls)
    if options.json:
        print(json.dumps([asdict(row) for row in found]))
    else:
        print(f"{'rejected calls, microseconds':<40} {'calls':>9} {'median':>9} {'p99.9':>9} {'longest':>10}")
        for row in found:
            print(row)
        print(f"goal: median {MEDIAN:g}, p99.9 {TAIL:g}")
    return 0 if all(row.is_met for row in found) else 1


if __name__ == "__main__":
    sys.exit(main())
