"""Write the metrics file of a store: totals of runs, deferred steps, outbox, circuit breakers, size.

In: a workspace. Out: the file that the setting ``metrics_file`` names, replaced as a whole. It holds names of pipelines
and tools, and no data of runs. It may be read by everybody: a collector usually is another user.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from msgspec.structs import replace

from e2i import regular
from e2i.catalog.registry import SINKS
from e2i.operations import openmetrics, totals
from e2i.operations.notification import Notification
from e2i.operations.openmetrics import Family, Sample
from e2i.operations.totals import Totals
from e2i.resilience.breaker import Circuit, State
from e2i.resilience.circuits import circuit_files
from e2i.resilience.state_file import FOLDER, peek
from e2i.store.database import FILE, StoreError
from e2i.store.history import Reader
from e2i.workspace.workspace import Workspace

MEASURING = 2.0
"""Seconds that the end of a run measures the size of the store; then the last known size stays."""


def path_of(workspace: Workspace) -> Path | None:
    """Returns the path of the metrics file, if the settings name one."""
    named = workspace.settings.metrics_file
    return workspace.root / Path(named).expanduser() if named else None


def write(workspace: Workspace, path: Path, end: Notification | None = None, *, seconds: float = MEASURING) -> None:
    """Counts the end of a run, if there is one, and writes the file. Raises OSError.

    ``seconds`` bounds the time in which the size of the store is measured.
    """
    store = workspace.store
    if store.is_dir():
        size = _bytes(store, seconds)
        counted = totals.change(
            store,
            lambda found: replace(found.after(end) if end else found, bytes=found.bytes if size is None else size),
        )
    else:
        counted = Totals()  # nothing ran yet: reading metrics creates no store
    work = (*_deferred(store, counted), *_outbox(store))
    content = openmetrics.text([*_runs(counted), *work, *_breakers(workspace), *_size(store, counted)])
    regular.write(path, content.encode(), mode=0o644)  # a collector is another user, whatever the mask of the run is


def _runs(found: Totals) -> Iterator[Family]:
    yield Family(
        "e2i_runs",
        "counter",
        "Ends of runs, by status and code of the first error.",
        tuple(Sample(run.count, run.labels) for run in found.runs),
    )
    of = {end: {"pipeline": end.pipeline, "profile": end.profile} for end in found.ends}
    yield Family(
        "e2i_run_last_success_timestamp_seconds",
        "gauge",
        "End of the last run that succeeded, in seconds since the epoch.",
        tuple(Sample(end.succeeded_ms / 1000, of[end]) for end in found.ends if end.succeeded_ms is not None),
        "seconds",
    )
    yield Family(
        "e2i_run_last_end_timestamp_seconds",
        "gauge",
        "End of the last run, in seconds since the epoch.",
        tuple(Sample(end.ended_ms / 1000, of[end]) for end in found.ends),
        "seconds",
    )
    yield Family(
        "e2i_run_last_duration_seconds",
        "gauge",
        "Duration of the last run.",
        tuple(Sample(end.seconds, of[end]) for end in found.ends),
        "seconds",
    )
    yield Family(
        "e2i_run_last_exit_code",
        "gauge",
        "Exit code of the last run: 0 succeeded, 1 a step failed, 4 an outage.",
        tuple(Sample(end.exit_code, of[end]) for end in found.ends),
    )


def _deferred(store: Path, found: Totals) -> Iterator[Family]:
    """Yields the deferred steps of each pipeline, also where there are none: an alert needs the zero."""
    steps: Counter[tuple[str, str]] = Counter({(end.pipeline, end.profile): 0 for end in found.ends})
    if (store / FILE).exists():
        try:
            with Reader(store, lambda digest: True) as reader:
                for run in reader.deferred():
                    steps[run.pipeline, run.profile] += run.steps
        except StoreError:
            return
    yield Family(
        "e2i_deferred_steps",
        "gauge",
        "Steps of ended runs that were deferred and not executed since.",
        tuple(
            Sample(count, {"pipeline": pipeline, "profile": profile})
            for (pipeline, profile), count in sorted(steps.items())
        ),
    )


def _outbox(store: Path) -> Iterator[Family]:
    """Yields the entries of the outbox by tool, also where there are none: an alert needs the zero."""
    counts: dict[str, dict[str, int]] = {"waiting": {}, "refused": {}}
    if (store / FILE).exists():
        try:
            with Reader(store, lambda digest: True) as reader:
                counts = {"waiting": reader.waiting(), "refused": reader.refused()}
        except StoreError:
            return
    tools = sorted({*SINKS, *counts["waiting"], *counts["refused"]})
    yield Family(
        "e2i_outbox_entries",
        "gauge",
        "Telemetry that waits for a tool, or was refused by it.",
        tuple(
            Sample(found.get(tool, 0), {"tool": tool, "state": state})
            for state, found in counts.items()
            for tool in tools
        ),
    )


def _breakers(workspace: Workspace) -> Iterator[Family]:
    """Yields the states of the circuits of each tool that has any; ``server`` is empty for a tool with one."""
    try:
        files = os.listdir(workspace.store / FOLDER)  # noqa: PTH208 - names are enough
    except OSError:
        return
    samples = []
    for name in sorted(workspace.settings.registry):
        if not any(file.startswith((f"{name}.", f"{name}-")) for file in files):
            continue
        for server, file in circuit_files(workspace.store, name, workspace.settings.tool(name)).items():
            circuit = peek(file) or Circuit()
            labels = {"tool": name, "server": server}
            samples += [Sample(circuit.state is state, {**labels, "state": state.value}) for state in State]
    yield Family(
        "e2i_breaker_state",
        "gauge",
        "1 for the present state of the circuit breaker of a tool's server, else 0.",
        tuple(samples),
    )


def _size(store: Path, counted: Totals) -> Iterator[Family]:
    known = () if counted.bytes is None else (Sample(counted.bytes),)
    yield Family("e2i_store_bytes", "gauge", "Disk space of the store.", known, "bytes")
    try:
        disk = os.statvfs(store)
    except OSError:
        return
    free = (Sample(disk.f_bavail * disk.f_frsize),)
    yield Family("e2i_store_free_bytes", "gauge", "Free space of the file system of the store.", free, "bytes")


def _bytes(folder: Path, seconds: float) -> int | None:
    """Returns the disk space below a folder; None when it takes longer. Hard links within it count once."""
    ends, size, seen, folders = time.monotonic() + seconds, 0, set[int](), [str(folder)]
    while folders:
        if time.monotonic() > ends:
            return None
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    found = entry.stat(follow_symlinks=False)
                    if found.st_nlink == 1 or found.st_ino not in seen:
                        size += found.st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    elif found.st_nlink > 1:
                        seen.add(found.st_ino)
        except OSError:  # removed meanwhile
            continue
    return size
