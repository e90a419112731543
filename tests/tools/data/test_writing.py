"""Files that ``data.write`` makes: their content, what happens to a file that exists, and what is never written."""

from __future__ import annotations

import json
import os
import zipfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, assume, given, settings
from pydantic import ValidationError

from arrow_tables import same, tables
from context import LocalContext
from e2i.catalog.artifacts import Report
from e2i.errors import Refused, StepError
from e2i.tools.data import LoadParams, SelectParams, WriteParams, actions, effects, nested
from e2i.tools.python import CallParams
from e2i.tools.python import actions as python

ROWS = pa.table({"id": [1, None, 3], "name": ["ann", None, "=1+1"], "x": [0.1, 2.0, None], "flag": [True, None, False]})
INFINITE = float("inf")
IDENTITY = "def identity(table):\n    return table\n"


def write(ctx: LocalContext, path: str, **params: Any) -> Any:
    return actions.write(WriteParams(path=path, **params), ctx)


@pytest.mark.parametrize(
    "name", ["t.csv", "t.tsv", "t.parquet", "t.feather", "t.arrow", "t.jsonl", "deep/er/t.parquet"]
)
def test_a_table_is_read_again_as_it_was(ctx: LocalContext, name: str) -> None:
    out = write(ctx, name, table=ctx.table(ROWS))
    path = ctx.workspace / name
    assert out.file.path == name and out.file.bytes == path.stat().st_size and ctx.placed(name) == out.file.digest
    assert ctx.arrow(actions.load(LoadParams(path=name), ctx).table) == ROWS
    assert [item.name for item in path.parent.iterdir() if item.is_file()] == [path.name]


def test_json_has_objects_with_exact_values(ctx: LocalContext) -> None:
    table = pa.table(
        {
            "n": [2**60 + 1],
            "d": [Decimal("0.10")],
            "t": pa.array([1], pa.timestamp("ns", "UTC")),
            "l": [[1, None]],
            "x": [float("nan")],
        }
    )
    write(ctx, "t.json", table=ctx.table(table))
    (row,) = json.loads((ctx.workspace / "t.json").read_text())
    assert row == {"n": 2**60 + 1, "d": "0.10", "t": "1970-01-01 00:00:00.000000001Z", "l": [1, None], "x": None}


@pytest.mark.parametrize("values", [[1, None, 3], [None, "a\n\nb", None], [None, None, 0.5], [None, True]])
@pytest.mark.parametrize("name", ["t.csv", "t.tsv"])
def test_a_null_row_of_one_column_is_not_lost(ctx: LocalContext, name: str, values: list[object]) -> None:
    write(ctx, name, table=ctx.table(pa.table({"a": values})))
    assert ctx.arrow(actions.load(LoadParams(path=name), ctx).table)["a"].to_pylist() == values


@pytest.mark.parametrize(
    "column",
    [
        pa.array([1.0, INFINITE]),
        pa.array([1.0, -INFINITE], pa.float32()),
        pa.array([[1.0], None, [-INFINITE]]),
        pa.array([[1.0, INFINITE], None], pa.list_(pa.float64(), 2)),
        pa.array([{"x": [INFINITE]}, None]),
        pa.array([[("a", INFINITE)], None], pa.map_(pa.string(), pa.float64())),
        pa.array([1.0, INFINITE]).dictionary_encode(),
    ],
    ids=lambda column: str(column.type),
)
@pytest.mark.parametrize("name", ["t.json", "t.jsonl"])
def test_json_has_no_infinity(ctx: LocalContext, name: str, column: pa.Array) -> None:
    with pytest.raises(StepError, match="column 'a' has an infinite value"):
        write(ctx, name, table=ctx.table(pa.table({"a": column})))
    assert not (ctx.workspace / name).exists()


def test_what_a_slice_leaves_out_is_not_looked_at() -> None:
    maps = pa.array([[("a", float("inf"))], [("b", 1.0)]], pa.map_(pa.string(), pa.float64()))
    assert [array.to_pylist() for array in nested.floats(pa.chunked_array([maps.slice(1)]))] == [[1.0]]


def trip(ctx: LocalContext, table: pa.Table) -> pa.Table:
    """The table through load, select, a Python function that returns it, write and load."""
    pq.write_table(table, ctx.workspace / "in.parquet")
    (ctx.workspace / "steps.py").write_text(IDENTITY)
    loaded = actions.load(LoadParams(path="in.parquet"), ctx).table
    chosen = actions.select(SelectParams(table=loaded), ctx).table
    returned = python.call(CallParams(file="steps.py", function="identity", arguments={"table": chosen}), ctx).table
    assert returned is not None and returned.columns == loaded.columns
    write(ctx, "out.parquet", table=returned, mode="replace")
    found = ctx.arrow(actions.load(LoadParams(path="out.parquet"), ctx).table)
    ctx.release()  # as after each step: a thousand files are not held at once
    return found


@given(table=tables(least=1))
@settings(max_examples=50, suppress_health_check=list(HealthCheck))
def test_any_table_comes_through_every_action_as_it_was(ctx: LocalContext, table: pa.Table) -> None:
    assume(same(pq.read_table(_written(ctx, table)), table))  # Parquet has no dictionaries of integers
    assert same(trip(ctx, table), table)


@pytest.mark.sweep
@pytest.mark.timeout(3600)
@given(table=tables(least=1))
@settings(max_examples=2_000, suppress_health_check=list(HealthCheck))
def test_sweep_any_table_comes_through_every_action_as_it_was(ctx: LocalContext, table: pa.Table) -> None:
    assume(same(pq.read_table(_written(ctx, table)), table))
    assert same(trip(ctx, table), table)


def _written(ctx: LocalContext, table: pa.Table) -> Path:
    path = ctx.scratch / "plain.parquet"
    pq.write_table(table, path)
    return path


def test_a_value_is_json_and_a_folder_an_archive_with_fixed_bytes(ctx: LocalContext) -> None:
    write(ctx, "metrics.json", value={"auc": 0.75, "größe": [1, None]})
    assert json.loads((ctx.workspace / "metrics.json").read_text("utf-8")) == {"auc": 0.75, "größe": [1, None]}
    folder = ctx.scratch / "report"
    (folder / "img").mkdir(parents=True)
    (folder / "index.html").write_text("<p>")
    (folder / "img" / "a.png").write_bytes(b"png")
    report = ctx.keep(folder, Report, media_type="text/html", title="r", entry="index.html")
    digests = {write(ctx, f"{name}.zip", report=report).file.digest for name in "ab"}
    assert len(digests) == 1
    with zipfile.ZipFile(ctx.workspace / "a.zip") as archive:
        assert archive.namelist() == ["img/a.png", "index.html"] and archive.read("index.html") == b"<p>"


def test_equal_content_is_not_written_again_and_other_content_only_on_request(ctx: LocalContext) -> None:
    table = ctx.table(ROWS)
    write(ctx, "t.csv", table=table)
    before = (ctx.workspace / "t.csv").stat()
    write(ctx, "t.csv", table=table)
    after = (ctx.workspace / "t.csv").stat()
    assert (before.st_mtime_ns, before.st_ino) == (after.st_mtime_ns, after.st_ino)
    other = ctx.table(ROWS.slice(0, 1))
    with pytest.raises(StepError, match=r"the file t\.csv exists, with other content") as raised:
        write(ctx, "t.csv", table=other)
    assert raised.value.code == "file-exists"
    write(ctx, "t.csv", table=other, mode="replace")
    assert len(pd.read_csv(ctx.workspace / "t.csv")) == 1


def test_the_effect_is_the_file_with_its_content(ctx: LocalContext) -> None:
    params = WriteParams(path="t.csv", table=ctx.table(ROWS))
    out = actions.write(params, ctx)
    assert effects.write(params, out, ctx) is None
    (ctx.workspace / "t.csv").write_text("changed")
    assert effects.write(params, out, ctx) == "the file t.csv has other content"
    (ctx.workspace / "t.csv").unlink()
    assert effects.write(params, out, ctx) == "the file t.csv does not exist"


def test_formulas_are_escaped_on_request(ctx: LocalContext) -> None:
    table = ctx.table(pa.table({"a": ["=cmd()", "+1", "-2", "@x", "\ty", "plain", "a=b", None], "n": [-1] * 8}))
    assert write(ctx, "plain.csv", table=table).escaped == 0
    assert write(ctx, "safe.csv", table=table, escape_formulas=True).escaped == 5
    frame = pd.read_csv(ctx.workspace / "safe.csv")
    assert (
        frame["a"].tolist()[:7] == ["'=cmd()", "'+1", "'-2", "'@x", "'\ty", "plain", "a=b"]
        and frame["n"].tolist() == [-1] * 8
    )


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("t.csv", pa.array([[1]])),
        ("t.csv", pa.array([{"a": 1}])),
        ("t.csv", pa.array([b"x"])),
        ("t.json", pa.array([b"x"])),
    ],
)
def test_a_column_that_a_format_cannot_have_is_named(ctx: LocalContext, name: str, column: pa.Array) -> None:
    with pytest.raises(StepError, match="column 'odd' has the type"):
        write(ctx, name, table=ctx.table(pa.table({"odd": column})))
    assert not (ctx.workspace / name).exists()


def test_nothing_is_written_outside_the_workspace_or_to_hidden_names(ctx: LocalContext, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (ctx.workspace / "link").symlink_to(outside)
    (ctx.workspace / "file.json").symlink_to(outside / "x.json")
    (ctx.workspace / "config").mkdir()
    for path in (
        "../x.json",
        "/tmp/x.json",
        "link/x.json",
        "file.json",
        ".git/x.json",
        "config/policy.yaml",
        "a/../../x.json",
    ):
        with pytest.raises(Refused):
            write(ctx, path, value=1)
    assert list(outside.iterdir()) == []


def test_a_death_while_writing_leaves_the_old_file(ctx: LocalContext, monkeypatch: pytest.MonkeyPatch) -> None:
    write(ctx, "v.json", value=1)

    def dies(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", dies)
    with pytest.raises(StepError, match="cannot be written: No space left"):
        write(ctx, "v.json", value=2, mode="replace")
    assert (ctx.workspace / "v.json").read_text() == "1\n"
    assert sorted(item.name for item in ctx.workspace.iterdir()) == ["v.json"]


@pytest.mark.parametrize("given", [{}, {"value": 1, "report": None, "model": None, "table": "x"}])
def test_one_thing_is_written(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        WriteParams.model_validate({"path": "a.csv", **given})
