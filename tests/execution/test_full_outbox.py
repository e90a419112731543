"""A run whose tracker is down for long fills the outbox: long series of metrics are thinned, nothing else is lost."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from e2i.execution.engine import Engine
from e2i.execution.events import ToolDegraded
from e2i.execution.recorder import StepExecution
from e2i.spec.expansion.nodes import StepNode
from e2i.store.database import FILE
from e2i.telemetry.bodies import Metric, Param
from e2i.telemetry.outbox import Outbox
from project import Project

SPEC = "version: 1\nname: s\nsteps:\n  one: {uses: debug.sleep, with: {seconds: 0, value: 1}}\n"
SERIES = 3000


def measuring(engine: Engine) -> None:
    """Has the step record a long series, a single value and three parameters, as soon as it is started."""
    recorder = engine._recorder
    start = recorder.start

    def measured(node: StepNode, execution: StepExecution, **options: Any) -> None:
        start(node, execution, **options)
        for number in range(SERIES):
            recorder.measure(node.id, execution, Metric(step="", name="loss", value=1 / (number + 1), index=number))
            if number % 1000 == 999:
                recorder.measure(node.id, execution, Param(step="", name=f"reached_{number}", value=number))
        recorder.measure(node.id, execution, Metric(step="", name="auc", value=0.9, index=0))

    recorder.start = measured  # type: ignore[method-assign]  # a step that records so much, without a worker


@pytest.fixture
def limited(project: Project) -> Project:
    """A project with a tracker that is down and little room for what waits."""
    project.write(
        "config/default.yaml",
        "sinks: [opik]\nworkers: 1\nflush: 0\noutbox_limit: 20KB\ntools: {opik: {url: 'http://127.0.0.1:9/api'}}\n",
    )
    return project


def test_series_are_thinned_at_the_limit_and_single_values_parameters_and_ends_are_kept(limited: Project) -> None:
    record = limited.run(SPEC, on_engine=measuring)
    with Outbox(limited.store / FILE) as outbox:
        entries = outbox.undelivered()
        size = outbox.size()
    recorded = [entry.body["index"] for entry in entries if entry.body.get("name") == "loss"]
    counts = Counter(entry.kind for entry in entries)
    assert 20_000 < size < 24_000
    assert 50 < len(recorded) < 250
    assert recorded[:50] == list(range(50))
    assert counts["metric"] == len(recorded) + 1, "the single value is there"
    assert (counts["param"], counts["run.started"], counts["step.finished"], counts["run.finished"]) == (3, 1, 1, 1)

    problems = [event.problem for event in limited.happened(ToolDegraded)]
    assert problems[0] == "the outbox has reached its limit of 20KB: metrics are thinned"
    left_out = SERIES - len(recorded)
    assert f"{left_out:,} values of metrics were not recorded, the outbox was full (20KB)" in problems
    assert (record.status, record.degraded, record.thinned) == ("succeeded", True, left_out)
    document = json.loads(limited.cli("outbox", "list", "--json").stdout)
    assert (document["bytes"], document["limit"]) == (size, 20_000)
    assert document["thinned"] == [{"run": record.run, "metrics": left_out}]
    shown = limited.cli("outbox", "list").stdout
    assert f"run {record.run}: {left_out:,} values of metrics not recorded, the outbox was full" in shown


def test_below_the_limit_everything_is_recorded(limited: Project) -> None:
    config = (limited.root / "config/default.yaml").read_text()
    limited.write("config/default.yaml", config.replace("20KB", "20MB"))
    record = limited.run(SPEC, on_engine=measuring)
    assert record.thinned == 0
    with Outbox(limited.store / FILE) as outbox:
        assert sum(entry.kind == "metric" for entry in outbox.undelivered()) == SERIES + 1


def test_a_run_without_sinks_is_never_thinned(limited: Project) -> None:
    limited.write("config/default.yaml", "sinks: []\nworkers: 1\noutbox_limit: 1B\n")
    assert limited.run(SPEC, on_engine=measuring).thinned == 0
