"""Compare ``data.load`` of a CSV file with pyarrow's own reader: time, and peak memory against the table's size.

``python benchmarks/reading.py [--rows 5000000] [--repeat 3]`` makes a file of about 200 bytes a row and measures each
side in a process of its own, in turns. The step also hashes the file, copies it and stores the table.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LIMITS = {"time": 1.2, "step": 2.5, "memory": 1.5}
"""The most that e2i may take: of the reader's time, for reading and for the whole step, and of the table's bytes."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--side", choices=sorted(SIDES), help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        print(json.dumps(measure(options.side, options.file)))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "workspace" / "rows.csv"
        path.parent.mkdir()
        write(path, options.rows)
        print(f"{options.rows:,} rows, {path.stat().st_size / 1e6:,.0f} MB")
        found = {side: [run(side, path) for _ in range(options.repeat)] for side in SIDES}
    report(found)


def report(found: dict[str, list[dict[str, float]]]) -> None:
    """Print the best of each side, and the ratios."""
    best = {side: min(runs, key=lambda run: run["seconds"]) for side, runs in found.items()}
    memory = {side: min(run["peak"] for run in runs) for side, runs in found.items()}
    table = best["pyarrow"]["table"]
    least = {side: min(run["cpu"] for run in runs) for side, runs in found.items()}
    print(f"{'':10}{'seconds':>10}{'of pyarrow':>12}{'CPU':>8}{'of pyarrow':>12}{'peak MB':>10}{'of the table':>14}")
    for side, run in best.items():
        share, work = run["seconds"] / best["pyarrow"]["seconds"], least[side] / least["pyarrow"]
        print(f"{side:10}{run['seconds']:10.2f}{share:12.2f}{least[side]:8.2f}{work:12.2f}", end="")
        print(f"{memory[side] / 1e6:10.0f}{memory[side] / table:14.2f}")
    print(f"limits: read {LIMITS['time']} and step {LIMITS['step']} of pyarrow's time, {LIMITS['memory']} of the table")


def run(side: str, path: Path) -> dict[str, float]:
    command = [sys.executable, __file__, "--side", side, "--file", str(path)]
    measured: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return measured


def measure(side: str, path: Path) -> dict[str, float]:
    """Read the file once; return the seconds, the memory at its peak beyond the start, and the table's size."""
    import pyarrow.csv  # noqa: F401 - loaded before the clock starts

    import e2i.tools.data.actions
    import e2i.tools.data.csv_file
    import e2i.tools.data.files
    import e2i.workers.context  # noqa: F401

    work = SIDES[side](path)
    before, start, cpu = memory("VmRSS"), time.perf_counter(), time.process_time()
    size = work()
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    return {"seconds": seconds, "cpu": cpu, "peak": memory("VmHWM") - before, "table": size}


def memory(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) * 1024


def pyarrow_alone(path: Path):  # type: ignore[no-untyped-def]
    """The same options as e2i's, with the types of the columns known beforehand."""
    from pyarrow import csv

    parse = csv.ParseOptions(newlines_in_values=True)
    types = csv.open_csv(path, parse_options=parse).schema
    return lambda: (
        csv.read_csv(path, parse_options=parse, convert_options=csv.ConvertOptions(column_types=types)).nbytes
    )


def inferring(path: Path):  # type: ignore[no-untyped-def]
    """Without types, as it is usually called."""
    from pyarrow import csv

    return lambda: csv.read_csv(path, parse_options=csv.ParseOptions(newlines_in_values=True)).nbytes


def reader(path: Path):  # type: ignore[no-untyped-def]
    from e2i.tools.data import LoadParams, files

    return lambda: files.read(path, LoadParams(path="rows.csv")).hand_over().nbytes


def step(path: Path):  # type: ignore[no-untyped-def]
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from context import LocalContext
    from e2i.tools.data import LoadParams, actions

    ctx = LocalContext(path.parents[1])

    def work() -> int:
        table = actions.load(LoadParams(path="rows.csv"), ctx).table
        return ctx.open(table).stat().st_size

    return work


SIDES = {"pyarrow": pyarrow_alone, "inferring": inferring, "read": reader, "step": step}


def write(path: Path, rows: int) -> None:
    """Write integers, floats, texts, booleans and gaps, from a fixed seed."""
    draw = random.Random(7)
    names = [f"customer {index} of {draw.choice(('north', 'south', 'east'))}" for index in range(5_000)]
    block = [
        ",".join(
            [
                str(draw.randrange(10**12)),
                draw.choice(names),
                *(f"{draw.gauss(0, 100):.6f}" for _ in range(8)),
                *(str(draw.randrange(1000)) for _ in range(8)),
                "" if draw.random() < 0.1 else f"{draw.random():.4f}",
                draw.choice(("true", "false")),
                draw.choice(names),
            ]
        )
        + "\n"
        for _ in range(min(rows, 20_000))
    ]
    with path.open("w", encoding="utf-8") as file:
        file.write(",".join(f"c{index}" for index in range(21)) + "\n")
        for first in range(0, rows, len(block)):
            file.writelines(block[: rows - first])


if __name__ == "__main__":
    main()
