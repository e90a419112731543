from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from e2i.catalog.telemetry import Entry
from e2i.errors import Exit
from e2i.execution.journal import FILE, Journal, Reader, StoreError, stored_digests
from e2i.resilience.outbox import process_identity

DIGEST = "sha256:" + "0" * 64
RUN = {
    "run": "r1", "pipeline": "p", "status": "running", "started_ms": 1, "holder": process_identity(),
    "file": "p.yaml", "spec": "x",
    "profile": "default",
    "params": "{}", "plan": '{"steps": [{"id": "b"}, {"id": "a"}]}',
}  # fmt: skip


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path, lambda digest: digest == DIGEST)


def finish(journal: Journal, outputs: dict[str, Any], step: str = "a", status: str = "succeeded") -> None:
    facts = {
        "status": status, "pipeline": "p", "ended_ms": 3, "fingerprint": "f1", "outputs": outputs, "error": None,
        "attempts": 1,
    }  # fmt: skip
    result = {"fingerprint": "f1", "static_key": "s1", "uses": "debug.echo", "components": {"with": 1}, "telemetry": []}
    entry = Entry("k1", "opik", "r1", "step.finished", {})
    journal.finish_step("r1", step, facts, result if status == "succeeded" else None, [entry])


def test_a_finished_step_can_be_found_again(journal: Journal, tmp_path: Path) -> None:
    journal.start_run(RUN, [("a", "debug.echo"), ("b", "debug.echo")])
    journal.start_step("r1", "a", 1, 2)
    finish(journal, {"value": 1})
    assert journal.outputs("f1") == {"value": 1}
    assert journal.any_result("s1") and not journal.any_result("s2")
    assert journal.last("p", "a") == {"with": 1}
    assert journal.last("p", "b") is None
    with Reader(tmp_path, lambda digest: True) as reader:
        assert (reader.outputs("f1"), reader.any_result("s1"), reader.last("p", "a")) == (
            {"value": 1},
            True,
            {"with": 1},
        )
        found = reader.run("r1")
        assert found is not None
        assert [step["step"] for step in found["steps"]] == ["b", "a"]
        assert reader.run("r2") is None
        assert [run["run"] for run in reader.runs()] == ["r1"]


def test_a_result_whose_artifacts_are_gone_is_none(journal: Journal) -> None:
    journal.start_run(RUN, [("a", "debug.echo")])
    here = {"type": "report", "digest": DIGEST, "media_type": "", "title": ""}
    finish(journal, {"value": here})
    assert journal.outputs("f1") is not None
    finish(journal, {"value": [{"deep": {**here, "digest": DIGEST.replace("0", "1")}}]})
    assert journal.outputs("f1") is None


def test_only_stored_artifacts_count_as_content() -> None:
    service = {"type": "service", "digest": DIGEST, "url": "", "pid": 1}
    table = {"type": "table", "digest": "d2"}
    assert list(stored_digests({"a": [service, table], "b": {"type": "other", "digest": "d3"}})) == ["d2"]


def test_what_fails_midway_leaves_no_trace(journal: Journal) -> None:
    journal.start_run(RUN, [("a", "debug.echo")])
    with pytest.raises(TypeError):
        finish(journal, {"value": object()})
    assert journal.outputs("f1") is None
    finish(journal, {"value": 1})
    assert journal.outputs("f1") == {"value": 1}


def test_a_resumed_run_keeps_when_it_was_started_first(journal: Journal, tmp_path: Path) -> None:
    journal.start_run(RUN, [("a", "debug.echo")])
    journal.finish_run("r1", "interrupted", {}, 9, [])
    journal.start_run({**RUN, "started_ms": 100}, [("a", "debug.echo")])
    with Reader(tmp_path, lambda digest: True) as reader:
        (run,) = reader.runs()
        assert (run["started_ms"], run["status"], run["ended_ms"]) == (1, "running", None)


def test_a_run_whose_process_has_gone_is_told_as_interrupted(journal: Journal, tmp_path: Path) -> None:
    journal.start_run({**RUN, "holder": "4194304:1:gone"}, [("a", "debug.echo")])
    with Reader(tmp_path, lambda digest: True) as reader:
        assert [run["status"] for run in reader.runs()] == ["interrupted"]
        assert (reader.run("r1") or {})["status"] == "interrupted"


def test_a_damaged_or_newer_store_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"not a database, " * 100)
    for opened in (Journal, Reader):
        with pytest.raises(StoreError) as raised:
            opened(tmp_path, lambda digest: True)
        assert raised.value.exit_code is Exit.UNAVAILABLE
    (tmp_path / FILE).unlink()
    with sqlite3.connect(tmp_path / FILE) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="newer version"):
        Reader(tmp_path, lambda digest: True)


def test_a_full_disk_is_a_store_error(journal: Journal) -> None:
    journal.start_run(RUN, [("a", "debug.echo")])
    journal._database.execute(f"PRAGMA max_page_count = {journal._database.execute('PRAGMA page_count').fetchone()[0]}")
    with pytest.raises(StoreError, match="full"):
        finish(journal, {"value": "x" * 1_000_000})
