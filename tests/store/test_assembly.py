"""Rows of past runs as structs: complete, or an error that names what is wrong."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from e2i import api, compact
from e2i.documents import plain
from e2i.errors import Exit
from e2i.store.database import FILE, StoreError
from e2i.store.history import Reader
from e2i.store.past import RecordedPlan
from e2i.store.runs import RunStore
from project import Project
from store.written import PLAN, plan_text, run_row, step_end

SPEC = """
version: 1
name: bound
params: {n: {type: integer, default: 3}}
steps:
  first: {uses: debug.echo, with: {value: "${{ params.n }}"}, retry: {attempts: 2}}
finally:
  last: {uses: debug.echo, with: {value: "${{ steps.first.value | default(0) }}"}}
outputs: {n: "${{ steps.first.value }}"}
"""


@pytest.fixture
def run_store(tmp_path: Path) -> Iterator[RunStore]:
    with closing(RunStore(tmp_path, lambda digest: True)) as opened:
        yield opened


def test_a_recorded_plan_is_read_without_loss(project: Project) -> None:
    planned = api.plan(SPEC, workspace=project.workspace)
    for document in (planned.to_json(), plain(planned.outline())):
        read = plain(compact.loads(compact.dumps(document), RecordedPlan))
        assert json.loads(json.dumps(read)) == json.loads(json.dumps(document))


def test_a_run_of_an_early_version_has_neither_origin_nor_options(run_store: RunStore, tmp_path: Path) -> None:
    run_store.start_run(run_row())
    with Reader(tmp_path, lambda digest: True) as reader:
        found = reader.run("r1")
    assert found is not None
    document = plain(found)
    assert (document["provenance"], document["options"], document["included"]) == ({}, {}, {})
    assert (found.provenance.repository.commit or "", bool(found.options.fresh)) == ("", False)


def test_a_step_is_running_in_a_running_run_and_interrupted_in_an_ended_one(
    run_store: RunStore, tmp_path: Path
) -> None:
    run_store.start_run(run_row(plan=plan_text("a", "b")))
    run_store.start_step("r1", "a", 1, 2)
    statuses = []
    for end in (False, True):
        if end:
            run_store.finish_run("r1", "interrupted", {}, 9, [])
        with Reader(tmp_path, lambda digest: True) as reader:
            found = reader.run("r1")
        assert found is not None
        statuses.append([step.status for step in found.steps])
    assert statuses == [["running", "pending"], ["interrupted", "pending"]]


@pytest.mark.parametrize(
    ("table", "column", "text"),
    [
        ("runs", "plan", "no JSON"),
        ("runs", "plan", "{}"),
        ("runs", "plan", json.dumps({"digest": PLAN, "steps": 3})),
        ("runs", "params", "[1]"),
        ("runs", "included", '{"a": 1}'),
        ("runs", "options", '{"select": "a"}'),
        ("runs", "provenance", '{"git": {"changed": 1}}'),
        ("runs", "provenance", '{"pauses": [[1]]}'),
        ("steps", "outputs", "3"),
        ("steps", "error", '{"message": 1}'),
    ],
)
def test_json_of_another_shape_is_reported_as_corrupt(
    run_store: RunStore, tmp_path: Path, table: str, column: str, text: str
) -> None:
    run_store.start_run(run_row(plan=plan_text("a")))
    run_store.finish_step("r1", "a", step_end(), None, [])
    with closing(sqlite3.connect(tmp_path / FILE)) as database, database:
        database.execute(f"UPDATE {table} SET {column} = ?", (text,))
    with Reader(tmp_path, lambda digest: True) as reader:
        with pytest.raises(StoreError, match="the records of run r1 are corrupt") as raised:
            reader.run("r1")
        assert [run.id for run in reader.runs()] == ["r1"]
    assert (raised.value.code, raised.value.exit_code) == ("state-altered", Exit.UNAVAILABLE)


@pytest.mark.parametrize(
    ("column", "value"), [("status", "odd"), ("attempts", "many"), ("started_ms", None), ("note", "other")]
)
def test_an_altered_column_is_shown_as_it_is_and_named(
    run_store: RunStore, tmp_path: Path, column: str, value: Any
) -> None:
    run_store.start_run(run_row(plan=plan_text("a")))
    run_store.finish_step("r1", "a", step_end(started_ms=2), None, [])
    with closing(sqlite3.connect(tmp_path / FILE)) as database, database:
        database.execute(f"UPDATE steps SET {column} = ?", (value,))
    with Reader(tmp_path, lambda digest: True) as reader:
        found = reader.run("r1")
    assert found is not None
    assert (getattr(found.steps[0], column), found.corrupt) == (value, ("step a",))
