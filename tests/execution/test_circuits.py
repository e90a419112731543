"""A run reports the circuits of its tools when they change."""

from __future__ import annotations

from pathlib import Path

from e2i.execution.circuits import PERIOD, CircuitWatch
from e2i.execution.events import Event, ToolCircuit
from e2i.resilience.breaker import Breaker, Outcome, State
from e2i.resilience.circuits import breaker_of
from e2i.settings import Settings
from project import Project


class Clock:
    """A clock that stands still until it is put forward."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def fail(breaker: Breaker, times: int = 5) -> None:
    for _ in range(times):
        breaker.settle(breaker.acquire().grant, Outcome.FAILED)


def looked(watch: CircuitWatch, clock: Clock) -> list[Event]:
    clock.now += PERIOD
    return [change("r", 1.0) for change in watch.changes()]


def test_each_change_of_a_circuit_is_reported_once(tmp_path: Path) -> None:
    settings, clock = Settings(), Clock()
    watch = CircuitWatch(tmp_path, settings, {"mlflow", "opik"}, clock)
    assert looked(watch, clock) == []
    breaker = breaker_of(tmp_path, "mlflow", settings.tool("mlflow"))
    fail(breaker)
    (opened,) = looked(watch, clock)
    assert isinstance(opened, ToolCircuit)
    assert (opened.tool, opened.server, opened.was, opened.state) == ("mlflow", None, State.CLOSED, State.OPEN)
    assert 29 < (opened.next_attempt or 0) <= 30
    assert looked(watch, clock) == []
    later = breaker_of(tmp_path, "mlflow", settings.tool("mlflow"), patient=False)
    probes = [later.acquire().grant for _ in range(3)]
    assert [(one.was, one.state) for one in looked(watch, clock) if isinstance(one, ToolCircuit)] == [
        (State.OPEN, State.HALF_OPEN)
    ]
    for probe in probes:
        later.settle(probe, Outcome.OK)
    (closed,) = looked(watch, clock)
    assert isinstance(closed, ToolCircuit) and closed.state is State.CLOSED and closed.next_attempt is None


def test_files_are_read_twice_a_second_and_when_asked(tmp_path: Path) -> None:
    clock = Clock()
    watch = CircuitWatch(tmp_path, Settings(), {"opik"}, clock)
    fail(breaker_of(tmp_path, "opik", Settings().tool("opik")))
    assert [*watch.changes()] == []
    assert len([*watch.changes(now=True)]) == 1


def test_a_circuit_of_another_tool_or_of_another_server_is_not_reported(tmp_path: Path) -> None:
    clock = Clock()
    watch = CircuitWatch(tmp_path, Settings(), {"mlflow"}, clock)
    elsewhere = Settings(tools={"mlflow": {"tracking_uri": "http://127.0.0.1:1"}})
    fail(breaker_of(tmp_path, "mlflow", elsewhere.tool("mlflow")))
    fail(breaker_of(tmp_path, "opik", Settings().tool("opik")))
    assert looked(watch, clock) == []


def test_a_run_reports_a_circuit_that_opened_in_its_worker(project: Project) -> None:
    configuration = """
    sinks: []
    tools:
      database:
        connections: {gone: {url: "postgresql://u:p@127.0.0.1:1/d"}}
        circuit_breaker: {failure_threshold: 1}
    """
    project.write("config/default.yaml", configuration)
    spec = "version: 1\nname: q\nsteps: {a: {uses: database.read, with: {connection: gone, table: t}}}\n"
    assert project.run(spec).status == "failed"
    (opened,) = project.happened(ToolCircuit)
    assert (opened.tool, opened.server, opened.state) == ("database", "gone", State.OPEN)
