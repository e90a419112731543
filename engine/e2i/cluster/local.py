"""A cluster on this machine, for tests and laptops: a scheduler and nodes, each with its own folder, encrypted.

In: a folder and a number of nodes. Out: running processes, each under a guardian that ends it with this process, and
the settings by which a run uses them.
"""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from queue import SimpleQueue

from msgspec import Struct

from e2i.cluster import certificates
from e2i.cluster.certificates import Certificates
from e2i.cluster.connection import Connection
from e2i.cluster.faults import ClusterGone
from e2i.machines import Dask, Shared, Tls
from e2i.store import ownership
from e2i.workers import guardian, launch
from e2i.workers.environment import for_worker

SETTINGS = "executor.yaml"
START_WITHIN = 60.0
"""Seconds in which the scheduler and all nodes must have started."""
LOOK = 0.1
EVENTS_KEPT = "200"
"""Number of reports of a run that the scheduler keeps in memory."""
HOST = "127.0.0.1"
NO_PAGES = ("--no-dashboard", "--dashboard-address", f"{HOST}:0")
SILENT = {"DASK_DISTRIBUTED__SCHEDULER__HTTP__ROUTES": "[]", "DASK_DISTRIBUTED__WORKER__HTTP__ROUTES": "[]"}
"""Dask's processes also serve HTTP, without encryption and to anybody: logs, addresses, running code. No page of it."""


class LocalCluster(Struct, frozen=True):
    """A running cluster."""

    settings: Dask
    processes: Mapping[str, subprocess.Popen[bytes]]
    """The guardian of each process: ``scheduler``, ``node-1`` …"""

    def ends(self) -> Iterator[str]:
        """Yields the name of each process when it ends, until the scheduler or the last node has ended."""
        left = dict(self.processes)
        while "scheduler" in left and len(left) > 1:
            for name in [name for name, process in left.items() if process.poll() is not None]:
                del left[name]
                yield name
            time.sleep(LOOK)


@contextmanager
def running(
    folder: Path, nodes: int, *, slots: int = 1, resources: str = "", port: int = 0, environ: Mapping[str, str]
) -> Iterator[LocalCluster]:
    """Runs a cluster in the folder until the end of the block. Writes certificates and ``executor.yaml`` there.

    ``slots``: calls that a node executes at a time. ``resources``: what each node declares, as Dask writes it, such as
    ``gpus=1``. Raises ClusterGone when it does not start.
    """
    ownership.create(folder)
    folder = folder.resolve()
    storage = folder / "storage"
    storage.mkdir(mode=0o700, exist_ok=True)
    made = certificates.make(folder, datetime.datetime.now(datetime.UTC))
    tls = Tls(ca=str(made.ca), cert=str(made.cert), key=str(made.key))
    with ExitStack() as stack:
        lifeline, ours = os.pipe()
        stack.callback(os.close, lifeline)
        end = stack.enter_context(_ended(ours))
        base = {
            **for_worker(environ, threads=os.cpu_count() or 1, store=folder),
            "DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "true",
            "DASK_DISTRIBUTED__ADMIN__LOW_LEVEL_LOG_LENGTH": EVENTS_KEPT,
            **SILENT,
        }
        about = folder / "scheduler.json"
        about.unlink(missing_ok=True)
        where = ["--port", str(port), "--scheduler-file", str(about)]
        processes = {"scheduler": _start("scheduler", [*where, *_secured(made)], folder, lifeline, base)}
        end.append(processes["scheduler"])
        address = _address(about, processes["scheduler"], folder)
        for number in range(1, nodes + 1):
            name = f"node-{number}"
            own = folder / name
            own.mkdir(mode=0o700, exist_ok=True)
            options = ["--nthreads", str(slots), "--memory-limit", "0", "--local-directory", str(own), "--name", name]
            options += ["--resources", resources] if resources else []
            processes[name] = _start(name, [address, *options, *_secured(made)], folder, lifeline, base)
            end.append(processes[name])
        settings = Dask(type="dask", address=address, tls=tls, store=Shared(url=storage.as_uri()))
        _wait_for(settings, nodes, folder)
        (folder / SETTINGS).write_text(as_yaml(settings), encoding="utf-8")
        yield LocalCluster(settings, processes)


def as_yaml(settings: Dask) -> str:
    """Returns the settings of a run that uses the cluster, as a file in ``config/``. JSON strings are YAML."""
    tls = settings.tls
    lines = [
        "executor:",
        "  type: dask",
        f"  address: {settings.address}",
        "  tls:",
        *(f"    {key}: {json.dumps(path)}" for key, path in (("ca", tls.ca), ("cert", tls.cert), ("key", tls.key))),
        "  store:",
        f"    url: {json.dumps(settings.store.url)}",
    ]
    return "\n".join(lines) + "\n"


@contextmanager
def _ended(lifeline: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Ends the processes that are added to the list, by closing the lifeline of their guardians."""
    processes: list[subprocess.Popen[bytes]] = []
    try:
        yield processes
    finally:
        os.close(lifeline)
        until = time.monotonic() + guardian.GRACE + 2 * guardian.LAST_WAIT
        for process in processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, until - time.monotonic()))


def _start(
    name: str, options: Sequence[str], folder: Path, lifeline: int, environ: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    module = "distributed.cli.dask_scheduler" if name == "scheduler" else "distributed.cli.dask_worker"
    command = launch.command(module, *options, "--protocol", "tls", "--host", HOST, *NO_PAGES)
    with (folder / f"{name}.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", guardian.__file__, str(lifeline), "", *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=dict(environ),
            cwd=folder,
            pass_fds=(lifeline,),
            start_new_session=True,
        )


def _secured(made: Certificates) -> list[str]:
    return ["--tls-ca-file", str(made.ca), "--tls-cert", str(made.cert), "--tls-key", str(made.key)]


def _address(about: Path, scheduler: subprocess.Popen[bytes], folder: Path) -> str:
    """Returns the address of the scheduler, once it has written it."""
    until = time.monotonic() + START_WITHIN
    while time.monotonic() < until and scheduler.poll() is None:
        with suppress(OSError, ValueError, KeyError):  # not there, or not complete
            return str(json.loads(about.read_bytes())["address"])
        time.sleep(LOOK)
    raise _not_started("scheduler", folder)


def _wait_for(settings: Dask, nodes: int, folder: Path) -> None:
    """Returns when all nodes have registered."""
    connection = Connection(settings, folder, SimpleQueue())
    try:
        until = time.monotonic() + START_WITHIN
        while len(found := connection.nodes()) < nodes:
            if time.monotonic() > until:
                names = {f"node-{number}" for number in range(1, nodes + 1)} - {node.name for node in found}
                raise _not_started(", ".join(sorted(names)), folder)
            time.sleep(LOOK)
    finally:
        connection.close()


def _not_started(name: str, folder: Path) -> ClusterGone:
    return ClusterGone(
        f"the local cluster did not start: {name}", code="cluster-gone", hint=f"see the logs in {folder}"
    )
