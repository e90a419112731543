"""Steps that do nothing: what the engine itself costs, durable, beside floors and beside peers, all in one run.

    python benchmarks/steps.py [--steps 1000] [--large 10000] [--runs 3] [--peers DIR] [--install] [--json]

Floors are one SQLite commit, 32 rows in one commit, and a call to a warm process pool, on the same disk. Peers (doit,
luigi) are looked for in the environment at DIR; ``--install`` makes it first, from the package registry, and
those that are not there are left out. Every command is a whole process, run in turn with the others; figures are
medians of the runs, ratios are taken run by run.

``ms a step`` is the time from the first step's start to the last one's end, by e2i's own events, divided by the steps;
``CPU`` and ``wall`` are the whole process with all that it started. What a peer takes for one step is taken off.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import floors
import peers
from watched import Ran, run

E2I = str(Path(sys.executable).parent / "e2i")


@dataclass(slots=True)
class Line:
    """One line of the table, and what it is held to."""

    name: str
    ms: float | None
    """Milliseconds a step."""
    cpu_ms: float
    """CPU milliseconds a step."""
    wall: float
    cpu: float
    memory: float
    goals: list[tuple[str, float, float]] = field(default_factory=list)
    """What is compared, what came out, and the most that it may be."""
    along: list[tuple[int, float]] = field(default_factory=list)
    """The memory along the run: finished steps, and MB."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1_000)
    parser.add_argument("--large", type=int, default=10_000, help="steps of the large spec; 0 leaves it out")
    parser.add_argument("--runs", type=int, default=3, help="of all but the large spec")
    parser.add_argument("--peers", type=Path, default=Path(tempfile.gettempdir()) / "e2i-peers")
    parser.add_argument("--install", action="store_true", help="install the peers into the environment first")
    parser.add_argument("--json", action="store_true", help="one JSON document instead of the table")
    given = parser.parse_args()
    if given.install:
        peers.install(given.peers)
    with tempfile.TemporaryDirectory(prefix="e2i-bench-") as name:
        rounds = [small(location(name, f"round-{number}"), given.steps, given.peers) for number in range(given.runs)]
        floor, lines = floors.median([floor for floor, _ in rounds]), median([lines for _, lines in rounds])
        lines += large(location(name, "large"), given.large) if given.large else []
    if given.json:
        print(json.dumps({"schema_version": 1, "floors": floor.to_json(), "lines": [asdict(line) for line in lines]}))
    else:
        show(floor, lines)


def location(root: str, name: str) -> Path:
    """A workspace that reports to no tracker."""
    folder = Path(root) / name
    (folder / "config").mkdir(parents=True)
    (folder / "config" / "default.yaml").write_text("sinks: []\n", "utf-8")
    return folder


def small(folder: Path, steps: int, environment: Path) -> tuple[floors.Floors, list[Line]]:
    """Chains and fans, run, run again and resumed; and the floors at this time."""
    floor = floors.measure(folder)
    chain: list[list[int]] = [[i - 1] if i else [] for i in range(steps)]
    fan: list[list[int]] = [[] for _ in range(steps)]
    one = floor.commit * 1000
    called = floor.call * 1000 + one
    found: list[Line] = []
    checked = e2i(folder, "validate", write(folder, "check", chain, "echo"))
    planned = e2i(folder, "plan", write(folder, "check", chain, "echo"), "--json", "--store", "none")
    found.append(whole("e2i validate", checked, steps))
    for shape, needs, in_worker, in_engine in (("chain", chain, 2.0, 2.0), ("fan", fan, 1.0, 0.75)):
        for action, least, times in (("sleep", called, in_worker), ("echo", one, in_engine)):
            spec = write(folder, f"{shape}-{action}", needs, action)
            ran = e2i(folder, "run", spec, "--json")
            where = "in workers" if action == "sleep" else "in the engine"
            line = whole(f"e2i {shape}, {where}", ran, steps, less=planned.cpu)
            line.ms = span(ran, steps)
            line.goals.append((f"ms / {'(call + commit)' if action == 'sleep' else 'commit'}", line.ms / least, times))
            if action == "echo":
                line.goals.append(("CPU ms a step", line.cpu_ms, 0.4))
            found.append(line)
    again = e2i(folder, "run", write(folder, "chain-echo", chain, "echo"), "--json")
    line = whole("e2i chain again, nothing to do", again, steps)
    line.goals.append(("CPU / validate", again.cpu / checked.cpu, 1.4))
    line.goals.append(("CPU ms a finished step", max(0.0, again.cpu - checked.cpu) * 1000 / steps, 0.05))
    found.append(line)
    found += resumed(folder, steps)
    for shape, needs in (("chain", chain), ("fan", fan)):
        for again_of, ran in beside(folder / f"peers-{shape}", environment, needs):
            found.append(again_of)
            if "again" in again_of.name and shape == "chain":
                line.goals.append((f"CPU / {again_of.name.split()[0]}", again.cpu / ran.cpu, 1.0))
    return floor, found


def median(rounds: Sequence[Sequence[Line]]) -> list[Line]:
    """The median of every figure over rounds of the same lines."""
    found = []
    for lines in zip(*rounds, strict=True):
        first = lines[0]
        figures = {
            name: statistics.median(getattr(line, name) for line in lines)
            for name in ("cpu_ms", "wall", "cpu", "memory")
        }
        ms = statistics.median(line.ms for line in lines if line.ms is not None) if first.ms is not None else None
        goals = [
            (what, statistics.median(line.goals[number][1] for line in lines), most)
            for number, (what, _, most) in enumerate(first.goals)
        ]
        found.append(Line(first.name, ms, goals=goals, **figures))
    return found


def resumed(folder: Path, steps: int) -> list[Line]:
    """A chain whose middle step fails, mended and run again, beside a run of the steps that were left."""
    half = steps // 2
    needs = [[i - 1] if i else [] for i in range(steps)]
    spec = write(folder, "fails", needs, "echo", fails=half)
    e2i(folder, "run", spec, "--json", code=1)
    ran = e2i(folder, "run", spec, "--json", "-p", "ok=true")
    rest = e2i(folder, "run", write(folder, "rest", needs[: steps - half], "echo"), "--json")
    line = whole(f"e2i resumed at step {half + 1}", ran, steps - half)
    line.goals.append(("CPU / the steps left alone", ran.cpu / rest.cpu, 1.15))
    return [line, whole("e2i the steps left alone", rest, steps - half)]


def beside(folder: Path, environment: Path, needs: Sequence[Sequence[int]]) -> list[tuple[Line, Ran]]:
    """What each peer that is there takes for the same steps, and again when all are done."""
    found = []
    shape = folder.name.partition("-")[2]
    first = {
        name: run(command, folder / "one" / name)
        for name, command in peers.commands(environment, folder / "one", [[]]).items()
    }
    for name, command in peers.commands(environment, folder / "all", needs).items():
        ran = run(command, folder / "all" / name)
        line = whole(f"{name} {shape}", ran, len(needs), less=first[name].cpu)
        line.ms = (ran.wall - first[name].wall) * 1000 / len(needs)
        found.append((line, ran))
        again = run(command, folder / "all" / name)
        found.append((whole(f"{name} {shape} again, nothing to do", again, len(needs)), again))
    return found


def large(folder: Path, steps: int) -> list[Line]:
    """A spec of very many steps: planned, run, and run again; memory after a tenth of them and at the end."""
    spec = write(folder, "large", [[i - 1] if i else [] for i in range(steps)], "echo")
    planned = whole(f"e2i plan, {steps:,} steps", e2i(folder, "plan", spec, "--json", "--store", "none"), steps)
    planned.goals += [("CPU s", planned.cpu, 10), ("MB", planned.memory, 1_000)]
    ran = e2i(folder, "run", spec, "--json")
    line = whole(f"e2i chain, {steps:,} steps", ran, steps, less=planned.cpu)
    line.ms = span(ran, steps)
    counts = [steps * tenth // 10 for tenth in range(1, 11)]
    line.along = list(zip(counts, ran.held("step.finished", counts), strict=True))
    line.goals += [
        ("MB", line.memory, 1_000),
        ("MB at the end / at a tenth", line.along[-1][1] / line.along[0][1], 1.1),
    ]
    again = e2i(folder, "run", spec, "--json")
    resumed_line = whole(f"e2i again, {steps:,} steps", again, steps)
    resumed_line.goals.append(("CPU s", again.cpu, 5))
    return [planned, line, resumed_line]


def e2i(folder: Path, *arguments: str, code: int = 0) -> Ran:
    store = [] if "--store" in arguments or arguments[0] == "validate" else ["--store", Path(arguments[1]).stem]
    return run([E2I, *arguments, *store], folder, code)


def write(folder: Path, name: str, needs: Sequence[Sequence[int]], action: str, fails: int | None = None) -> str:
    """A spec of such steps. The step ``fails`` does so until the parameter ``ok`` is true."""
    path = folder / f"{name}.yaml"
    given = "seconds: 0, " if action == "sleep" else ""
    with path.open("w", encoding="utf-8") as file:
        file.write("version: 1\nname: steps\nparams: {ok: {type: boolean, default: false}}\nsteps:\n")
        for number, above in enumerate(needs):
            value = f'"${{{{ steps.s{above[0]}.value }}}}"' if above else str(number)
            if number == fails:
                value = f'"${{{{ steps.s{above[0]}.value if params.ok else steps.s{above[0]}.value.nothing }}}}"'
            file.write(f"  s{number}: {{uses: debug.{action}, with: {{{given}value: {value}}}}}\n")
    return str(path)


def span(ran: Ran, steps: int) -> float:
    """Milliseconds a step, from the first one's start to the last one's end."""
    started = next(event["at"] for event in ran.events if event["event"] == "step.started")
    ended = max(event["at"] for event in ran.events if event["event"] == "step.finished")
    return float(ended - started) * 1000 / steps


def whole(name: str, ran: Ran, steps: int, less: float = 0.0) -> Line:
    return Line(name, None, (ran.cpu - less) * 1000 / steps, ran.wall, ran.cpu, ran.memory)


def show(floor: floors.Floors, lines: Sequence[Line]) -> None:
    print("floors, ms: " + ", ".join(f"{name} {value:.3f}" for name, value in floor.to_json().items()))
    print(f"\n{'':36}{'ms a step':>10}{'CPU ms':>8}{'wall s':>8}{'CPU s':>8}{'MB':>7}")
    for line in lines:
        ms = f"{line.ms:10.3f}" if line.ms is not None else " " * 10
        print(f"  {line.name:34}{ms}{line.cpu_ms:8.3f}{line.wall:8.2f}{line.cpu:8.2f}{line.memory:7.0f}")
        for what, found, most in line.goals:
            print(f"    goal: {what} ≤ {most:,g}: {found:,.2f}, {'reached' if found <= most else 'not reached'}")
        if line.along:
            print("    MB along the run: " + ", ".join(f"{held:.0f}" for _, held in line.along))
    if not any(name in line.name for line in lines for name in peers.WRITERS):
        print("\npeers: none found; --install gets them from the package registry")


if __name__ == "__main__":
    main()
