"""Calls of a driver: one at a time, also when one of them was abandoned."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from context import LocalContext
from e2i.errors import ToolUnavailable
from e2i.settings import Settings
from e2i.tools.database import actions
from e2i.tools.database.session import Calls


def calls(root: Path) -> Calls:
    settings = Settings(tools={"database": {"connections": {"shop": {"url": "sqlite:///x.db"}}}})
    connector = LocalContext(root, settings=settings).connect(actions.Databases)
    return Calls(connector._guard, "shop", -1.9)  # 2 seconds are added


def test_a_connection_is_closed_when_the_abandoned_call_has_left_the_driver(tmp_path: Path) -> None:
    session, ends, order = calls(tmp_path), threading.Event(), list[str]()

    def hang() -> None:
        ends.wait()
        time.sleep(0.2)  # the driver takes a while to notice that its socket is cut
        order.append("left")

    session.abandon = ends.set
    with pytest.raises(ToolUnavailable):
        session(hang)
    session.close(lambda: order.append("closed"))
    assert order == ["left", "closed"]


def test_a_connection_whose_call_does_not_end_stays_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("e2i.tools.database.session.PATIENCE", 0.1)
    session, ends, order = calls(tmp_path), threading.Event(), list[str]()
    try:
        with pytest.raises(ToolUnavailable):
            session(ends.wait)
        session.close(lambda: order.append("closed"))
        assert order == []
    finally:
        ends.set()
