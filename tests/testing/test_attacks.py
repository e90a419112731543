"""Test files that name files they must not read, or that are made to break the reader: refused with a place."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import CliRunner
from pyarrow import parquet

from e2i import api
from e2i.cli.main import e2i
from e2i.errors import BadInput, E2IError, InvalidSpec, StepError
from e2i.testing import reading, recording, suite
from e2i.tools.data import actions
from project import Project

TABLE = """\
version: 1
name: a
steps:
  load: {uses: data.load, with: {path: people.csv, types: {id: integer}}}
  big: {uses: data.select, with: {table: "${{ steps.load.table }}", where: [{column: id, op: ge, value: 2}]}}
"""
FILE = """\
version: 1
name: a
steps:
  take: {uses: great_expectations.profile, with: {table: "${{ steps.load.table }}", name: x}}
  load: {uses: data.load, with: {path: people.csv}}
"""


class Folder:
    """A workspace beside a folder that it must not read."""

    def __init__(self, root: Path) -> None:
        self.root, self.outside = root / "in", root / "outside"
        self.outside.mkdir()
        self.write("config/default.yaml", "{}\n")
        self.write("people.csv", "id\n1\n2\n")
        (self.outside / "x.csv").write_text("id\n7\n")

    def write(self, name: str, text: str | bytes) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    def problems(self, given: str, spec: str = TABLE) -> list[tuple[str, int, str]]:
        self.write("a.yaml", spec)
        text = f"tests: ./a.yaml\ncases:\n  one:\n    given: {given}\n    run: [big]\n"
        file = self.write("a.test.yaml", text if spec is TABLE else text.replace("[big]", "[load]"))
        return [(p.code, p.location.line, p.message) for p in suite.check([str(file)])[1]]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_a_spec_of_another_workspace_is_refused(folder: Folder) -> None:
    (folder.outside / "config").mkdir()
    (folder.outside / "config" / "default.yaml").write_text("nonsense: [")  # never read
    (folder.outside / "x.yaml").write_text(TABLE)
    (folder.root / "link.yaml").symlink_to(folder.outside / "x.yaml")
    for name in ("../outside/x.yaml", str(folder.outside / "x.yaml"), "link.yaml", "config/default.yaml"):
        file = folder.write("a.test.yaml", f"tests: {name}\ncases: {{one: {{}}}}\n")
        (problem,) = suite.check([str(file)])[1]
        assert (problem.code, problem.location.line) == ("policy-path", 1), name
    file = folder.write("a.test.yaml", "tests: no.yaml\ncases: {one: {}}\n")
    assert [p.code for p in suite.check([str(file)])[1]] == ["no-such-spec"]


def test_a_test_file_that_leads_to_another_workspace_is_refused(folder: Folder) -> None:
    (folder.outside / "config").mkdir()
    (folder.outside / "config" / "default.yaml").write_text("nonsense: [")
    (folder.outside / "b.test.yaml").write_text("tests: ./a.yaml\ncases: {one: {}}\n")
    (folder.root / "b.test.yaml").symlink_to(folder.outside / "b.test.yaml")
    with pytest.raises(BadInput, match="leads outside its workspace"):
        suite.load([str(folder.root / "b.test.yaml")])


def test_tables_are_read_in_the_workspace_only(folder: Folder) -> None:
    (folder.root / "link.csv").symlink_to(folder.outside / "x.csv")
    folder.write(".secret.csv", "id\n1\n")
    os.mkfifo(folder.root / "pipe.csv")
    names = ("../outside/x.csv", "/proc/self/environ.csv", "link.csv", ".secret.csv", "pipe.csv", "no.csv")
    for name in names:
        (found,) = folder.problems(f"{{load: {{table: {{file: {name}}}}}}}")
        assert found[:2] == ("bad-fixture", 4), name
    assert folder.problems("{load: {table: {file: people.csv}}}") == []


def test_files_are_read_in_the_workspace_only(folder: Folder) -> None:
    (folder.root / "model").mkdir()
    (folder.root / "model" / "weights").symlink_to("/etc/passwd")
    (folder.root / "piped").mkdir()
    os.mkfifo(folder.root / "piped" / "pipe")
    with (folder.root / "large").open("wb") as file:
        file.truncate(65 << 20)
    codes = {
        "/proc/self/environ": "policy-path",
        "../outside/x.csv": "policy-path",
        "config/default.yaml": "policy-path",
        "model": "bad-fixture",
        "piped": "bad-fixture",
        "large": "bad-fixture",
        "none": "no-such-file",
    }
    for name, code in codes.items():
        found = folder.problems(f"{{take: {{suite: {{file: {name}, name: x.json}}}}}}", FILE)
        assert [(one, line) for one, line, _ in found] == [(code, 4)], (name, found)


@pytest.mark.parametrize("name", ["/abs/x", "../x", "..", ".", "", "a\\b"])
def test_a_file_keeps_a_plain_name(name: str, tmp_path: Path) -> None:
    from e2i.catalog.artifacts import File

    with pytest.raises(StepError, match="not a name of a file"):
        actions._named(File(name=name, bytes=1, digest=f"sha256:{'0' * 64}"), None)  # type: ignore[arg-type]


def test_recording_writes_through_no_link(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "in").mkdir()
    project = Project(tmp_path / "in")
    spec = project.write("a.yaml", TABLE)
    project.write("people.csv", "id\n1\n2\n")
    api.run(spec, workspace=project.workspace)
    (tmp_path / "in" / "a.fixtures").symlink_to(tmp_path / "outside")
    with pytest.raises(E2IError) as refused:
        recording.record("last", "big", project.workspace)
    assert refused.value.code == "policy-path"
    assert list((tmp_path / "outside").iterdir()) == []


def test_damaged_snapshots_are_reported(folder: Folder) -> None:
    folder.write("a.yaml", TABLE)
    text = "tests: ./a.yaml\ncases: {one: {expect: {snapshot: big.table}}}\n"
    file = folder.write("a.test.yaml", text)
    deep = '{"cases": {"one": {"big.table": ' + "[" * 50_000 + "]" * 50_000 + "}}}"
    for content in ('{"cases": 5}', '{"cases": {"one": 5}}', "[]", "\xff", deep, deep.replace("[" * 49_700, "")):
        folder.write("a.snapshots.json", content)
        with pytest.raises(BadInput) as caught:
            suite.load([str(file)])
        assert caught.value.code == "bad-snapshot", content[:40]
    (folder.root / "a.snapshots.json").unlink()
    (folder.root / "a.snapshots.json").symlink_to(folder.outside / "sn.json")
    (folder.outside / "sn.json").write_text("{}")
    with pytest.raises(BadInput, match="leads outside"):
        suite.load([str(file)])
    (folder.root / "a.snapshots.json").unlink()
    kept = {"cases": {"one": {"big.table": {"columns": {"id": "int64"}, "rows": [5]}}}}
    folder.write("a.snapshots.json", json.dumps(kept))
    result = suite.run(suite.load([str(file)])).files[0].cases[0]
    assert [f.lines[0] for f in result.failures] == ["the snapshot is not a table with columns and rows"]


def test_bad_tables_are_reported_at_their_place(folder: Folder) -> None:
    folder.write("bad.csv", b"id,\xff\n1,\xff\n")
    folder.write("twice.csv", "id,id\n1,2\n")
    for given, line in {
        "{file: bad.csv}": "not UTF-8",
        "{file: twice.csv}": "twice",
        "{rows: [{id: 1}], types: [1]}": "types are a mapping",
        "{rows: [{id: 1}], types: {id: 5}}": "no text",
        '{rows: [{id: 1}], types: {id: "decimal128(99, 2)"}}': "is wrong",
        '{rows: [{id: 1}], types: {id: "decimal128(5, 99999999999999999999)"}}': "is wrong",
        '{rows: [{id: 1}], types: {id: "timestamp[us, tz=No/Where]"}}': "is wrong",
    }.items():
        (found,) = folder.problems(f"{{load: {{table: {given}}}}}")
        assert found[:2] == ("bad-fixture", 4) and line in found[2], found


def test_the_rows_of_a_file_are_limited(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MOST_ROWS", 1)
    table = pa.table({"id": [1, 2]})
    parquet.write_table(table, folder.root / "x.parquet")
    with pa.OSFile(str(folder.root / "x.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    for name in ("x.parquet", "x.arrow"):
        (found,) = folder.problems(f"{{load: {{table: {{file: {name}}}}}}}")
        assert "more than 1 rows" in found[2]


def test_the_cases_of_a_file_are_limited(folder: Folder) -> None:
    folder.write("a.yaml", TABLE)
    file = folder.write("a.test.yaml", "tests: ./a.yaml\ncases:\n" + "".join(f"  c{n}: {{}}\n" for n in range(1001)))
    with pytest.raises(InvalidSpec) as caught:
        suite.load([str(file)])
    assert [p.code for p in caught.value.problems] == ["bad-value"]


def test_lists_cannot_be_disjoint(folder: Folder) -> None:
    folder.write("a.yaml", TABLE)
    rows = "{rows: [{id: 1, many: [1]}]}"
    text = (
        f"tests: ./a.yaml\ncases: {{one: {{given: {{load: {{table: {rows}}}, big: {{table: {rows}}}}}, run: [load],"
        " expect: {disjoint: [{tables: [load.table, big.table], by: many}]}}}\n"
    )
    file = folder.write("a.test.yaml", text)
    folder.write("people.csv", "id,many\n1,2\n")
    try:
        result = suite.run(suite.load([str(file)])).files[0].cases[0]
    except InvalidSpec as error:
        pytest.fail("\n".join(map(str, error.problems)))
    assert [f.message for f in result.failures] == [
        "column 'many' of load.table has list<item: int64>: its values cannot be compared"
    ]


def test_the_policy_of_an_agent_applies(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.write("config/policy.yaml", "agent: {actions: [debug.*]}\n")
    folder.write("a.yaml", TABLE)
    folder.write("a.test.yaml", "tests: ./a.yaml\ncases: {one: {}}\n")
    monkeypatch.chdir(folder.root)
    done = CliRunner().invoke(e2i, ["test", "a.test.yaml", "--origin", "agent", "--json"])
    assert "policy" in done.output and done.exit_code != 0, done.output
