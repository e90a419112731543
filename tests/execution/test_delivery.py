"""The delivery process, from the engine's side."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from e2i.execution.delivery import DeliveryProcess
from e2i.settings import Settings
from e2i.store.disk import DiskTrouble
from e2i.store.runs import RunStore
from e2i.telemetry.entries import Entry
from e2i.workers.environment import for_worker
from project import ENGINE

SETTINGS = Settings(sinks=("opik",), flush=200)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    with closing(RunStore(tmp_path, lambda digest: True)) as run_store:
        started = {"pipeline": "p", "params": {}, "started_ms": 1000}
        run_store.record([Entry("r//run.started/1000", "opik", "r", "run.started", started)])
    return tmp_path


def start(store: Path) -> DeliveryProcess:
    return DeliveryProcess(
        store, SETTINGS, {**for_worker(os.environ, threads=1, store=store), "PYTHONPATH": str(ENGINE)}
    )


def test_it_delivers_what_waits(store: Path) -> None:
    assert start(store).finish()["opik"].delivered == 1


def test_a_hurried_caller_does_not_wait_and_receives_what_is_left(store: Path) -> None:
    dispatcher = start(store)
    os.kill(dispatcher.pid, signal.SIGSTOP)
    looks = iter([False, True])
    began = time.monotonic()
    tally = dispatcher.finish(lambda: next(looks))["opik"]
    assert time.monotonic() - began < SETTINGS.flush
    assert (tally.delivered, tally.left) == (0, 1)
    assert "stopped before it finished" in str(tally.problem)


@pytest.mark.parametrize("program", ["/bin/false", "/bin/true"])
def test_one_that_ends_before_it_was_started_costs_nothing(
    store: Path, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    popen = subprocess.Popen

    def ended(*args: Any, **options: Any) -> subprocess.Popen[bytes]:
        process = popen([program], *args[1:], **options)
        process.wait()
        return process

    monkeypatch.setattr(subprocess, "Popen", ended)
    assert start(store).finish()["opik"].left == 1


def test_a_store_that_goes_meanwhile_is_named(store: Path, tmp_path: Path) -> None:
    with pytest.raises(DiskTrouble, match="was moved or deleted while a run was using it"):
        start(tmp_path / "gone")


def test_one_that_was_killed_is_no_reason_to_believe_that_all_is_delivered(store: Path) -> None:
    dispatcher = start(store)
    os.kill(dispatcher.pid, signal.SIGKILL)
    assert dispatcher.finish()["opik"].left == 1
    with closing(sqlite3.connect(store / "state.db")) as database:
        assert database.execute("SELECT state FROM outbox").fetchall() == [("waiting",)]
