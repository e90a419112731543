from __future__ import annotations

import contextlib
import json
import random
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from e2i.errors import StepError, ToolUnavailable
from e2i.resilience.breaker import Breaker
from e2i.resilience.guard import Guard
from e2i.telemetry.dispatcher import Dispatcher, deliver
from e2i.telemetry.entries import Entry, Sink
from e2i.telemetry.outbox import Outbox, Tally
from e2i.tools.opik import OpikSettings
from e2i.tools.opik.client import open_client
from e2i.tools.opik.identity import is_sampled, trace_id
from e2i.tools.opik.sink import open_sink
from tools.opik.conftest import STARTED, telemetry
from tools.opik.stand_in import StandIn

TRACE = trace_id("r1")


def sink_at(home: Path, **settings: Any) -> Sink:
    return open_sink(OpikSettings(**settings), home, lambda artifact: home)


def held(home: Path, **settings: Any) -> tuple[Any, dict[str, Any]]:
    """The trace of run r1 and its spans by name, as the SDK's own client reads them."""
    client = open_client(OpikSettings(**settings), home)
    try:
        trace = client.get_trace_content(TRACE)
        return trace, {span.name: span for span in client.search_spans(trace_id=TRACE)}
    finally:
        client.end(flush=False)


def test_a_run_becomes_a_trace_that_the_sdk_reads_back(tmp_path: Path) -> None:
    sink = sink_at(tmp_path)
    sink.deliver(telemetry())
    sink.close()
    trace, spans = held(tmp_path)
    assert (trace.name, trace.input, trace.output) == ("hcp", {"trials": 2}, {"status": "failed"})
    assert trace.duration == 100
    assert trace.start_time.timestamp() * 1000 == STARTED
    assert trace.error_info.message == "fit[b]: no rows"
    assert trace.metadata["spec"] == "sha256:ab"
    assert trace.metadata["profile"] == "dev"
    assert trace.metadata["steps"] == {"fit[a]": "succeeded", "fit[b]": "failed", "tune": "succeeded"}
    assert sorted(spans) == ["fit", "fit[a]", "fit[b]", "trial 0", "trial 1", "tune"]
    tune = spans["tune"]
    assert (tune.input, tune.output, tune.duration) == ({"trials": 2}, {"best": {"lr": 0.1}}, 30)
    assert tune.metadata["uses"] == "optuna.tune"
    assert tune.metadata["agent"] == "model_trainer"
    assert tune.metadata["needs"] == ["load"]
    assert tune.metadata["params"] == {"lr": 0.1}
    assert tune.metadata["attachments"]["plot.png"]["type"] == "report"
    assert [(score.name, score.value) for score in tune.feedback_scores] == [("auc", 0.8)]
    assert spans["trial 0"].parent_span_id == spans["trial 1"].parent_span_id == tune.id
    assert spans["trial 1"].error_info.exception_type == "failed"
    assert spans["fit[a]"].parent_span_id == spans["fit[b]"].parent_span_id == spans["fit"].id
    assert (spans["fit"].parent_span_id, spans["fit"].duration) == (None, 50)
    assert spans["fit[b]"].error_info.exception_type == "bad-data"


@pytest.mark.parametrize("seed", range(3))
def test_batches_of_any_size_and_deliveries_repeated_by_any_process_end_in_the_same_trace(
    tmp_path: Path, seed: int
) -> None:
    sink_at(tmp_path / "once").deliver(telemetry())
    chance, rest = random.Random(seed), telemetry()
    while rest:
        size = chance.randint(1, len(rest))
        for _ in range(chance.randint(1, 3)):  # a process that died before it could acknowledge
            sink_at(tmp_path / "often").deliver(rest[:size])
        rest = rest[size:]
    assert _documents(tmp_path / "often") == _documents(tmp_path / "once")


def _documents(home: Path) -> list[dict[str, Any]]:
    trace, spans = held(home)
    volatile = {"created_at", "last_updated_at"}
    documents = [item.model_dump(exclude=volatile) for item in (trace, *spans.values())]
    return [
        {**document, "feedback_scores": [(s["name"], s["value"]) for s in document["feedback_scores"]]}
        for document in sorted(documents, key=lambda document: document["id"])
    ]


def test_a_death_after_writing_and_before_remembering_is_repaired_by_redelivery(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = telemetry()
    sink_at(tmp_path / "once").deliver(entries)
    sink = sink_at(tmp_path / "died")
    with monkeypatch.context() as patched:
        patched.setattr("e2i.tools.opik.sink.Memory.add", _die)
        with pytest.raises(KeyboardInterrupt):
            sink.deliver(entries)
    sink_at(tmp_path / "died").deliver(entries)
    assert _documents(tmp_path / "died") == _documents(tmp_path / "once")


def _die(memory: object, entries: object) -> None:
    raise KeyboardInterrupt


def test_a_resumed_run_that_succeeds_is_no_longer_failed(tmp_path: Path) -> None:
    sink = sink_at(tmp_path)
    sink.deliver(telemetry())
    again = {**telemetry()[9].body, "status": "succeeded", "error": None}
    begun = {**telemetry()[0].body, "started_ms": STARTED + 400}
    sink.deliver(
        [
            Entry("r1:begun", "opik", "r1", "run.started", begun),
            Entry("r1:again", "opik", "r1", "step.finished", again),
            Entry("r1:end", "opik", "r1", "run.finished", {"status": "succeeded", "ended_ms": STARTED + 500}),
        ]
    )
    trace, spans = held(tmp_path)
    assert (trace.error_info, trace.output, trace.duration) == (None, {"status": "succeeded"}, 500)
    assert spans["fit[b]"].error_info is None


def test_a_retried_step_shows_each_attempt(tmp_path: Path) -> None:
    entries = telemetry()
    entries[9].body["attempts"] = [
        {"started_ms": STARTED + 45, "ended_ms": STARTED + 50, "error": {"code": "outage", "message": "down"}},
        {"started_ms": STARTED + 60, "ended_ms": STARTED + 90, "error": {"code": "bad-data", "message": "no rows"}},
    ]
    sink_at(tmp_path).deliver(entries)
    _, spans = held(tmp_path)
    assert spans["attempt 1"].parent_span_id == spans["attempt 2"].parent_span_id == spans["fit[b]"].id
    assert (spans["attempt 1"].error_info.exception_type, spans["attempt 2"].duration) == ("outage", 30)


@pytest.mark.parametrize("attempts", [3, [{"seconds": 1.0, "error": None}, {"seconds": 2.0, "error": None}]], ids=str)
def test_attempts_without_times_stand_in_the_metadata(tmp_path: Path, attempts: Any) -> None:
    entries = telemetry()
    entries[9].body["attempts"] = attempts
    sink_at(tmp_path).deliver(entries)
    _, spans = held(tmp_path)
    assert spans["fit[b]"].metadata["attempts"] == attempts
    assert "attempt 1" not in spans


def test_a_skipped_step_without_times_stands_at_the_start(tmp_path: Path) -> None:
    body = {"step": "promote", "uses": "mlflow.promote", "status": "skipped", "attempts": 0, "started_ms": None}
    sink_at(tmp_path).deliver([*telemetry(), Entry("r1:skip", "opik", "r1", "step.finished", body)])
    _, spans = held(tmp_path)
    assert (spans["promote"].duration, spans["promote"].tags) == (0, ["skipped"])


def test_large_inputs_are_cut_and_huge_metrics_are_no_scores(tmp_path: Path) -> None:
    entries = telemetry()
    entries[7].body["inputs"] = {"query": "x" * 100_000, "rows": 3}
    entries[3].body["value"] = 1e12
    sink_at(tmp_path).deliver(entries)
    _, spans = held(tmp_path)
    assert spans["tune"].input["rows"] == 3
    assert spans["tune"].input["query"].endswith("… (100002 characters)")
    assert len(spans["tune"].input["query"]) < 32_100
    assert spans["tune"].metadata["metrics"] == {"auc": 1e12}
    assert spans["tune"].feedback_scores == []


def test_sampling_keeps_whole_runs_and_always_the_same_ones(tmp_path: Path) -> None:
    sink = sink_at(tmp_path, sampling_rate=0.5)
    runs = [f"r{number}" for number in range(12)]
    for run in runs:
        for entry in telemetry(run):
            if entry.kind in ("run.started", "run.finished"):
                sink.deliver([entry])
    client = open_client(OpikSettings(), tmp_path)
    kept = {trace.metadata["run"] for trace in client.search_traces()}
    client.end(flush=False)
    assert kept == {run for run in runs if is_sampled(trace_id(run), 0.5)}
    assert 0 < len(kept) < len(runs)


def test_only_what_is_new_is_written(server: StandIn, tmp_path: Path) -> None:
    sink = sink_at(tmp_path, url=server.url, api_key="k")
    entries = telemetry()
    sink.deliver(entries[:8])
    server.requests.clear()
    sink.deliver([Entry("late", "opik", "r1", "metric", {"step": "fit[a]", "name": "auc", "value": 1.0, "at_ms": 5})])
    assert server.requests == {}
    sink.deliver(entries[8:9])
    written = {name: count for name, count in server.requests.items() if not name.startswith("GET")}
    assert written == {
        "POST /api/v1/private/traces/batch": 1,
        "POST /api/v1/private/spans/batch": 1,
        "PUT /api/v1/private/spans/feedback-scores": 1,
    }
    assert server.keys == {"k"}


@pytest.mark.parametrize("mood", ["failing", "silent", "unauthorized", "stopped"])
def test_an_outage_raises_in_time_and_redelivery_completes_the_trace(
    server: StandIn, tmp_path: Path, mood: Any
) -> None:  # O12, O13, O14
    sink = sink_at(tmp_path, url=server.url, deadline=0.3)
    if mood == "stopped":
        server.stop()
    else:
        server.mood = mood
    with pytest.raises(ToolUnavailable):
        sink.deliver(telemetry())
    server.stop()
    server.mood = "well"
    server.start()
    sink_at(tmp_path, url=server.url).deliver(telemetry())
    trace, spans = held(tmp_path, url=server.url)
    assert (trace.name, len(spans)) == ("hcp", 6)


def test_a_refusal_for_good_is_the_users_matter(server: StandIn, tmp_path: Path) -> None:
    server.mood = "refusing"
    with pytest.raises(StepError, match=r"opik refuses the telemetry: HTTP 400.*no such field"):
        sink_at(tmp_path, url=server.url).deliver(telemetry())


@pytest.mark.parametrize("mood", ["failing", "silent"])
def test_the_outbox_keeps_everything_while_opik_is_down(
    server: StandIn, tmp_path: Path, mood: Any
) -> None:  # O12 to O15, from end to end
    server.mood = mood
    with Outbox(tmp_path / "state.db") as outbox:
        outbox.put(telemetry())
    down = _courier(tmp_path, lambda name: sink_at(tmp_path / "home", url=server.url, deadline=0.3))
    assert (down.delivered, down.dead_lettered, down.left) == (0, 0, 11)
    server.stop()
    server.mood = "well"
    server.start()
    assert _courier(tmp_path, lambda name: sink_at(tmp_path / "home", url=server.url)) == Tally(delivered=11)
    trace, spans = held(tmp_path, url=server.url)
    assert (trace.output, len(spans)) == ({"status": "failed"}, 6)


def _courier(root: Path, open_it: Callable[[str], Sink]) -> Tally:
    stop = threading.Event()
    stop.set()
    guard = Guard("opik", breaker=Breaker("opik"), deadline=20.0)
    return deliver(lambda: Outbox(root / "state.db"), open_it, [guard], stop)["opik"]


def test_answers_that_are_cut_off_after_the_server_has_written_leave_nothing_twice(
    tmp_path: Path, server: StandIn
) -> None:
    sink, entries = sink_at(tmp_path / "home", url=server.url), telemetry()
    server.mood = "cutting"
    for number in range(200):
        body = {"step": "tune", "name": f"trial {number}", "status": "finished", "params": {}, "metrics": {}}
        entries.append(Entry(f"c{number}", "opik", "r1", "child", {**body, "started_ms": STARTED, "ended_ms": STARTED}))
    while entries:
        with contextlib.suppress(ToolUnavailable):
            sink.deliver(entries[:20])
            del entries[:20]
    assert server.cuts > 10
    with closing(sqlite3.connect(server.backend.path)) as database:
        spans = [json.loads(text) for (text,) in database.execute("SELECT document FROM records WHERE kind = 'spans'")]
        assert database.execute("SELECT count(*) FROM records WHERE kind = 'traces'").fetchone() == (1,)
    assert len(spans) == len({span["name"] for span in spans}) == 4 + 200


def test_traces_that_are_removed_in_the_middle_of_a_run_are_written_again(tmp_path: Path) -> None:
    entries = telemetry()
    with Outbox(tmp_path / "state.db") as outbox:
        outbox.put(entries)
        guard = Guard("opik", Breaker("opik"), deadline=20.0)
        dispatcher = Dispatcher(outbox, lambda name: sink_at(tmp_path / "home"), guard)
        dispatcher._size = len(entries) - 2  # all but the last, with which the run ends
        dispatcher.deliver_once()
        for file in (tmp_path / "home").glob("traces.db*"):
            file.unlink()
        stop = threading.Event()
        stop.set()
        assert dispatcher.run(stop, poll=0.01, flush=20.0).redelivered == len(entries) - 2
    sink_at(tmp_path / "once").deliver(entries)
    assert _documents(tmp_path / "home") == _documents(tmp_path / "once")
