"""The process that delivers telemetry in the background.

In: the outbox. Out: trackers have its entries.

Run by ``e2i.workers.launch``. Reads one line of JSON from standard input to start, and another when the run is over.
When standard input ends without the second line, the engine has died, and its run is closed. Then it delivers for at
most the flush time more, prints its tallies as JSON and ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct, convert

from e2i import startup
from e2i.catalog.action import ToolSettings
from e2i.catalog.registry import SINKS, TOOLS
from e2i.documents import plain
from e2i.execution import abandoned
from e2i.resilience.processes import process_alive, process_identity
from e2i.settings import Settings
from e2i.store import disk
from e2i.store.artifacts import ArtifactStore
from e2i.store.database import FILE, WAIT, StoreError
from e2i.store.runs import RunStore
from e2i.telemetry.dispatcher import Tracker, deliver
from e2i.telemetry.entries import Sink, target_of
from e2i.telemetry.outbox import Outbox, Tally
from e2i.workers import guardian, launch
from e2i.workers.context import guard_of

OVER = b"over\n"
COURTESY = 5
"""Niceness of the delivery process: trackers can wait a little when the cores are busy, steps should not."""
DYING = 5.0
"""Seconds within which a process has exited after its pipes were closed."""
LOOK = 0.1
"""Seconds between two checks whether the caller still wants to wait."""


class Start(Struct, frozen=True, kw_only=True):
    """The first line to a delivery process."""

    store: str
    settings: str
    """The settings as JSON."""
    engine: str
    """The identity of the process that started it."""
    patient: bool
    """Whether an open circuit is waited for."""


class DeliveryProcess:
    """The delivery process as the engine sees it: started with the first telemetry, ended with the run."""

    def __init__(self, store: Path, settings: Settings, environ: Mapping[str, str], *, patient: bool = True) -> None:
        """Without ``patient``, a tracker is tried although its circuit is open: the user asked for it."""
        try:
            with (store / "delivery.log").open("ab") as errors:
                self._popen = subprocess.Popen(
                    launch.command("e2i.execution.delivery"),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    env=dict(environ),
                    cwd=store,
                    start_new_session=True,
                )
        except FileNotFoundError:
            disk.expect(store)
            raise
        assert self._popen.stdin is not None
        start = Start(store=str(store), settings=settings.model_dump_json(), engine=process_identity(), patient=patient)
        with contextlib.suppress(BrokenPipeError):  # the process has died; its entries stay in the outbox
            self._popen.stdin.write(_line(start) + b"\n")
            self._popen.stdin.flush()
        self._settings = settings
        self._store = store

    @property
    def pid(self) -> int:
        return self._popen.pid

    def finish(self, hurried: Callable[[], bool] = lambda: False) -> dict[str, Tally]:
        """Waits until everything is delivered, the flush time is over, or the caller is ``hurried``.

        Nothing is lost in any case.
        """
        assert self._popen.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._popen.stdin.write(OVER)
            self._popen.stdin.flush()
        ends = time.monotonic() + self._settings.flush + 15
        while time.monotonic() < ends and not hurried():
            try:
                output, _ = self._popen.communicate(timeout=LOOK)
                return convert(json.loads(output), dict[str, Tally])
            except subprocess.TimeoutExpired:
                continue
            except json.JSONDecodeError:  # the process was killed
                break
        self.kill()
        return self._waiting()

    def kill(self) -> None:
        """Ends the process at once. Undelivered entries stay in the outbox."""
        was_running = self._popen.poll() is None
        self._popen.kill()
        self._popen.communicate()
        if was_running and (self._store / FILE).exists():
            with contextlib.suppress(sqlite3.Error), Outbox(self._store / FILE, wait=0) as outbox:
                outbox.forgive()

    def _waiting(self) -> dict[str, Tally]:
        """Returns the tallies when the process cannot report them any more."""
        try:
            with Outbox(self._store / FILE) as outbox:
                depth = outbox.depth()
        except sqlite3.Error:
            return {}
        problem = "the delivery was stopped before it finished"
        return {name: Tally(left=depth[name], problem=problem) for name in depth}


def sync(
    store: Path, settings: Settings, stop: threading.Event, *, flush: float, patient: bool = False
) -> dict[str, Tally]:
    """Delivers entries until ``stop`` is set, then for ``flush`` seconds more. Returns a tally for each sink.

    Includes tools that are no sinks in these settings: they receive the ends of their runs. Such a tool has a tally
    only if it had entries. Without ``patient``, a tracker is tried although its circuit is open.
    """
    with contextlib.suppress(sqlite3.Error), Outbox(store / FILE, wait=WAIT) as outbox:
        outbox.end_dead_programs(process_alive, int(time.time() * 1000))
    artifacts = ArtifactStore(store)
    guards = [guard_of(name, settings, store, patient=patient) for name in SINKS]
    tallies = deliver(
        lambda: Outbox(store / FILE, wait=WAIT),
        sink_opener(artifacts, settings),
        guards,
        stop,
        flush=flush,
        trackers={name: tracker_of(settings.tool(name), name) for name in SINKS},
    )
    return {name: tally for name, tally in tallies.items() if name in settings.sinks or tally != Tally()}


def tracker_of(settings: ToolSettings, name: str) -> Tracker:
    """Returns the tracker that a tool's settings name."""
    address = settings.address()
    if address is None:
        return Tracker(target_of(settings))

    def check() -> None:
        import_module(f"{TOOLS[name]}.checking").check(settings)

    return Tracker(target_of(settings), address, check)


def sink_opener(artifacts: ArtifactStore, settings: Settings) -> Callable[[str], Sink]:
    """Returns a function that opens the sink of a tool."""

    def open_sink(name: str) -> Sink:
        home = disk.folder(artifacts.root, name)
        module = import_module(f"{TOOLS[name]}.sink")
        sink: Sink = module.open_sink(settings.tool(name), home, lambda artifact: artifacts.path(artifact.digest))
        return sink

    return open_sink


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # sent to all processes of a service; this one ends with the engine
    channel = own_channel()
    first = sys.stdin.readline()
    if not first:
        return
    start = convert(json.loads(first), Start)
    guardian.leave_no_core()
    startup.defer_heavy_modules()
    startup.collect_rarely()
    os.nice(COURTESY)
    settings, store = Settings.model_validate_json(start.settings), Path(start.store)
    stop = threading.Event()

    def wait_for_end() -> None:
        if not sys.stdin.read():
            _wait_until_gone(start.engine)
            _close_abandoned(store)
        stop.set()

    _close_abandoned(store)
    threading.Thread(target=wait_for_end, daemon=True).start()
    tallies = sync(store, settings, stop, flush=settings.flush, patient=start.patient)
    with contextlib.suppress(BrokenPipeError):  # the engine has died
        channel.write(_line(tallies))
        channel.close()


def own_channel() -> BinaryIO:
    """Reserves standard output for the tallies. What a tool prints goes to the log, with the errors."""
    channel = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return channel


def _line(message: Start | dict[str, Tally]) -> bytes:
    """Returns a message as JSON of the standard library: a path or an error may hold bytes that are not text."""
    return json.dumps(plain(message)).encode()


def _wait_until_gone(process: str) -> None:
    """Waits until a process has exited. A killed process closes its pipes a little earlier."""
    ends = time.monotonic() + DYING
    while process_alive(process) and time.monotonic() < ends:
        time.sleep(0.01)


def _close_abandoned(store: Path) -> None:
    try:
        with contextlib.closing(RunStore(store, lambda digest: True)) as run_store:
            abandoned.close(run_store)
    except StoreError as error:  # what is in the outbox may still be delivered
        print(error.message, file=sys.stderr)


if __name__ == "__main__":
    main()
    startup.exit_now(0)
