"""Commands go in; what each cost as a whole process comes out: CPU seconds and peak memory, medians of runs in turn."""

from __future__ import annotations

import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one process and all that it waited for: CPU seconds, and the most memory that one of them held, in MB."""

    cpu: float
    memory: float


def in_turn(commands: Mapping[str, Sequence[str]], *, runs: int, folder: Path) -> dict[str, list[Cost]]:
    """The costs of each command, run ``runs`` times after one that does not count: A B C, A B C, …

    So that a machine that is slow for a while is slow for all. Raises RuntimeError for a command that fails.
    """
    costs: dict[str, list[Cost]] = {name: [] for name in commands}
    for number in range(runs + 1):
        for name, command in commands.items():
            cost = _one(command, folder)
            if number:
                costs[name].append(cost)
    return costs


def median(costs: Sequence[Cost]) -> Cost:
    return Cost(statistics.median(cost.cpu for cost in costs), statistics.median(cost.memory for cost in costs))


def ratio(costs: Sequence[Cost], others: Sequence[Cost]) -> float:
    """The median of the ratios of CPU seconds, run by run."""
    return statistics.median(one.cpu / other.cpu for one, other in zip(costs, others, strict=True))


def _one(command: Sequence[str], folder: Path) -> Cost:
    """Nothing is imported from source twice: byte code is written, as on any machine that is not told otherwise."""
    process = os.fork()
    if process == 0:
        os.chdir(folder)
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1):
            os.dup2(nowhere, stream)
        environ = {name: value for name, value in os.environ.items() if name not in _LEFT_OUT}
        os.execve(command[0], list(command), environ)
    _, status, used = os.wait4(process, 0)
    if code := os.waitstatus_to_exitcode(status):
        raise RuntimeError(f"{' '.join(command)}: exit code {code}")
    return Cost(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


_LEFT_OUT = ("PYTHONDONTWRITEBYTECODE", "PYTHONPROFILEIMPORTTIME", "E2I_STORE", "E2I_ORIGIN")
