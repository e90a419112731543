"""Many files as one table: folders, patterns, partitions; what is read is what the fingerprint covers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from context import LocalContext
from e2i.catalog.columns import KnownTable
from e2i.errors import Refused, StepError
from e2i.tools.data import LoadParams, actions, columns
from e2i.workspace.files import WorkspaceFiles
from e2i.workspace.paths import Roots
from project import Project


def load(ctx: LocalContext, path: str, **params: Any) -> pa.Table:
    return ctx.arrow(actions.load(LoadParams.model_validate({"path": path, **params}), ctx).table)


def planned(ctx: LocalContext, path: str, **params: Any) -> Any:
    given = LoadParams.model_validate({"path": path, **params})
    return columns.load(
        {name: getattr(given, name) for name in LoadParams.model_fields}, WorkspaceFiles(Roots(ctx.workspace))
    )


def put(ctx: LocalContext, name: str, table: pa.Table) -> None:
    path = ctx.workspace / name
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)


@pytest.fixture
def parts(ctx: LocalContext) -> LocalContext:
    for index, name in enumerate(("b.parquet", "a.parquet", "deep/c.parquet", "_hidden.parquet", ".d.parquet")):
        put(ctx, f"data/{name}", pa.table({"n": [index], "t": [name]}))
    return ctx


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("data", ["a.parquet", "b.parquet", "deep/c.parquet"]), ("data/", ["a.parquet", "b.parquet", "deep/c.parquet"]), ("data/*.parquet", ["a.parquet", "b.parquet"]),
        ("data/*/*.parquet", ["deep/c.parquet"]), ("data/[ab].parquet", ["a.parquet", "b.parquet"]), ("data/a.parquet", ["a.parquet"]), ("d*/a.parquet", ["a.parquet"]),
    ],
)  # fmt: skip
def test_the_files_of_a_folder_or_a_pattern_are_read_in_order(
    parts: LocalContext, path: str, expected: list[str]
) -> None:
    assert load(parts, path, format="parquet")["t"].to_pylist() == expected
    assert planned(parts, path, format="parquet").outputs["table"] == KnownTable({"n": "int64", "t": "string"})
    assert load(parts, path, format="parquet", columns=["t"], rows=1).to_pydict() == {"t": expected[:1]}


def test_files_with_other_columns_are_named(ctx: LocalContext) -> None:
    put(ctx, "d/a.parquet", pa.table({"n": [1]}))
    put(ctx, "d/b.parquet", pa.table({"n": ["x"]}))
    with pytest.raises(StepError, match=r"column 'n' is string in d/b\.parquet, but int64 in d/a\.parquet") as raised:
        load(ctx, "d/*.parquet")
    assert raised.value.code == "bad-column"
    put(ctx, "d/b.parquet", pa.table({"m": [1]}))
    with pytest.raises(StepError, match=r"column 'n' is not there in d/b\.parquet, but int64 in"):
        load(ctx, "d/*.parquet")


def test_folders_are_columns_as_hive_writes_them(ctx: LocalContext) -> None:
    table = pa.table({"x": [1.0, 2.0, 3.0], "year": [2023, 2024, 2024], "kind": ["a b", "c/d", None]})
    ds.write_dataset(
        table,
        ctx.workspace / "d",
        format="parquet",
        partitioning=ds.partitioning(table.select(["year", "kind"]).schema, flavor="hive"),
    )
    found = load(ctx, "d", format="parquet", partitions="hive")
    assert sorted(found.to_pylist(), key=lambda row: row["x"]) == table.to_pylist()
    assert planned(ctx, "d", format="parquet", partitions="hive").outputs["table"] == KnownTable(
        {f.name: str(f.type) for f in found.schema}
    )
    chosen = {"year": "string", "x": "number"}
    assert load(ctx, "d", format="parquet", partitions="hive", columns=chosen).schema == pa.schema(
        [("year", pa.string()), ("x", pa.float64())]
    )
    assert planned(ctx, "d", format="parquet", partitions="hive", columns=chosen).outputs["table"] == KnownTable(
        {"year": "string", "x": "double"}
    )
    assert load(ctx, "d", format="parquet").column_names == ["x"]


def test_text_files_share_one_reading(ctx: LocalContext) -> None:
    for name, text in {"a.csv": "id;x\n1;0,5\n", "b.csv": "id;x\n2;1,5\n"}.items():
        (ctx.workspace / name).write_text(text)
    assert load(ctx, "*.csv").to_pydict() == {"id": [1, 2], "x": [0.5, 1.5]}


@pytest.mark.parametrize("path", ["../*.csv", "data/../../*.csv", "/etc/*.csv", "link/*.csv"])
def test_a_pattern_does_not_lead_outside(ctx: LocalContext, tmp_path: Path, path: str) -> None:
    (tmp_path / "x.csv").write_text("a\n1\n")
    (ctx.workspace / "link").symlink_to(tmp_path)
    with pytest.raises((Refused, StepError)):
        load(ctx, path)


def test_a_name_with_brackets_is_a_name(ctx: LocalContext) -> None:
    (ctx.workspace / "t[1].csv").write_text("a\n1\n")
    (ctx.workspace / "t1.csv").write_text("a\n2\n")
    assert load(ctx, "t[1].csv").to_pydict() == {"a": [1]}
    assert load(ctx, "t[12].csv").to_pydict() == {"a": [2]}


def test_nothing_that_matches_is_a_problem(ctx: LocalContext) -> None:
    with pytest.raises(StepError, match=r"there is no file none/\*\.csv"):
        load(ctx, "none/*.csv")
    (problem,) = planned(ctx, "none/*.csv").problems
    assert problem.code == "no-such-file"


def test_a_file_without_a_known_format_is_a_problem_before_the_run(ctx: LocalContext) -> None:
    (ctx.workspace / "t.dat").write_text("a\n1\n")
    (problem,) = planned(ctx, "t.dat").problems
    with pytest.raises(StepError) as raised:
        load(ctx, "t.dat")
    assert (problem.code, problem.message, problem.hint) == (raised.value.code, raised.value.message, raised.value.hint)
    assert load(ctx, "t.dat", format="csv").num_rows == 1


SPEC = """
version: 1
name: parts
steps:
  load: {uses: data.load, with: {path: "data/*.csv"}}
outputs: {table: "${{ steps.load.table }}"}
"""


def test_a_new_a_changed_and_a_removed_file_are_noticed(project: Project) -> None:
    project.write("data/a.csv", "a\n1\n")
    project.write("parts.yaml", SPEC)
    spec = project.root / "parts.yaml"
    rows = [project.run(spec).outputs["table"]["rows"]]
    assert project.run(spec).steps["load"].status.value == "reused"
    for change in (
        lambda: project.write("data/b.csv", "a\n2\n3\n"),
        lambda: project.write("data/b.csv", "a\n2\n"),
        lambda: (project.root / "data" / "a.csv").unlink(),
    ):
        change()
        record = project.run(spec)
        assert record.steps["load"].status.value == "succeeded"
        rows.append(record.outputs["table"]["rows"])
    assert rows == [1, 3, 2, 1]
    assert project.cli("validate", "parts.yaml", "--origin", "agent").returncode == 0
