"""Steps on a local cluster, beside the same work by bare dask.distributed, and empty steps at home, all in one run.

    python benchmarks/cluster.py [--nodes 16] [--cells 200] [--seconds 2] [--empty 2000] [--json]

The cluster has one-slot nodes. ``cells`` sleep: their wall time is compared with the number of waves times the seconds.
``empty`` steps end at once: milliseconds a step, on the cluster, by local processes, and by Dask alone. Before that,
every node executes a step, so that its processes have started. Times are from the first step's start to the last one's
end, by e2i's own events; by Dask, from the submission to the last result.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from distributed import Client

from e2i import api
from e2i.cluster import local
from e2i.cluster.connection import security
from e2i.cluster.local import LocalCluster
from e2i.execution.events import StepFinished, StepStarted

SPEC = """
version: 1
name: {name}
steps:
"""
STEP = """
  cells_from_{first}:
    uses: debug.sleep
    matrix: {{n: {cells}}}
    with: {{seconds: {seconds}, value: "${{{{ matrix.n }}}}"}}
"""
MOST = 500
"""Combinations of one matrix."""


@dataclass(slots=True)
class Figures:
    """What one run of the benchmark found. Times in seconds, or in milliseconds a step."""

    nodes: int
    cells: int
    ideal: float
    """Waves times the seconds of a cell."""
    cluster: float
    dask: float
    share: float
    """The ideal time, of what the cluster took."""
    against_dask: float
    empty: int
    empty_cluster_ms: float
    empty_local_ms: float
    empty_dask_ms: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=16)
    parser.add_argument("--cells", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--empty", type=int, default=2_000)
    parser.add_argument("--json", action="store_true", help="one JSON document instead of the table")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="e2i-bench-") as name:
        place = Path(name)
        with local.running(place / "cluster", given.nodes, environ=os.environ) as cluster:
            found = measure(place, cluster, given)
    if given.json:
        print(json.dumps({"schema_version": 1, **asdict(found)}))
    else:
        show(found, given.seconds)


def measure(place: Path, cluster: LocalCluster, given: argparse.Namespace) -> Figures:
    home, away = place / "home", place / "away"
    for root, settings in ((home, ""), (away, local.as_yaml(cluster.settings))):
        (root / "config").mkdir(parents=True)
        (root / "config" / "default.yaml").write_text(f"sinks: []\n{settings}")
    secured = security(cluster.settings.tls, place)
    with Client(cluster.settings.address, security=secured, set_as_default=False) as client:
        seconds_of(away, "warm", 2 * given.nodes, 0.5)
        seconds_of(home, "warm", os.cpu_count() or 1, 0.1)
        by_dask(client, 2 * given.nodes, 0.1)
        ran, bare = seconds_of(away, "cells", given.cells, given.seconds), by_dask(client, given.cells, given.seconds)
        empty = [seconds_of(root, "empty", given.empty, 0.0) for root in (away, home)]
        empty.append(by_dask(client, given.empty, 0.0))
    ideal = math.ceil(given.cells / given.nodes) * given.seconds
    away_ms, home_ms, dask_ms = (1000 * seconds / given.empty for seconds in empty)
    return Figures(
        nodes=given.nodes,
        cells=given.cells,
        ideal=ideal,
        cluster=ran,
        dask=bare,
        share=ideal / ran,
        against_dask=ran / bare,
        empty=given.empty,
        empty_cluster_ms=away_ms,
        empty_local_ms=home_ms,
        empty_dask_ms=dask_ms,
    )


def seconds_of(root: Path, name: str, cells: int, seconds: float) -> float:
    """Runs a matrix of sleeping steps. Returns the seconds from the first start to the last end."""
    spec = root / f"{name}.yaml"
    parts = [range(first, min(first + MOST, cells)) for first in range(0, cells, MOST)]
    steps = [STEP.format(first=part.start, cells=list(part), seconds=seconds) for part in parts]
    spec.write_text(SPEC.format(name=name) + "".join(steps))
    began: list[float] = []
    ended: list[float] = []

    def listen(event: object) -> None:
        if isinstance(event, StepStarted):
            began.append(time.monotonic())
        elif isinstance(event, StepFinished):
            ended.append(time.monotonic())

    record = api.run(spec, workspace=api.Workspace.open(root=root), listen=listen, fresh=True)
    assert record.status == "succeeded", record.status
    return max(ended) - min(began)


def by_dask(client: Client, cells: int, seconds: float) -> float:
    """Does the same sleeping by Dask alone. Returns the seconds."""
    began = time.monotonic()
    client.gather(client.map(time.sleep, [seconds] * cells, pure=False))
    return time.monotonic() - began


def show(found: Figures, seconds: float) -> None:
    print(f"{found.cells} cells of {seconds:g} s on {found.nodes} one-slot nodes (ideal {found.ideal:g} s)")
    print(f"  e2i on the cluster     {found.cluster:8.2f} s   {100 * found.share:.0f} % of the ideal; goal: 85 %")
    print(f"  dask.distributed       {found.dask:8.2f} s   e2i takes {found.against_dask:.2f} times as long; goal: 1.1")
    bound = 4 + 2 * found.empty_local_ms
    print(f"{found.empty} empty steps")
    print(f"  e2i on the cluster     {found.empty_cluster_ms:8.2f} ms a step   goal: 4 + 2 x local = {bound:.2f}")
    print(f"  e2i, local processes   {found.empty_local_ms:8.2f} ms a step")
    print(f"  dask.distributed       {found.empty_dask_ms:8.2f} ms a task")


if __name__ == "__main__":
    main()
