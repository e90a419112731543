"""The telemetry of programs while the outbox is full: long series are thinned, everything else is kept."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from e2i.mlops.outgoing import Outgoing
from e2i.settings import Settings
from e2i.store.artifacts import ArtifactStore
from e2i.store.database import FILE
from e2i.telemetry.entries import Entry
from e2i.telemetry.outbox import Outbox

RUN = "0123456789abcdef" * 2


def metrics(number: int) -> Entry:
    body = {"metrics": {"loss": 1.0, f"only_{number}": 2.0}, "step": number, "at_ms": 1}
    return Entry(f"{RUN}/{number}", "mlflow", RUN, "program.metrics", body)


def test_metrics_of_a_program_are_thinned_at_the_limit_and_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outgoing = Outgoing(tmp_path, ArtifactStore(tmp_path), Settings(outbox_limit="1B"))
    outgoing.put([Entry(f"{RUN}/start", "mlflow", RUN, "program.started", {})])
    for number in range(1, 101):
        outgoing.put([metrics(number)])
    outgoing.put([Entry(f"{RUN}/end", "mlflow", RUN, "program.finished", {})])
    entries = outgoing.ask(lambda outbox: outbox.undelivered())
    assert [entry.body["step"] for entry in entries if "loss" in entry.body.get("metrics", {})] == [
        1, 2, 4, 8, 16, 32, 64,
    ]  # fmt: skip
    assert sum(entry.kind == "program.metrics" for entry in entries) == 100, "each has a value of its own"
    assert [entries[0].kind, entries[-1].kind] == ["program.started", "program.finished"]
    assert capsys.readouterr().err == "e2i: the outbox has reached its limit of 1B: metrics are thinned\n"


def test_below_the_limit_everything_is_kept(tmp_path: Path) -> None:
    outgoing = Outgoing(tmp_path, ArtifactStore(tmp_path), Settings())
    for number in range(100):
        outgoing.put([metrics(number)])
    entries = outgoing.ask(lambda outbox: outbox.undelivered())
    assert sum("loss" in entry.body["metrics"] for entry in entries) == 100


@pytest.mark.slow
def test_the_end_of_a_program_is_no_strike_against_what_it_was_sending(tmp_path: Path) -> None:
    program = """
import pathlib, sys, threading
from e2i.mlops.outgoing import Outgoing
from e2i.resilience.breaker import Breaker
from e2i.resilience.guard import Guard
from e2i.settings import Settings
from e2i.store.artifacts import ArtifactStore
from e2i.telemetry.entries import Entry
from e2i.tools.opik import OpikSettings
import e2i.mlops.outgoing as module

sending = threading.Event()

class Slow:
    def deliver(self, entries):
        sending.set()
        threading.Event().wait()

module.sink_opener = lambda artifacts, settings: lambda name: Slow()
store = pathlib.Path(sys.argv[1])
outgoing = Outgoing(store, ArtifactStore(store), Settings())
outgoing.put([Entry("r/1", "opik", "r", "opik.trace", {})])
outgoing.deliver("opik", OpikSettings(), Guard("opik", Breaker("opik"), deadline=60))
assert sending.wait(60)
"""
    for _ in range(3):
        subprocess.run([sys.executable, "-c", program, tmp_path], check=True, timeout=200)
    with Outbox(tmp_path / FILE) as outbox:
        attempts = outbox.attempts("opik")
        attempts.recover()
        assert (attempts.poison(), outbox.depth()) == ([], {"opik": 1})
