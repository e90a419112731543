from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from e2i.errors import StepError
from e2i.telemetry.entries import Entry
from e2i.tools.opik import OpikSettings
from e2i.tools.opik.documents import FINISHED, KIND, latest, merged
from e2i.tools.opik.identity import is_sampled
from e2i.tools.opik.local_backend import LocalBackend
from e2i.tools.opik.recorder import Recorder
from e2i.tools.opik.sink import open_sink
from tools.opik.conftest import telemetry
from tools.opik.stand_in import StandIn


class Clock:
    """One millisecond later each time."""

    def __init__(self) -> None:
        self.at = datetime(2026, 11, 22, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.at += timedelta(milliseconds=1)
        return self.at


def recorded(**settings: Any) -> tuple[list[Entry], str]:
    """The entries of a trace with a nested span, a metric and a judgement; and the id of the trace."""
    put: list[Entry] = []
    numbers = iter(range(1000))
    recorder = Recorder(OpikSettings(**settings), "dev", put.extend, now=Clock(), entropy=lambda: str(next(numbers)))
    outer = recorder.begin("a.outer")
    inner = recorder.begin("a.inner", outer)
    recorder.metric(inner, "auc", 0.7)
    recorder.end(inner)
    recorder.feedback(outer.trace_id, "quality", 1)
    recorder.end(outer)
    return put, outer.trace_id


def names(entries: list[Entry]) -> list[tuple[str, str | None]]:
    return [(entry.body["resource"], entry.body["document"].get("name")) for entry in entries]


def test_nothing_is_about_what_is_not_on_its_way_yet() -> None:
    entries, _ = recorded()
    assert names(entries) == [
        ("traces", "a.outer"), ("spans", "a.inner"), ("span_scores", "auc"),
        ("spans", "a.inner"), ("trace_scores", "quality"), ("spans", "a.outer"), ("traces", "a.outer"),
    ]  # fmt: skip
    assert [entry.kind for entry in entries] == [KIND] * 6 + [FINISHED]
    (run,) = {entry.run for entry in entries}
    assert all(entry.key.startswith(f"{run}/") for entry in entries)
    assert len({entry.key for entry in entries}) == len(entries)


def test_the_last_document_of_an_id_counts() -> None:
    found = latest(recorded()[0])
    assert [len(found[name]) for name in ("traces", "spans", "span_scores", "trace_scores")] == [1, 2, 1, 1]
    assert "end_time" in found["traces"][0].document
    assert all("end_time" in span.document for span in found["spans"])


def trace(name: str, start: str, joined: bool = True, **facts: Any) -> Entry:
    document = {"id": "t", "name": name, "start_time": start, "end_time": start, **facts}
    if joined:
        document["metadata"] = {"joined": True}
    return Entry(f"p/{name}", "opik", "p", KIND, {"resource": "traces", "document": document, "joined": joined})


def test_programs_that_join_one_trace_in_one_batch_share_it() -> None:
    (found,) = latest([trace("first", "2026-01-02"), trace("second", "2026-01-01"), trace("third", "2026-01-03")])[
        "traces"
    ]
    assert (found.document["name"], found.joined) == ("first", True)
    assert (found.document["start_time"], found.document["end_time"]) == ("2026-01-01", "2026-01-03")


@pytest.mark.parametrize("turn", [1, -1])
def test_whoever_began_a_trace_describes_it(turn: int) -> None:
    entries = [trace("own", "2026-01-02", joined=False), trace("other", "2026-01-01")][::turn]
    (found,) = latest(entries)["traces"]
    assert (found.document["name"], found.document["start_time"], found.joined) == ("own", "2026-01-02", False)


def test_an_entry_that_is_no_document_is_refused() -> None:
    with pytest.raises(StepError, match="x/y is no document of Opik"):
        latest([Entry("x/y", "opik", "x", KIND, {"resource": "experiments", "document": {"id": "1"}})])


@pytest.mark.parametrize("where", ["embedded", "server"])
def test_repeated_and_mixed_deliveries_end_in_the_same_documents(tmp_path: Path, server: StandIn, where: str) -> None:
    url = None if where == "embedded" else server.url
    entries, trace = recorded(url=url)
    sink = open_sink(OpikSettings(url=url), tmp_path, lambda artifact: tmp_path)
    sink.deliver(entries[:3])
    sink.deliver(entries[:5])
    sink.deliver(entries[3:])
    sink.deliver(entries)
    sink.deliver(telemetry())
    backend = LocalBackend(tmp_path / "traces.db") if url is None else server.backend
    (held,) = [line for line in _search(backend, "traces") if line["id"] == trace]
    assert (held["name"], held["span_count"], "end_time" in held) == ("a.outer", 2, True)
    assert [(score["name"], score["value"]) for score in held["feedback_scores"]] == [("quality", 1)]
    assert len(_search(backend, "traces")) == 2
    sink.close()


def _search(backend: LocalBackend, kind: str) -> list[dict[str, Any]]:
    import json

    answer = backend.answer("POST", f"v1/private/{kind}/search", {})
    return [json.loads(line) for line in answer.content.splitlines()]


def test_a_trace_of_somebody_else_is_left_alone_and_a_shared_one_spans_all() -> None:
    new = {"id": "t", "name": "second", "start_time": "2026-01-02", "end_time": "2026-01-03", "metadata": {"a": 2}}
    assert merged(new, {"id": "t", "name": "own", "start_time": "2026-01-01"}) is None
    held = {"id": "t", "name": "first", "start_time": "2026-01-01", "metadata": {"joined": True, "a": 1}}
    assert merged(new, held) == {
        "id": "t", "name": "first", "start_time": "2026-01-01", "end_time": "2026-01-03",
        "metadata": {"joined": True, "a": 1},
    }  # fmt: skip


def test_a_trace_is_recorded_whole_or_not_at_all() -> None:
    for rate in (0.0, 0.5, 1.0):
        entries, trace = recorded(sampling_rate=rate)
        assert len(entries) == (7 if is_sampled(trace, rate) else 0)
