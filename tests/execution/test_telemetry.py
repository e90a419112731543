"""Entries of the outbox: equal content has equal keys, however often it is reported."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from e2i.execution.events import ToolDegraded
from e2i.execution.telemetry import Telemetry
from e2i.store.runs import RunStore
from e2i.telemetry.bodies import Child, FinishedRun, FinishedStep, Measurement, Metric, StartedRun
from e2i.telemetry.outbox import Outbox
from project import Project

LOSS = Metric(step="train", name="loss", value=0.5, index=0)
FINISHED = FinishedStep(
    step="train", uses="model.train", agent=None, status="succeeded", attempts=(), started_ms=1, ended_ms=2, needs=(),
    inputs=None, outputs=None, error=None, group=None,
)  # fmt: skip
STARTED = StartedRun(pipeline="p", params={}, started_ms=1000)


@pytest.fixture
def run_store(tmp_path: Path) -> Iterator[RunStore]:
    with closing(RunStore(tmp_path, lambda digest: True)) as opened:
        yield opened


def started(run_store: RunStore, at_ms: int) -> Telemetry:
    telemetry = Telemetry("r", at_ms, ("mlflow",), run_store, lambda: dict, limit=100)
    telemetry.begin(replace(STARTED, started_ms=at_ms))
    return telemetry


def record(run_store: RunStore, telemetry: Telemetry, *bodies: Measurement) -> None:
    telemetry.begin_attempt("train")
    for at_ms, body in enumerate(bodies):
        run_store.record(telemetry.entries(replace(body, at_ms=at_ms) if isinstance(body, Metric) else body))


def put(root: Path, kind: str = "metric") -> list[Any]:
    with Outbox(root / "state.db") as outbox:
        return [
            entry.body.get("value", entry.body.get("name")) for entry in outbox.take("mlflow") if entry.kind == kind
        ]


def test_what_another_attempt_or_a_resumed_run_says_again_is_put_once(run_store: RunStore, tmp_path: Path) -> None:
    rounds = [replace(LOSS, index=index, value=1 / (index + 1)) for index in range(4)]
    first = started(run_store, 1000)
    record(run_store, first, *rounds[:2])
    record(run_store, first, *rounds[:3])
    record(run_store, started(run_store, 2000), *rounds)
    assert put(tmp_path) == [1.0, 1 / 2, 1 / 3, 1 / 4]
    assert len(put(tmp_path, "run.started")) == 2


def test_what_one_attempt_says_twice_is_put_twice(run_store: RunStore, tmp_path: Path) -> None:
    for at_ms in (1000, 2000):
        record(run_store, started(run_store, at_ms), LOSS, LOSS)
    assert put(tmp_path) == [0.5, 0.5]


def test_what_an_attempt_says_otherwise_is_put_too(run_store: RunStore, tmp_path: Path) -> None:
    telemetry = started(run_store, 1000)
    record(run_store, telemetry, LOSS)
    record(run_store, telemetry, replace(LOSS, value=0.4))
    assert put(tmp_path) == [0.5, 0.4]


def test_children_are_numbered_and_known_without_their_times(run_store: RunStore, tmp_path: Path) -> None:
    for moment in (1000, 2000):
        times = {"started_ms": moment, "ended_ms": moment + 1}
        trials = [
            Child(step="train", name=f"trial-{number}", status="finished", params={}, metrics={}, **times)
            for number in range(2)
        ]
        record(run_store, started(run_store, moment), *trials)
    assert put(tmp_path, "child") == ["trial-0", "trial-1"]
    with Outbox(tmp_path / "state.db") as outbox:
        assert [e.body["index"] for e in outbox.take("mlflow") if e.kind == "child"] == [0, 1]


def test_a_run_is_known_once_it_has_an_entry_for_a_tracker(run_store: RunStore) -> None:
    telemetry = Telemetry("r", 1000, ("mlflow",), run_store, lambda: dict, limit=1)
    assert telemetry.known_to() == []
    telemetry.begin(STARTED)
    assert telemetry.known_to() == ["mlflow"]


def test_a_tracker_that_the_run_is_in_and_that_is_no_sink_hears_of_start_and_end_only(
    run_store: RunStore, tmp_path: Path
) -> None:
    telemetry = Telemetry("r", 1000, (), run_store, lambda: dict, limit=100)
    telemetry.begin(STARTED)
    for _ in range(2):
        telemetry.involve("mlflow", STARTED)
    record(run_store, telemetry, LOSS)
    run_store.record(telemetry.due(lambda: telemetry.entries(FINISHED)))
    run_store.record(telemetry.due(lambda: telemetry.entries(FinishedRun(status="failed", ended_ms=2))))
    with Outbox(tmp_path / "state.db") as outbox:
        assert [entry.kind for entry in outbox.take("mlflow")] == ["run.started", "run.finished"]
    assert telemetry.known_to() == ["mlflow"]


def test_a_sink_that_the_run_is_in_receives_the_same_as_any(run_store: RunStore, tmp_path: Path) -> None:
    telemetry = started(run_store, 1000)
    telemetry.involve("mlflow", STARTED)
    assert len(put(tmp_path, "run.started")) == 1


@pytest.mark.slow
def test_a_flood_of_measurements_is_cut_and_said_so(project: Project) -> None:
    project.write("config/default.yaml", "sinks: [opik]\nflush: 200\nmeasurements: 3\n")
    record = project.run(
        """
version: 1
name: flood
steps:
  data: {uses: dataset.hcp, with: {rows: 1000}}
  check:
    uses: great_expectations.validate
    with: {table: "${{ steps.data.journeys }}", suite: [{type: expect_column_to_exist, column: target}]}
"""
    )
    assert record.status == "succeeded"
    (reported,) = project.happened(ToolDegraded)
    assert reported.tool == "opik" and "has recorded 3 measurements" in (reported.problem or "")
