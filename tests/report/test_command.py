"""``e2i report``: a real run becomes a file, or an error has the reason."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from e2i import api
from e2i.cli.main import e2i
from e2i.execution.record import RunRecord
from e2i.settings import Settings
from report.looked_at import LookedAt

SPEC = """version: 1
name: demo
steps:
  first: {uses: debug.echo, with: {value: {metrics: {"{{ 7*7 }}": 1}}}}
  broken: {uses: python.call, needs: [first], with: {file: broken.py, function: fail}}
  last: {uses: debug.echo, needs: [broken]}
"""
BROKEN = "def fail():\n    print('so far')\n    raise ValueError('<b>no</b> more')\n"


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> RunRecord:
    root = tmp_path_factory.mktemp("workspace")
    (root / "broken.py").write_text(BROKEN)
    return api.run(SPEC, workspace=api.Workspace(root, root / ".e2i", Settings(sinks=(), workers=1)))


def invoke(ran: RunRecord, *more: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(e2i, ["report", *more, "--store", str(ran.store)])
    return result.exit_code, result.stdout, result.stderr


def test_the_page_lies_in_the_folder_of_the_run_and_tells_of_every_step(ran: RunRecord) -> None:
    code, printed, _ = invoke(ran, ran.run)
    path = ran.store / "runs" / ran.run / "report.html"
    assert (code, Path(printed.strip())) == (0, path)
    page = LookedAt(path.read_text("utf-8"))
    assert all(text in page.text for text in ("first", "broken", "last", "<b>no</b> more", "ValueError", "{{ 7*7 }}"))
    assert page.fetched == []
    assert "logs/broken.log" in page.values("href", "a")
    assert not list(path.parent.glob(".report-*"))


def test_the_page_goes_to_the_chosen_file_and_json_names_it(ran: RunRecord, tmp_path: Path) -> None:
    target = tmp_path / "page.html"
    code, printed, _ = invoke(ran, ran.run, "-o", str(target), "--json")
    assert (code, json.loads(printed)) == (0, {"schema_version": 1, "path": str(target)})
    assert target.read_text("utf-8").startswith("<!doctype html>")


def test_an_unknown_run_is_bad_input(ran: RunRecord) -> None:
    code, printed, errors = invoke(ran, "no-such-run")
    assert (code, printed) == (2, "")
    assert "unknown-run" in errors


def test_a_file_that_cannot_be_written_is_bad_input(ran: RunRecord, tmp_path: Path) -> None:
    code, _, errors = invoke(ran, ran.run, "-o", str(tmp_path / "missing" / "page.html"))
    assert code == 2
    assert "not-writable" in errors
