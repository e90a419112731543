"""``e2i test`` in the terminal: exit codes, text, JSON, JUnit."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]  # it has no types of its own
import pytest
from click.testing import CliRunner, Result

from e2i.cli import schemas
from e2i.cli.main import e2i

SPEC = "version: 1\nname: a\nsteps:\n  one: {uses: debug.echo, with: {value: 1}}\n"
PASSES = 'tests: ./a.yaml\ncases:\n  is_one: {expect: {holds: "${{ steps.one.value == 1 }}"}}\n'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.yaml").write_text(SPEC)
    (tmp_path / "a.test.yaml").write_text(PASSES)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(e2i, ["test", *arguments])


def test_all_cases_pass(folder: Path) -> None:
    done = run("--coverage", "--junit", "junit.xml")
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert lines[0] == "a.test.yaml"
    assert lines[1].startswith("  ✓ is_one")
    assert lines[2] == "coverage of a.yaml: 100 % (1 of 1)"
    assert lines[3].startswith("1 passed")
    assert "<testcase" in (folder / "junit.xml").read_text()
    assert sorted(path.name for path in folder.iterdir()) == ["a.test.yaml", "a.yaml", "junit.xml"]


def test_a_case_that_fails_is_exit_code_1(folder: Path) -> None:
    (folder / "a.test.yaml").write_text(PASSES.replace("== 1", "== 2"))
    done = run("a.yaml")
    assert done.exit_code == 1
    assert "a.test.yaml:3:28: steps.one.value == 2 is False" in done.output
    assert "1 failed, 0 passed" in done.output


def test_an_invalid_test_file_is_exit_code_2(folder: Path) -> None:
    (folder / "a.test.yaml").write_text(PASSES.replace("cases", "case"))
    done = run("--json")
    assert done.exit_code == 2
    assert [problem["code"] for problem in json.loads(done.stdout)["problems"]] == ["unknown-key"]
    assert CliRunner().invoke(e2i, ["validate", "a.test.yaml"]).exit_code == 2


def test_json_fits_its_schema(folder: Path) -> None:
    done = run("--json", "--coverage")
    document = json.loads(done.stdout)
    jsonschema.Draft202012Validator(schemas.schema("tests")).validate(document)
    assert document["passed"] == 1
    assert document["files"][0]["cases"][0]["ran"] == ["one"]


def test_the_schema_of_test_files_accepts_one(folder: Path) -> None:
    schema = schemas.schema("test")
    case = {"given": {"load": {"table": {"rows": []}}}, "expect": {"holds": "${{ true }}"}}
    jsonschema.Draft202012Validator(schema).validate({"tests": "./a.yaml", "cases": {"a": case}})
    assert not jsonschema.Draft202012Validator(schema).is_valid({"tests": "./a.yaml", "cases": {"a": {"gven": {}}}})
