"""``e2i export`` and ``e2i show --output``: results of a run as files and on the terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from e2i.cli.main import e2i
from project import Project

SPEC = """
version: 1
name: results
steps:
  load: {uses: data.load, with: {path: in.csv}}
  numbers: {uses: debug.echo, with: {value: {auc: 0.75, "a.b": [1, null], text: "é"}}}
outputs: {rows: "${{ steps.load.table }}", numbers: "${{ steps.numbers.value }}"}
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    project = Project(tmp_path_factory.mktemp("results"))
    project.write("in.csv", "id,name,x\n1,=cmd(),0.5\n,bob\x1b[31m,1.5\n" + "3,eve,2\n" * 20)
    project.write("results.yaml", SPEC)
    assert project.run(project.root / "results.yaml").status == "succeeded"
    yield project


def call(ran: Project, *arguments: str) -> Result:
    return CliRunner().invoke(e2i, [*arguments, "--store", str(ran.root / ".e2i")])


@pytest.mark.parametrize("output", ["rows", "load.table"])
@pytest.mark.parametrize("suffix", ["csv", "tsv", "json", "jsonl", "parquet", "feather"])
def test_a_table_becomes_a_file(ran: Project, tmp_path: Path, output: str, suffix: str) -> None:
    path = tmp_path / f"t.{suffix}"
    result = call(ran, "export", "last", output, str(path), "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert (document["path"], document["output"], document["bytes"]) == (str(path), output, path.stat().st_size)
    match suffix:
        case "csv" | "tsv":
            ids = pd.read_csv(path, sep="\t" if suffix == "tsv" else ",")["id"].astype("Int64").tolist()
        case "json" | "jsonl":
            lines = json.loads(path.read_text()) if suffix == "json" else map(json.loads, path.read_text().splitlines())
            ids = [row["id"] for row in lines]
        case _:
            ids = (pq.read_table(path) if suffix == "parquet" else pa.ipc.open_file(path).read_all())["id"].to_pylist()
    assert ids[:1] + ids[2:4] == [1, 3, 3] and len(ids) == 22
    assert [item.name for item in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("output", "value"), [("numbers.auc", 0.75), ("numbers.a.b", [1, None]), ("numbers.value.text", "é")]
)
def test_a_value_becomes_json(ran: Project, tmp_path: Path, output: str, value: object) -> None:
    result = call(ran, "export", "last", output, str(tmp_path / "v.json"))
    assert result.exit_code == 0 and json.loads((tmp_path / "v.json").read_text("utf-8")) == value


def test_a_file_is_replaced_only_on_request_and_formulas_are_escaped_on_request(ran: Project, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("mine")
    refused = call(ran, "export", "last", "rows", str(path))
    assert refused.exit_code == 2 and "file-exists" in refused.output and path.read_text() == "mine"
    assert call(ran, "export", "last", "rows", str(path), "--replace", "--escape-formulas").exit_code == 0
    assert pd.read_csv(path)["name"][0] == "'=cmd()"


@pytest.mark.parametrize(
    ("output", "name", "message"),
    [
        ("row", "t.csv", 'did you mean "rows"?'),
        ("rows", "t.xlsx", "unknown-format"),
        ("rows", "none/t.csv", "cannot write"),
        ("numbers.aucc", "t.json", "auc"),
    ],
)
def test_what_cannot_be_exported_is_explained(
    ran: Project, tmp_path: Path, output: str, name: str, message: str
) -> None:
    result = call(ran, "export", "last", output, str(tmp_path / name))
    assert result.exit_code == 2 and message in result.output
    assert list(tmp_path.iterdir()) == []


def test_the_head_of_a_table_is_shown_without_control_characters(ran: Project) -> None:
    result = call(ran, "show", "last", "--output", "rows")
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[0].split() == ["id", "name", "x"] and lines[1].split() == ["int64", "string", "double"]
    assert lines[2].split() == ["1", "=cmd()", "0.5"] and "\x1b" not in result.output
    assert lines[-1] == "22 rows, 3 columns, the first 10 shown"
    document = json.loads(call(ran, "show", "last", "--output", "rows", "--json").stdout)
    assert document["head"][:1] == [["1", "=cmd()", "0.5"]] and len(document["head"]) == 10
    assert json.loads(call(ran, "show", "last", "--output", "numbers").stdout)["auc"] == 0.75
    assert call(ran, "show", "last", "--output", "rows", "--step", "load").exit_code == 2
