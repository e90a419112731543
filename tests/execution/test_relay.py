from __future__ import annotations

from functools import partial
from pathlib import Path

from e2i.execution.events import ArtifactCorrupt, Event, RunFinished, RunStarted, StepStarted, ToolDegraded
from e2i.execution.relay import EventRelay
from e2i.store.artifacts import Corruption


def test_what_is_noticed_stands_between_the_start_and_the_end_of_the_run() -> None:
    reported: list[Event] = []
    relay = EventRelay(reported.append, lambda: 7)
    relay.corruption(Corruption("sha256:x", Path("/kept")))
    relay.before_end(lambda: relay.notice(partial(ToolDegraded, tool="t", problem=None)))
    relay.emit(RunStarted("run-1", 1.0, name="p", steps=1, trackers=(), resumed=False, note=""))
    relay.emit(StepStarted("run-1", 1.0, step="a", uses="debug.echo", attempt=1))
    relay.emit(RunFinished("run-1", 1.0, status="succeeded", steps={}, outputs={}, degraded=False))
    assert [type(event) for event in reported] == [RunStarted, ArtifactCorrupt, StepStarted, ToolDegraded, RunFinished]
    assert {event.run for event in reported} == {"run-1"}
    assert reported[1] == ArtifactCorrupt("run-1", 0.007, digest="sha256:x", kept="/kept")
