from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2i.tools.opik.identity import is_sampled, span_id, trace_id, uuid7
from e2i.tools.opik.local_backend import LocalBackend
from e2i.tools.opik.local_filters import BadFilter, matches

NOW = datetime(2026, 11, 22, tzinfo=UTC)
ONE, TWO = uuid7(1, "one"), uuid7(2, "two")


@pytest.fixture
def backend(tmp_path: Path) -> LocalBackend:
    return LocalBackend(tmp_path / "traces.db", now=lambda: NOW)


def trace(identity: str = ONE, **facts: Any) -> dict[str, Any]:
    return {"id": identity, "name": "n", "start_time": "2026-11-22T00:00:00Z", **facts}


def put(backend: LocalBackend, *documents: dict[str, Any], kind: str = "traces") -> int:
    return backend.answer("POST", f"v1/private/{kind}/batch", {kind: list(documents)}).status


def read(backend: LocalBackend, identity: str = ONE) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(backend.answer("GET", f"v1/private/traces/{identity}", None).content)
    return document


def search(backend: LocalBackend, **query: Any) -> list[str]:
    answer = backend.answer("POST", "v1/private/traces/search", query)
    return [json.loads(line)["id"] for line in answer.content.splitlines()]


def test_the_same_id_twice_is_one_trace_and_the_later_one_holds(backend: LocalBackend) -> None:
    assert put(backend, trace()) == 204
    assert put(backend, trace(end_time="2026-11-22T00:00:01.500Z")) == 204
    assert read(backend)["duration"] == 1500
    assert search(backend) == [ONE]


def test_an_older_version_that_arrives_late_changes_nothing(backend: LocalBackend) -> None:
    put(backend, trace(name="new", last_updated_at="2026-11-22T00:00:02+00:00"))
    put(backend, trace(name="old", last_updated_at="2026-11-22T00:00:01+00:00"))
    assert read(backend)["name"] == "new"


def test_a_patch_changes_what_it_names(backend: LocalBackend) -> None:
    put(backend, trace(input={"a": 1}))
    assert backend.answer("PATCH", f"v1/private/traces/{ONE}", {"output": {"b": 2}, "name": None}).status == 204
    held = read(backend)
    assert (held["name"], held["input"], held["output"]) == ("n", {"a": 1}, {"b": 2})
    assert backend.answer("PATCH", f"v1/private/traces/{TWO}", {"output": {}}).status == 404


@pytest.mark.parametrize(
    "documents",
    [[], [trace("not-an-id")], [trace("7a0eb2b0-9c5b-4a0e-8d0e-0a0a0a0a0a0a")], [{"id": ONE}], [trace()] * 1001],
    ids=["empty", "no uuid", "uuid 4", "no start", "too many"],
)
def test_what_a_server_would_refuse_is_refused_and_leaves_nothing(backend: LocalBackend, documents: list[Any]) -> None:
    assert backend.answer("POST", "v1/private/traces/batch", {"traces": documents}).status == 400
    assert put(backend, trace(TWO), trace("bad")) == 400
    assert search(backend) == []


def test_search_pages_by_id_newest_first_within_its_project(backend: LocalBackend) -> None:
    put(backend, trace(ONE, project_name="p"), trace(TWO, project_name="p"), trace(uuid7(3, "x"), project_name="q"))
    assert search(backend, project_name="p") == [TWO, ONE]
    assert search(backend, project_name="p", limit=1) == [TWO]
    assert search(backend, project_name="p", last_retrieved_id=TWO) == [ONE]
    assert search(backend, project_name="nowhere") == []


def test_a_bad_filter_and_an_unknown_endpoint_are_named(backend: LocalBackend) -> None:
    put(backend, trace())
    bad = backend.answer("POST", "v1/private/traces/search", {"filters": [{"field": "name", "operator": "~"}]})
    assert (bad.status, json.loads(bad.content)) == (400, {"errors": ["unknown operator '~' for 'name'"]})
    unknown = backend.answer("POST", "v1/private/prompts", {})
    assert unknown.status == 404
    assert b"embedded Opik does not offer POST prompts" in unknown.content


def test_threads_write_at_the_same_time(backend: LocalBackend) -> None:
    def write(number: int) -> None:
        assert put(backend, *(trace(uuid7(number, str(row))) for row in range(20))) == 204

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(search(backend)) == 120


DOCUMENT = {
    "name": "Tune", "duration": 30.0, "tags": ["dev"], "metadata": {"a": {"b": 2}}, "usage": {"total_tokens": 5},
    "start_time": "2026-11-22T00:00:00Z", "feedback_scores": [{"name": "auc", "value": 0.8}], "input": {"q": "rows"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("field", "key", "operator", "value", "holds"),
    [
        ("name", None, "=", "Tune", True),
        ("name", None, "!=", "Tune", False),
        ("name", None, "contains", "tu", True),
        ("name", None, "starts_with", "ne", False),
        ("duration", None, ">=", "30", True),
        ("duration", None, "<", "9", False),
        ("tags", None, "contains", "dev", True),
        ("tags", None, "not_contains", "dev", False),
        ("metadata", "a.b", "=", "2", True),
        ("metadata", "a.c", "=", "2", False),
        ("usage.total_tokens", None, ">", "4", True),
        ("start_time", None, ">", "2026-11-21T23:59:59+00:00", True),
        ("feedback_scores", "auc", ">", "0.7", True),
        ("feedback_scores", "f1", "is_empty", "", True),
        ("feedback_scores", "auc", "is_not_empty", "", True),
        ("input", None, "contains", "rows", True),
        ("name", None, "in", "Tune,Fit", True),
        ("name", None, "not_in", "Fit", True),
    ],
)
def test_filters_hold_as_in_opiks_query_language(
    field: str, key: str | None, operator: str, value: str, holds: bool
) -> None:
    assert matches(DOCUMENT, [{"field": field, "key": key, "operator": operator, "value": value}]) is holds


def test_a_value_that_cannot_be_compared_is_named() -> None:
    with pytest.raises(BadFilter, match="'soon' cannot be compared with 'start_time'"):
        matches(DOCUMENT, [{"field": "start_time", "operator": ">", "value": "soon"}])


@given(run=st.text(), step=st.text(), at=st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1)))
def test_ids_are_uuids_of_version_7_and_the_same_for_the_same_names(run: str, step: str, at: datetime) -> None:
    from opik.id_helpers import is_valid_uuid_v7

    run = f"{at:%Y%m%d-%H%M%S}-{run}"
    identity = span_id(run, step)
    assert is_valid_uuid_v7(identity)
    assert identity == span_id(run, step)
    assert identity != trace_id(run)
    named = int(at.replace(microsecond=0, tzinfo=UTC).timestamp() * 1000)
    assert int(identity.replace("-", "")[:12], 16) == named


def test_a_run_of_any_name_has_a_trace() -> None:
    assert trace_id("r1") != trace_id("r2")


def test_sampling_is_fair_and_monotonous() -> None:
    runs = [trace_id(str(number)) for number in range(2000)]
    shares = {rate: {run for run in runs if is_sampled(run, rate)} for rate in (0.0, 0.1, 0.5, 1.0)}
    assert (len(shares[0.0]), len(shares[1.0])) == (0, 2000)
    assert 150 < len(shares[0.1]) < 250
    assert shares[0.1] < shares[0.5]
