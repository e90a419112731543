"""A command goes in; what it cost as a whole process, its JSON lines and the memory that it held come out."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SAMPLE = 500
"""Lines between two looks at the memory."""


@dataclass(slots=True)
class Ran:
    """One command that has ended."""

    wall: float
    cpu: float
    """CPU seconds of it and of all that it waited for."""
    memory: float
    """The most that it held, in MB."""
    events: list[dict[str, Any]] = field(default_factory=list)
    samples: list[tuple[int, float]] = field(default_factory=list)
    """How many lines it had told, and the MB that it held then."""

    def held(self, event: str, counts: Sequence[int]) -> list[float]:
        """The MB that were held when that many such events had been told."""
        told = 0
        found: dict[int, float] = {}
        looks = dict(self.samples)
        last = self.memory
        for number, line in enumerate(self.events, 1):
            told += line["event"] == event
            last = looks.get(number, last)
            found.setdefault(told, last)
        return [found[count] for count in counts]


def run(command: Sequence[str], folder: Path, code: int = 0) -> Ran:
    """Carries a command out. Raises RuntimeError when it does not end with that exit code."""
    environ = {
        name: value for name, value in os.environ.items() if name not in ("PYTHONDONTWRITEBYTECODE", "E2I_STORE")
    }
    began = time.perf_counter()
    lines, samples = [], []
    with (folder / "errors").open("w+b") as errors:
        process = subprocess.Popen(command, cwd=folder, env=environ, stdout=subprocess.PIPE, stderr=errors)
        assert process.stdout is not None
        for number, line in enumerate(process.stdout, 1):
            lines.append(line)
            if number % SAMPLE == 0 or number == SAMPLE // 10:
                samples.append((number, _memory(process.pid, "VmRSS")))
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.stdout.close()
        process.returncode = os.waitstatus_to_exitcode(status)
        errors.seek(0)
        if process.returncode != code:
            raise RuntimeError(f"{' '.join(command)}: exit code {process.returncode}\n{errors.read().decode()[-2000:]}")
    events = [json.loads(line) for line in lines if line.startswith(b'{"event"')]
    return Ran(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, events, samples)


def _memory(process: int, what: str) -> float:
    found = re.search(rf"{what}:\s*(\d+) kB", Path(f"/proc/{process}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0
