"""A run of four steps of 2 s with trackers that are down in four ways, beside the same run with embedded ones.

Both sides run in turn, in one program. It prints, for each kind, the median wall seconds of both, what the run may take
(1.05 times the embedded one and 3 s), the median seconds from the end of the last step to the end of the run, in which
nothing but telemetry is waited for, and the longest call as the trackers saw it:
``python benchmarks/trackers.py [--pairs 5] [--kind silent]… [--tool mlflow]… [--flagship [-p NAME=VALUE]…]``

``--tool`` has only that tracker down; the other one is embedded. ``--flagship`` runs ``specs/flight_delays.yaml``
without its steps of MLflow, which need an answer: what remains is telemetry.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

KINDS = ("silent", "refusing", "never accepting", "dripping")
DEADLINES = {"mlflow": 5.0, "opik": 10.0}
ROOT = Path(__file__).resolve().parent.parent
FLAGSHIP = ROOT / "specs" / "flight_delays.yaml"
SPEC = """
version: 1
name: four
steps:
  a: {uses: debug.sleep, with: {seconds: 2}}
  b: {uses: debug.sleep, needs: [a], with: {seconds: 2}}
  c: {uses: debug.sleep, needs: [b], with: {seconds: 2}}
  d: {uses: debug.sleep, needs: [c], with: {seconds: 2}}
"""


class Down:
    """A tracker that is down in one way, and how long its clients stayed."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.longest = 0.0
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._queue: list[socket.socket] = []
        if kind == "never accepting":
            self._socket.listen(0)
            for _ in range(4):
                waiting = socket.socket()
                waiting.setblocking(False)
                waiting.connect_ex(("127.0.0.1", self.port))
                self._queue.append(waiting)
        elif kind != "refusing":
            self._socket.listen(128)
            threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        for item in (*self._queue, self._socket):
            item.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                threading.Thread(target=self._hold, args=(connection,), daemon=True).start()

    def _hold(self, connection: socket.socket) -> None:
        """Until the client has gone: says nothing, or a byte a second of an answer without end."""
        began = time.monotonic()
        connection.settimeout(0.05 if self.kind == "silent" else 1.0)
        text = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n" + b" " * 1000
        sent = 0
        while True:
            try:
                if connection.recv(1 << 16) == b"":
                    break
            except TimeoutError:
                if self.kind == "dripping":
                    with contextlib.suppress(OSError):
                        connection.send(text[sent : sent + 1])
                        sent += 1
            except OSError:
                break
        self.longest = max(self.longest, time.monotonic() - began)
        connection.close()


def run(folder: Path, number: str, words: Sequence[str] = ()) -> tuple[float, float]:
    """The seconds of one run, and those after its last step. Its store is its own, and is removed."""
    environ = {name: value for name, value in os.environ.items() if name not in ("E2I_STORE", "E2I_ORIGIN")}
    store = folder / number
    command = [sys.executable, "-m", "e2i.cli.main", "run", "s.yaml", "--json", "--store", str(store), *words]
    began = time.monotonic()
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=True)
    wall = time.monotonic() - began
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events[-1]["status"] == "succeeded", done.stdout
    shutil.rmtree(store)
    return wall, events[-1]["at"] - max(event["at"] for event in events if event["event"] == "step.finished")


def measure(kind: str, tools: Sequence[str], spec: Path | None, pairs: int, words: Sequence[str]) -> bool:
    """Prints the figures of one kind. Whether they are as promised. A first run, not timed, compiles the libraries."""
    trackers = {name: Down(kind) for name in tools}
    walls: list[tuple[float, float]] = []
    waits: list[tuple[float, float]] = []
    with _both(trackers, spec) as (embedded, down):
        run(embedded, "warm", words)
        for number in range(pairs):
            sides = [(0, embedded), (1, down)]
            took = {side: run(folder, str(number), words) for side, folder in sides[:: 1 - 2 * (number % 2)]}
            walls.append((took[0][0], took[1][0]))
            waits.append((took[0][1], took[1][1]))
    time.sleep(0.2)
    for tracker in trackers.values():
        tracker.close()
    ours, theirs = (statistics.median(side) for side in zip(*walls, strict=True))
    at_ends = [round(statistics.median(side), 2) for side in zip(*waits, strict=True)]
    may_take = 1.05 * ours + 3.0
    calls = {name: round(tracker.longest, 2) for name, tracker in trackers.items()}
    good = theirs <= may_take and all(calls[name] <= DEADLINES[name] + 0.5 for name in calls)
    rounded = [(round(a, 1), round(b, 1)) for a, b in walls]
    print(
        f"{f'{kind}, ' + ' and '.join(tools):<28} embedded {ours:5.1f} s  down {theirs:5.1f} s  limit {may_take:5.1f} s"
        f"  after the last step {at_ends}  longest calls {calls}"
        f"  {'as promised' if good else 'NOT as promised'}  pairs {rounded}",
        flush=True,
    )
    return good


@contextlib.contextmanager
def _both(trackers: dict[str, Down], spec: Path | None) -> Iterator[tuple[Path, Path]]:
    """A workspace with embedded trackers, and one with these."""
    with tempfile.TemporaryDirectory() as name:
        folders = (Path(name) / "embedded", Path(name) / "down")
        for folder, tools in zip(folders, ({}, _tools(trackers)), strict=True):
            (folder / "config").mkdir(parents=True)
            shutil.copytree(ROOT / "config" / "expectations", folder / "config" / "expectations")
            (folder / "s.yaml").write_text(spec.read_text("utf-8") if spec else SPEC)
            (folder / "config/default.yaml").write_text(json.dumps({"sinks": ["mlflow", "opik"], "tools": tools}))
        yield folders


def _tools(trackers: dict[str, Down]) -> dict[str, dict[str, str]]:
    addresses = {
        "mlflow": {"tracking_uri": "http://127.0.0.1:{port}"},
        "opik": {"url": "http://127.0.0.1:{port}/api"},
    }
    return {
        name: {key: text.format(port=tracker.port) for key, text in addresses[name].items()}
        for name, tracker in trackers.items()
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--kind", action="append", choices=KINDS)
    parser.add_argument("--tool", action="append", choices=sorted(DEADLINES))
    parser.add_argument("--flagship", action="store_true")
    parser.add_argument("-p", dest="params", action="append", default=[])
    options = parser.parse_args()
    words = [word for param in options.params for word in ("-p", param)]
    tools, spec = options.tool or sorted(DEADLINES), FLAGSHIP if options.flagship else None
    if spec is not None:
        steps = yaml.safe_load(spec.read_text("utf-8"))["steps"]
        words += [
            word
            for name, step in steps.items()
            if not step["uses"].startswith("mlflow.")
            for word in ("--select", name)
        ]
    kept = [measure(kind, tools, spec, options.pairs, words) for kind in options.kind or KINDS]
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
