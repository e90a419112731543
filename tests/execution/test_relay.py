from __future__ import annotations

from pathlib import Path

from e2i.execution.events import Event
from e2i.execution.relay import EventRelay
from e2i.store.artifacts import Corruption


def test_what_is_noticed_stands_between_the_start_and_the_end_of_the_run() -> None:
    reported: list[Event] = []
    relay = EventRelay(reported.append, lambda: 7)
    relay.corruption(Corruption("sha256:x", Path("/kept")))
    relay.before_end(lambda: relay.notice("tool.degraded", tool="t"))
    for name in ("run.started", "step.finished", "run.finished"):
        relay.emit(Event(name, "run-1", 1))
    assert [(event.name, event.run) for event in reported] == [
        ("run.started", "run-1"), ("artifact.corrupt", "run-1"), ("step.finished", "run-1"), ("tool.degraded", "run-1"),
        ("run.finished", "run-1"),
    ]  # fmt: skip
    assert reported[1].facts == {"digest": "sha256:x", "kept": "/kept"}
