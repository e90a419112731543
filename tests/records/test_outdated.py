"""A plan that reuses results of code that has changed since says so, and is the same plan."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from e2i.cli.main import e2i
from e2i.records import outdated
from e2i.tools import debug
from project import Project

SPEC = """
version: 1
name: hinted
steps:
  a: {uses: python.call, with: {file: one.py, function: one}}
  b: {uses: debug.sleep, with: {seconds: 0.001}}
  c: {uses: debug.sleep, needs: [b], with: {seconds: 0.002}}
"""


@pytest.fixture
def ran(project: Project) -> Project:
    project.write("one.py", "def one():\n    return 1\n")
    project.write("spec.yaml", SPEC)
    project.run(SPEC)
    return project


def test_results_older_than_the_source_of_their_tool_are_named(ran: Project) -> None:
    plan = ran.plan(SPEC)
    assert plan.hints == ()
    changed = max(file.stat().st_mtime for file in Path(debug.__file__).parent.glob("*.py"))
    made = {"b": changed - 1, "c": changed + 1}
    prints = {step.fingerprint: int(1000 * made.get(step.id, time.time())) for step in plan.steps}
    (hint,) = outdated.hints(plan, prints.get)  # type: ignore[arg-type]  # all have one
    assert hint.startswith("the source of debug changed after the results of b were made")
    assert list(outdated.hints(plan, lambda _: None)) == []
    assert list(outdated.hints(ran.plan(SPEC, fresh=True), lambda _: 1)) == []


def test_the_files_of_an_installed_package_tell_nothing(ran: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = ran.plan(SPEC)
    assert len(list(outdated.hints(plan, lambda _: 1))) == 2
    monkeypatch.setattr(outdated, "INSTALLED", ("engine",))
    assert list(outdated.hints(plan, lambda _: 1)) == []


def test_a_hint_changes_neither_verdicts_nor_documents(ran: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    before = ran.plan(SPEC)
    monkeypatch.setattr(outdated, "_changed_ms", lambda tool: 10**14)
    after = ran.plan(SPEC)
    assert len(after.hints) == 2
    assert (after.digest, after.to_json(), after.steps) == (before.digest, before.to_json(), before.steps)
    monkeypatch.chdir(ran.root)
    text = CliRunner().invoke(e2i, ["plan", "spec.yaml"]).stdout
    assert "hint: the source of debug changed after the results of b, c were made" in text
    assert "--fresh" in text
