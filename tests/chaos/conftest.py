"""How much chaos: the environment says, the make target passes it on."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TypeVar

import pytest

T = TypeVar("T")


@dataclass(frozen=True)
class Amount:
    """What one test of chaos may take, and how it goes through its points."""

    name: str
    points: int
    """Points of each kill sweep with real tools, spread evenly; 0: every one."""
    shift: int
    """Where points that are spread begin: with 0, 1, 2, … each sample has other points, until all were taken."""
    tracked: int
    """Points of the kill sweep with a tracker."""
    chain: int
    """Steps of the chain that is killed at every point."""
    kills: int
    corruptions: int
    jobs: int
    shown: Callable[[], AbstractContextManager[None]]
    """Lets a line through to the terminal while a test runs."""

    def alone(self) -> Amount:
        """The same, but one item after another."""
        return replace(self, jobs=1)

    def spread(self, last: int, points: int) -> range:
        """``points`` of the points from 1 to ``last``, or somewhat fewer; 0: every one."""
        stride = -(-last // points) if points else 1
        return range(1 + self.shift % stride, last + 1, stride)

    def each(self, items: Iterable[T], judge: Callable[[T], list[str]]) -> list[str]:
        """Judges all items, several at once, and tells how far it is. The faults, each with its item."""
        items = list(items)
        failures: list[str] = []
        with ThreadPoolExecutor(self.jobs) as pool:
            for done, (item, found) in enumerate(zip(items, pool.map(judge, items), strict=True), 1):
                failures.extend(f"{item}: {failure}" for failure in found)
                if done % max(25, len(items) // 20) == 0 or done == len(items):
                    with self.shown():
                        print(
                            f"\n{self.name}: {done} of {len(items)}, {len(failures)} faults",
                            file=sys.stderr,
                            flush=True,
                        )
        return failures


@pytest.fixture
def amount(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> Amount:
    def knob(name: str, default: int) -> int:
        return int(os.environ.get(f"CHAOS_{name}", default))

    cores = len(os.sched_getaffinity(0))
    sharing = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1))
    return Amount(
        request.node.name,
        knob("POINTS", 0),
        knob("SHIFT", 0),
        knob("TRACKED", 24),
        knob("CHAIN", 100),
        knob("KILLS", 200),
        knob("CORRUPTIONS", 10_000),
        knob("JOBS", max(2, 2 * cores // sharing)),
        capsys.disabled,
    )
