"""Opik's own SDK, reading back the traces that the runs left in the store."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from e2e.sandbox import Run, Sandbox
from e2i.tools.opik import OpikSettings

if TYPE_CHECKING:
    import opik

FAILING = """
version: 1
name: failing
steps:
  before: {uses: debug.echo, agent: data_preparer, with: {value: 1}}
  breaks: {uses: debug.fail, needs: [before], with: {message: no luck today}}
  below: {uses: debug.echo, with: {value: "${{ steps.breaks }}"}}
  cells: {uses: debug.echo, matrix: {x: [1, 2]}, with: {value: "${{ matrix.x }}"}}
"""


@pytest.fixture(scope="module")
def failing(tmp_path_factory: pytest.TempPathFactory) -> Run:
    sandbox = Sandbox.make(tmp_path_factory.mktemp("failing"))
    (sandbox.workspace / "specs" / "failing.yaml").write_text(FAILING, "utf-8")
    return sandbox.run("specs/failing.yaml", exit_code=1)


class Traces:
    """The SDK's client on the traces of one store."""

    def __init__(self, store: Path) -> None:
        from e2i.tools.opik.client import open_client

        self.client: opik.Opik = open_client(OpikSettings(), store / "opik")

    def trace(self, run: Run) -> Any:
        (trace,) = self.client.search_traces(project_name="e2i", filter_string=f'metadata.run = "{run.id}"')
        return trace

    def spans(self, run: Run) -> dict[str, Any]:
        found = self.client.search_spans(project_name="e2i", trace_id=self.trace(run).id, max_results=1000)
        assert len({span.name for span in found}) == len(found)
        return {span.name: span for span in found}


@pytest.fixture
def traces(request: pytest.FixtureRequest) -> Iterator[Traces]:
    """The traces in the store of the run that the test looks at."""
    name = next(name for name in ("route", "comparison", "failing") if name in request.fixturenames)
    opened = Traces(request.getfixturevalue(name).store)
    yield opened
    opened.client.end()


def moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def test_the_trace_tells_the_run_its_status_and_its_times(route: Run, traces: Traces) -> None:
    trace = traces.trace(route)
    assert (trace.name, trace.output, trace.error_info) == (route.record["pipeline"], {"status": "succeeded"}, None)
    assert (trace.start_time, trace.end_time) == (moment(route.record["started_ms"]), moment(route.record["ended_ms"]))
    assert trace.input == route.record["params"]


def test_every_step_is_one_span_at_the_top_and_every_trial_one_below_its_study(route: Run, traces: Traces) -> None:
    spans = traces.spans(route)
    trials = {f"trial-{number:04d}" for number in range(route.record["params"]["trials"])}
    assert set(spans) == set(route.record["steps"]) | trials
    for name, span in spans.items():
        assert span.parent_span_id == (spans["tune"].id if name in trials else None), name


def test_a_span_lasts_as_long_as_its_step_and_within_the_run(route: Run, traces: Traces) -> None:
    trace, spans = traces.trace(route), traces.spans(route)
    for name, step in route.record["steps"].items():
        span = spans[name]
        assert trace.start_time <= span.start_time <= span.end_time <= trace.end_time, name
        assert abs(span.end_time - moment(step["ended_ms"])) < timedelta(milliseconds=1), name
        assert abs(span.start_time - moment(step["started_ms"])) < timedelta(milliseconds=1), name
        assert route.end["steps"][name]["seconds"] < span.duration / 1000 + 0.01, name
    for name in spans.keys() - route.record["steps"].keys():
        assert spans["tune"].start_time <= spans[name].start_time <= spans[name].end_time <= spans["tune"].end_time


def test_a_span_tells_for_whom_its_step_acted_and_what_it_measured(route: Run, traces: Traces) -> None:
    spans = traces.spans(route)
    assert spans["tune"].metadata["agent"] == "model_trainer"
    assert spans["tune"].metadata["uses"] == "optuna.tune"
    scores = {
        score["name"] if isinstance(score, dict) else score.name: score for score in spans["evaluate"].feedback_scores
    }
    outputs = route.outputs("evaluate")
    bounds = {f"{name}_{side}" for name in outputs["intervals"] for side in ("low", "high")}
    baselines = {f"baseline_{name}" for name in ("accuracy", "brier", "log_loss")}
    unseen = {name for name in scores if name.startswith("unseen_")}
    assert set(scores) == set(outputs["metrics"]) | bounds | baselines | unseen


def test_the_cells_of_a_matrix_are_below_one_span_of_their_step(comparison: Run, traces: Traces) -> None:
    spans = traces.spans(comparison)
    assert set(spans) == set(comparison.record["steps"]) | {"train"}
    combinations = [span for name, span in spans.items() if name.startswith("train[")]
    assert {span.parent_span_id for span in combinations} == {spans["train"].id}
    assert len(combinations) == 5
    assert spans["train"].start_time == min(span.start_time for span in combinations)
    assert spans["train"].end_time == max(span.end_time for span in combinations)
    assert {span.parent_span_id for name, span in spans.items() if not name.startswith("train[")} == {None}


def test_a_reused_step_has_a_span_that_says_so(comparison: Run, traces: Traces) -> None:
    assert traces.spans(comparison)["data"].tags == ["reused"]


def test_a_failing_step_tells_its_error_and_so_does_the_trace(failing: Run, traces: Traces) -> None:
    trace, spans = traces.trace(failing), traces.spans(failing)
    assert trace.output == {"status": "failed"}
    assert "no luck today" in trace.error_info.message
    assert {name: span.tags for name, span in spans.items() if not name.startswith("cells")} == {
        "before": ["succeeded"],
        "breaks": ["failed"],
        "below": ["skipped"],
    }
    assert spans["breaks"].error_info.message == "no luck today"
    assert spans["breaks"].error_info.exception_type == "asked-to-fail"
    assert spans["before"].error_info is None
    assert {spans[f"cells[{x}]"].parent_span_id for x in (1, 2)} == {spans["cells"].id}
