"""The file name decides the format of a written plan, and no text of a spec becomes markup."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from e2i.cli.main import e2i
from project import Project

MARKUP = "<script>alert(1)</script>"
SPEC = f"""
version: 1
name: page
description: "{MARKUP}"
steps:
  a: {{uses: debug.echo, description: "{MARKUP}", with: {{value: "{MARKUP}"}}}}
"""


@pytest.mark.parametrize(
    ("name", "start"),
    [("p.html", "<!doctype html>"), ("p.svg", "<svg"), ("P.SVG", "<svg"), ("p.md", "#"), ("p.json", "{")],
)
def test_a_plan_is_written_as_its_file_is_named_and_markup_is_text(
    project: Project, monkeypatch: pytest.MonkeyPatch, name: str, start: str
) -> None:
    monkeypatch.chdir(project.root)
    project.write("page.yaml", SPEC)
    result = CliRunner().invoke(e2i, ["plan", "page.yaml", "-o", name])
    assert result.exit_code == 0, result.output
    text = Path(name).read_text("utf-8")
    assert text.lower().startswith(start)
    if name.endswith("json"):
        assert json.loads(text)["name"] == "page"
    else:
        assert MARKUP not in text
