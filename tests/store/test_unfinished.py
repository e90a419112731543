"""The run that the same command resumes: an unfinished one, for exactly one process."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from e2i.catalog.step_error import ErrorDocument
from e2i.documents import plain
from e2i.resilience.processes import process_identity
from e2i.store.database import FILE
from e2i.store.history import Reader
from e2i.store.past import RecordedOptions
from e2i.store.runs import RunStore
from e2i.store.unfinished import MOST, Unfinished
from store.written import PLAN, run_row, step_end

GONE = "4000000:100:00000000-0000-0000-0000-000000000000"
OPTIONS = RecordedOptions(select=("a",), fresh=False)


@pytest.fixture
def run_store(tmp_path: Path) -> Iterator[RunStore]:
    with closing(RunStore(tmp_path, lambda digest: True)) as opened:
        yield opened


def begin(run_store: RunStore, run: str, **facts: Any) -> None:
    run_store.start_run(run_row(run, **{"holder": GONE, "options": json.dumps(plain(OPTIONS)), **facts}))
    run_store._open.discard(run)  # it is another process's


def fail(run_store: RunStore, run: str, step: str, code: str) -> None:
    end = step_end(status="failed", outputs=None, error=ErrorDocument(code=code, message="m"))
    run_store.finish_step(run, step, end, None, [])


def taken(run_store: RunStore, plan: str = PLAN, options: Any = OPTIONS, pipeline: str = "p") -> Unfinished | None:
    return run_store.resume(pipeline, plan, options, file="p.yaml", spec="x", included={})


def test_a_run_whose_process_is_gone_is_taken_up_by_one(run_store: RunStore, tmp_path: Path) -> None:
    begin(run_store, "r1")
    with closing(RunStore(tmp_path, lambda digest: True)) as other:
        found = taken(run_store)
        assert found is not None
        assert (found.run, found.why) == ("r1", "its process 4000000 has exited")
        assert taken(other) is None
    assert run_store.start_run(run_row("r1"))


def test_an_interrupted_run_is_resumed_whatever_process_held_it(run_store: RunStore) -> None:
    begin(run_store, "r1", holder=process_identity())
    run_store.finish_run("r1", "interrupted", {}, 9, [])
    found = taken(run_store)
    assert found is not None and found.why.startswith("it was interrupted at ")


def test_a_run_that_came_to_its_end_is_not(run_store: RunStore) -> None:
    begin(run_store, "good")
    run_store.finish_run("good", "succeeded", {}, 9, [])
    begin(run_store, "bad")
    fail(run_store, "bad", "a", "worker-lost")
    fail(run_store, "bad", "b", "asked-to-fail")
    run_store.finish_run("bad", "failed", {}, 9, [])
    assert taken(run_store) is None


def test_a_run_that_failed_because_a_worker_died_did_not_come_to_its_end(run_store: RunStore) -> None:
    begin(run_store, "r1")
    fail(run_store, "r1", "a", "worker-lost")
    run_store.finish_run("r1", "failed", {}, 9, [])
    assert taken(run_store) == Unfinished("r1", "a worker died")


def test_a_run_that_a_living_process_carries_out_is_left_to_it(run_store: RunStore) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        begin(run_store, "older")
        begin(run_store, "newer", started_ms=2, holder=process_identity(other.pid))
        assert taken(run_store) == Unfinished("older", "its process 4000000 has exited")
        assert taken(run_store) is None
        other.communicate(b"\n")


@pytest.mark.parametrize(
    "asked", [{"plan": "sha256:cd"}, {"options": RecordedOptions(select=(), fresh=False)}, {"pipeline": "other"}]
)
def test_a_run_that_was_to_do_something_else_is_not_taken(run_store: RunStore, asked: dict[str, Any]) -> None:
    begin(run_store, "r1")
    assert taken(run_store, **asked) is None
    assert taken(run_store) is not None


def test_the_latest_is_taken_among_those_that_are_looked_at(run_store: RunStore) -> None:
    begin(run_store, "older", started_ms=1)
    begin(run_store, "newer", started_ms=2)
    for number in range(MOST - 1):
        begin(run_store, f"other{number}", started_ms=3, plan="no JSON")
    assert [found.run for found in (taken(run_store),) if found] == ["newer"]
    assert taken(run_store) is None


def test_a_run_whose_records_were_altered_is_not_taken(run_store: RunStore, tmp_path: Path) -> None:
    begin(run_store, "r1")
    run_store.start_step("r1", "a", 1, 2)
    with closing(sqlite3.connect(tmp_path / FILE)) as database, database:
        database.execute("UPDATE steps SET attempts = 2")
    assert taken(run_store) is None


def test_it_has_the_spec_as_it_is_written_now(run_store: RunStore, tmp_path: Path) -> None:
    begin(run_store, "r1", ended_ms=5)
    run_store.resume("p", PLAN, OPTIONS, file="./p.yaml", spec="x # later", included={"part.yaml": "y"})
    with Reader(tmp_path, lambda digest: True) as reader:
        found = reader.run("r1")
    assert found is not None
    assert (found.file, found.spec, found.included) == ("./p.yaml", "x # later", {"part.yaml": "y"})
    assert (found.status, found.started_ms, found.ended_ms, found.corrupt) == ("running", 1, None, ())


def test_a_claimed_run_that_was_not_executed_is_interrupted_again(tmp_path: Path) -> None:
    with closing(RunStore(tmp_path, lambda digest: True)) as run_store:
        begin(run_store, "r1")
        assert taken(run_store) is not None
    with closing(RunStore(tmp_path, lambda digest: True)) as run_store:
        found = taken(run_store)
        assert found is not None and found.why.startswith("it was interrupted at ")
