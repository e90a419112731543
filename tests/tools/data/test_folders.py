"""Folders that ``data.write`` makes: partitions, versions, and what a death leaves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from context import LocalContext
from e2i.errors import StepError
from e2i.tools.data import LoadParams, WriteParams, actions, effects
from e2i.tools.data.folders import MANIFEST
from project import Project

ROWS = pa.table({"x": [1.0, 2.0, 3.0, 4.0], "year": [2024, 2023, 2024, None], "kind": ["a", "b/c", "a", "d"]})


def write(ctx: LocalContext, table: pa.Table, **params: Any) -> Any:
    return actions.write(
        WriteParams.model_validate(
            {"path": "out", "table": ctx.table(table), "partition_by": ["year", "kind"], **params}
        ),
        ctx,
    )


def load(ctx: LocalContext) -> list[dict[str, Any]]:
    table = ctx.arrow(actions.load(LoadParams(path="out", format="parquet", partitions="hive"), ctx).table)
    return sorted(table.to_pylist(), key=lambda row: row["x"])


def listing(folder: Path) -> list[str]:
    return sorted(str(item.relative_to(folder)) for item in folder.rglob("*") if item.is_file())


def test_a_folder_is_read_again_as_it_was(ctx: LocalContext) -> None:
    out = write(ctx, ROWS)
    assert load(ctx) == ROWS.to_pylist()
    files = json.loads((ctx.workspace / "out" / MANIFEST).read_text())["files"]
    assert sorted(known["partition"] for known in files.values()) == [
        "year=2023/kind=b%2Fc", "year=2024/kind=a", "year=__HIVE_DEFAULT_PARTITION__/kind=d",
    ]  # fmt: skip
    assert listing(ctx.workspace / "out") == sorted([MANIFEST, *files]) and out.file.bytes == sum(
        known["bytes"] for known in files.values()
    )


def test_another_version_is_written_beside_the_old_one(ctx: LocalContext) -> None:
    write(ctx, ROWS)
    before = set(listing(ctx.workspace / "out"))
    assert write(ctx, ROWS).file.path == "out" and set(listing(ctx.workspace / "out")) == before
    with pytest.raises(StepError, match="the folder out exists, with other content"):
        write(ctx, ROWS.slice(0, 2))
    write(ctx, ROWS.slice(0, 2), mode="replace")
    assert load(ctx) == ROWS.slice(0, 2).to_pylist() and set(listing(ctx.workspace / "out")) > before
    with pytest.raises((FileNotFoundError, OSError, ValueError)):  # never two versions as one table
        assert len(pd.read_parquet(ctx.workspace / "out")) == 0


def test_partitions_are_added_once(ctx: LocalContext) -> None:
    write(ctx, ROWS.slice(0, 2), mode="append_partition")
    more = pa.table({"x": [5.0], "year": [2025], "kind": ["a"]})
    for _ in range(2):
        write(ctx, more, mode="append_partition")
    assert load(ctx) == [*ROWS.slice(0, 2).to_pylist(), *more.to_pylist()]
    with pytest.raises(StepError, match="has the partition year=2025/kind=a already, with other content"):
        write(ctx, pa.table({"x": [6.0], "year": [2025], "kind": ["a"]}), mode="append_partition")
    with pytest.raises(StepError, match="out is partitioned by year, kind"):
        write(ctx, more, mode="append_partition", partition_by=["year"])


def test_the_effect_is_the_version_with_all_its_files(ctx: LocalContext) -> None:
    params = WriteParams.model_validate({"path": "out", "table": ctx.table(ROWS), "partition_by": ["year"]})
    out = actions.write(params, ctx)
    assert effects.write(params, out, ctx) is None
    file = next((ctx.workspace / "out").rglob("*.parquet"))
    content = file.read_bytes()
    file.write_bytes(b"x")
    assert "is missing or has other content" in str(effects.write(params, out, ctx))
    actions.write(params, ctx)
    assert file.read_bytes() == content and effects.write(params, out, ctx) is None
    write(ctx, ROWS.slice(0, 1), mode="replace")
    assert effects.write(params, out, ctx) == "the folder out has another version"
    (ctx.workspace / "out" / MANIFEST).unlink()
    assert effects.write(params, out, ctx) == "the folder out has no manifest"


def test_a_death_before_the_manifest_leaves_the_old_version(ctx: LocalContext, monkeypatch: pytest.MonkeyPatch) -> None:
    write(ctx, ROWS)
    place = ctx.place

    def dies(content: Path, text: str) -> None:
        if text.endswith(MANIFEST):
            raise KeyboardInterrupt
        place(content, text)

    monkeypatch.setattr(ctx, "place", dies)
    with pytest.raises(KeyboardInterrupt):
        write(ctx, ROWS.slice(0, 1), mode="replace")
    assert load(ctx) == ROWS.to_pylist()


def test_a_manifest_of_another_program_is_kept(ctx: LocalContext) -> None:
    (ctx.workspace / "out").mkdir()
    (ctx.workspace / "out" / MANIFEST).write_text('{"name": "app"}')
    with pytest.raises(StepError, match=r"was not written by data\.write"):
        write(ctx, ROWS, mode="replace")


SPEC = """
version: 1
name: folder
steps:
  load: {uses: data.load, with: {path: in.csv}}
  write: {uses: data.write, with: {table: "${{ steps.load.table }}", path: out, partition_by: [k], mode: replace}}
  again: {uses: data.load, with: {path: "${{ steps.write.file.path }}", format: parquet, partitions: hive}}
outputs: {rows: "${{ steps.again.table }}"}
"""


def test_a_folder_is_written_and_read_in_one_run(project: Project) -> None:
    project.write("in.csv", "k,x\na,1\nb,2\n")
    project.write("folder.yaml", SPEC)
    spec = project.root / "folder.yaml"
    first = project.run(spec)
    assert first.status == "succeeded" and first.outputs["rows"]["rows"] == 2
    assert {step.status.value for step in project.run(spec).steps.values()} == {"reused"}
    next((project.root / "out").rglob("*.parquet")).unlink()
    again = project.run(spec)
    assert (
        again.status == "succeeded"
        and again.outputs == first.outputs
        and again.steps["write"].status.value == "succeeded"
    )
