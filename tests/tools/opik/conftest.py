"""Fixtures for Opik: a stand-in server, connectors and sinks, and a guarantee that nothing leaves this machine."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from e2i.resilience.breaker import Breaker
from e2i.resilience.guard import Guard
from e2i.telemetry.entries import Entry
from e2i.tools.opik import TOOL, OpikSettings
from e2i.tools.opik.connector import GuardedOpik
from tools.opik.stand_in import StandIn

STARTED = 1_790_000_000_000


@pytest.fixture(autouse=True)
def loopback_only(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Fails the test when anything connects, or looks up a name, outside of this machine."""
    outside: list[Any] = []
    connect, look_up = socket.socket.connect, socket.getaddrinfo

    def guarded_connect(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "::1"):
            outside.append(address)
            raise PermissionError(f"a test connects to {address}")
        connect(self, address)

    def guarded_look_up(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host not in ("127.0.0.1", "localhost", "::1"):
            outside.append(host)
            raise PermissionError(f"a test looks up {host}")
        return look_up(host, *args, **kwargs)

    monkeypatch.setattr(socket.socket, "connect", guarded_connect)
    monkeypatch.setattr(socket, "getaddrinfo", guarded_look_up)
    yield outside
    assert outside == []


@pytest.fixture
def server(tmp_path: Path) -> Iterator[StandIn]:
    stand_in = StandIn(tmp_path / "server" / "traces.db")
    stand_in.start()
    yield stand_in
    stand_in.close()


@pytest.fixture
def connect(tmp_path: Path) -> Callable[..., GuardedOpik]:
    """Makes a connector: embedded in ``tmp_path``/home, or with the settings given."""

    def make(home: Path = tmp_path / "home", deadline: float = 20.0, **settings: Any) -> GuardedOpik:
        guard = Guard("opik", breaker=Breaker("opik"), deadline=deadline, outages=TOOL.outages, extra=TOOL.extra)
        return GuardedOpik(OpikSettings(**settings), guard, home)

    return make


def telemetry(run: str = "r1") -> list[Entry]:
    """A run of two steps: ``tune`` with two trials and metrics, and a matrix of two cells, one of which failed."""
    bodies: list[tuple[str, dict[str, Any]]] = [
        ("run.started", {"pipeline": "hcp", "params": {"trials": 2}, "spec": "sha256:ab", "started_ms": STARTED,
                         "profile": "dev"}),
        ("param", {"step": "tune", "name": "lr", "value": 0.1}),
        ("metric", {"step": "tune", "name": "auc", "value": 0.7, "index": 0, "at_ms": STARTED + 20}),
        ("metric", {"step": "tune", "name": "auc", "value": 0.8, "index": 1, "at_ms": STARTED + 30}),
        ("child", {"step": "tune", "name": "trial 0", "status": "finished", "started_ms": STARTED + 11,
                   "ended_ms": STARTED + 20, "params": {"lr": 0.1}, "metrics": {"auc": 0.7}}),
        ("child", {"step": "tune", "name": "trial 1", "status": "failed", "started_ms": STARTED + 20,
                   "ended_ms": STARTED + 30, "params": {"lr": 0.3}, "metrics": {}}),
        ("attachment", {"step": "tune", "name": "plot.png", "artifact": {"type": "report", "digest": "sha256:cd"}}),
        ("step.finished", {"step": "tune", "uses": "optuna.tune", "agent": "model_trainer", "status": "succeeded",
                           "attempts": 1, "started_ms": STARTED + 10, "ended_ms": STARTED + 40, "needs": ["load"],
                           "inputs": {"trials": 2}, "outputs": {"best": {"lr": 0.1}}, "error": None, "group": None}),
        ("step.finished", {"step": "fit[a]", "uses": "model.train", "agent": None, "status": "succeeded", "attempts": 1,
                           "started_ms": STARTED + 40, "ended_ms": STARTED + 60, "needs": ["tune"], "inputs": {},
                           "outputs": {}, "error": None, "group": "fit"}),
        ("step.finished", {"step": "fit[b]", "uses": "model.train", "agent": None, "status": "failed", "attempts": 3,
                           "started_ms": STARTED + 45, "ended_ms": STARTED + 90, "needs": ["tune"], "inputs": {},
                           "outputs": {}, "error": {"code": "bad-data", "message": "no rows"}, "group": "fit"}),
        ("run.finished", {"status": "failed", "ended_ms": STARTED + 100}),
    ]  # fmt: skip
    return [Entry(f"{run}:{number}", "opik", run, kind, body) for number, (kind, body) in enumerate(bodies)]
