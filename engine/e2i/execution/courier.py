"""The process that delivers telemetry in the background: the outbox goes in, trackers have it.

Run as ``python -m e2i.execution.courier``; reads one line of JSON from standard input to start. When standard input
ends (the run is over, or the engine is gone) it delivers for at most the flush time more, prints its tallies as JSON
and ends.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

from e2i.catalog import registry
from e2i.catalog.telemetry import Sink
from e2i.execution.context import guard_of
from e2i.execution.journal import FILE
from e2i.execution.store import ArtifactStore
from e2i.resilience.courier import Tally, deliver
from e2i.resilience.outbox import Outbox
from e2i.settings import Settings


class CourierProcess:
    """The courier as the engine sees it: started with the first telemetry, ended with the run."""

    def __init__(self, store: Path, settings: Settings, environ: Mapping[str, str]) -> None:
        log = store / "courier.log"
        with log.open("ab") as errors:
            self._popen = subprocess.Popen(
                [sys.executable, "-P", "-m", "e2i.execution.courier"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=dict(environ),
                cwd=store,
                start_new_session=True,
            )
        assert self._popen.stdin is not None
        self._popen.stdin.write(
            json.dumps({"store": str(store), "settings": settings.model_dump_json()}).encode() + b"\n"
        )
        self._popen.stdin.flush()
        self._flush = settings.flush

    def finish(self) -> dict[str, Tally]:
        """Waits until everything is delivered, or the flush time is over. Nothing is lost either way."""
        try:
            output, _ = self._popen.communicate(timeout=self._flush + 15)
            return {name: Tally(**tally) for name, tally in json.loads(output or b"{}").items()}
        except (subprocess.TimeoutExpired, json.JSONDecodeError):
            self._popen.kill()
            self._popen.wait()
            return {}

    def kill(self) -> None:
        """Ends the courier at once; what it did not deliver waits in the outbox."""
        self._popen.kill()
        self._popen.communicate()


def sync(store: Path, settings: Settings, stop: threading.Event, *, flush: float) -> dict[str, Tally]:
    """Delivers what waits to every sink of these settings until ``stop`` is set, then for ``flush`` seconds more."""
    artifacts = ArtifactStore(store)
    guards = [guard_of(name, settings) for name in settings.sinks]
    return deliver(lambda: Outbox(store / FILE), sink_opener(artifacts, settings), guards, stop, flush=flush)


def sink_opener(artifacts: ArtifactStore, settings: Settings) -> Callable[[str], Sink]:
    """A function that opens the sink of a tool."""

    def open_sink(name: str) -> Sink:
        home = artifacts.root / name
        home.mkdir(parents=True, exist_ok=True)
        module = import_module(f"{registry.TOOLS[name]}.sink")
        sink: Sink = module.open_sink(settings.tool(name), home, lambda artifact: artifacts.path(artifact.digest))
        return sink

    return open_sink


def main() -> None:
    start: dict[str, Any] | None = json.loads(sys.stdin.readline() or "null")
    if start is None:
        return
    settings = Settings.model_validate_json(start["settings"])
    stop = threading.Event()

    def wait_for_end() -> None:
        sys.stdin.read()
        stop.set()

    threading.Thread(target=wait_for_end, daemon=True).start()
    tallies = sync(Path(start["store"]), settings, stop, flush=settings.flush)
    print(json.dumps({name: asdict(tally) for name, tally in tallies.items()}), flush=True)


if __name__ == "__main__":
    main()
