"""A table handed to four steps in four processes, durable and hashed, beside plain Python in one; prints ratios.

    python benchmarks/handover.py [--rows 1300000] [--runs 3] [--json]

Twenty columns of numbers (200 MB by default) are made, and four functions each read all of them. Both sides call the
same functions. What processes and imports cost is taken off, by doing the same with a table of ten rows: what is left
is what the table costs. CPU seconds are those of all processes. Memory is their proportional share (PSS), taken when
all four functions have read the table and still hold it; on the side of e2i with all that the run has in memory then.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

GOAL = 1.3
READERS = 4
FUNCTIONS = '''
import os, time
import numpy as np
import pandas as pd

def make(rows):
    chance = np.random.default_rng(7)
    return pd.DataFrame({f"c{number}": chance.standard_normal(rows) for number in range(20)})

def read(table, number):
    found = {name: [float(table[name].mean()), float(table[name].std())] for name in table}
    hold(number)
    wait()
    return found

def hold(number):
    os.close(os.open(f"held-{number}", os.O_CREAT | os.O_WRONLY))

def wait():
    """Until all readers have read and their memory has been looked at."""
    while not os.path.exists("looked"):
        time.sleep(0.01)
'''
PLAIN = """
import sys, steps
steps.wait, wait = lambda: None, steps.wait
table = steps.make(int(sys.argv[1]))
found = [steps.read(table, number) for number in range(int(sys.argv[2]))]
wait()
"""
SPEC = """version: 1
name: handover
params:
  rows: {{type: integer, default: 10, description: Rows to make}}
steps:
  make: {{uses: python.call, with: {{file: steps.py, function: make, arguments: {{rows: "${{{{ params.rows }}}}"}}}}}}
  read:
    uses: python.call
    matrix: {{number: {numbers}}}
    with:
      file: steps.py
      function: read
      arguments: {{table: "${{{{ steps.make.table }}}}", number: "${{{{ matrix.number }}}}"}}
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """Of all processes together: CPU seconds, and memory in MB."""

    cpu: float
    memory: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_300_000, help="of 20 columns: 160 bytes each")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    command = str(Path(sys.executable).parent / "e2i-run")
    sides = {
        "plain": [sys.executable, "plain.py", "{rows}", str(READERS)],
        "e2i": [command, "handover.yaml", "-p", "rows={rows}"],
    }
    costs: dict[tuple[str, int], list[Cost]] = {}
    for run in range(given.runs + 1):
        for name, words in sides.items():
            for rows in (10, given.rows):
                cost = one([word.format(rows=rows) for word in words])
                if run:  # the first time, byte code is written
                    costs.setdefault((name, rows), []).append(cost)
    whole = {name: middle(costs[name, given.rows]) for name in sides}
    net = {}
    for name in sides:
        small = middle(costs[name, 10])
        net[name] = Cost(whole[name].cpu - small.cpu, whole[name].memory - small.memory)
    ratios = {"cpu": net["e2i"].cpu / net["plain"].cpu, "memory": net["e2i"].memory / net["plain"].memory}
    if given.json:
        told = {"whole": {k: asdict(v) for k, v in whole.items()}, "table": {k: asdict(v) for k, v in net.items()}}
        print(json.dumps({"schema_version": 1, "megabytes": given.rows * 160 / 1e6, **told, "ratios": ratios}))
        return
    print(f"{given.rows * 160 / 1e6:.0f} MB to {READERS} functions, medians of {given.runs}")
    print(f"{'':<22}{'plain':>10}{'e2i':>10}{'ratio':>8}   goal")
    for what, unit in (("cpu", "s"), ("memory", "MB")):
        one_side, other = (getattr(net[name], what) for name in sides)
        verdict = "met" if ratios[what] <= GOAL else "missed"
        name = f"{what} of the table, {unit}"
        print(f"{name:<22}{one_side:>10.2f}{other:>10.2f}{ratios[what]:>8.2f}   ≤ {GOAL} {verdict}")
    for what, unit in (("cpu", "s"), ("memory", "MB")):
        one_side, other = (getattr(whole[name], what) for name in sides)
        print(f"{f'{what} in all, {unit}':<22}{one_side:>10.2f}{other:>10.2f}{other / one_side:>8.2f}")


def one(command: list[str]) -> Cost:
    """Carries a command out in a folder of its own. Raises RuntimeError when it fails."""
    with tempfile.TemporaryDirectory(prefix="e2i-bench-") as name:
        folder = Path(name)
        (folder / "steps.py").write_text(FUNCTIONS)
        (folder / "plain.py").write_text(PLAIN)
        (folder / "handover.yaml").write_text(SPEC.format(numbers=list(range(READERS))))
        (folder / "config").mkdir()
        (folder / "config" / "default.yaml").write_text(f"sinks: []\nworkers: {READERS}\n")
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True)
        memory: list[float] = []
        watching = threading.Thread(target=look, args=(folder, process.pid, memory))
        watching.start()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        (folder / "looked").touch()
        watching.join()
        if process.returncode:
            raise RuntimeError(f"{' '.join(command)}: {(folder / 'log').read_text()}")
        return Cost(used.ru_utime + used.ru_stime, memory[0])


def look(folder: Path, root: int, memory: list[float]) -> None:
    """Takes the memory of all processes once every reader holds the table, and lets them go on."""
    while not all((folder / f"held-{number}").exists() for number in range(READERS)):
        if (folder / "looked").exists():
            return
        time.sleep(0.01)
    memory.append(sum(map(share, family(root))) / 1e6)
    (folder / "looked").touch()


def family(root: int) -> list[int]:
    """A process and all that descend from it."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:  # it has just ended
                continue
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def share(pid: int) -> int:
    """Bytes of memory, those shared with others divided among them."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:  # it has just ended
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def middle(costs: list[Cost]) -> Cost:
    return Cost(statistics.median(cost.cpu for cost in costs), statistics.median(cost.memory for cost in costs))


if __name__ == "__main__":
    main()
