"""The alert rules of the documentation use metrics that are written, with labels that they have."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from operations import openmetrics_text
from project import Project

ROOT = Path(__file__).parents[2]
RULES = ROOT / "docs" / "examples" / "e2i.rules.yml"
PAGE = (ROOT / "docs" / "operations.md").read_text("utf-8")


def test_the_page_shows_the_file() -> None:
    assert f"```yml\n{RULES.read_text('utf-8')}```" in PAGE


def test_the_rules_read_metrics_that_are_written(project: Project) -> None:
    project.write("config/default.yaml", "sinks: []\nmetrics_file: e2i.prom\n")
    project.run("version: 1\nname: fine\nsteps: {a: {uses: debug.echo, with: {value: 1}}}\n")
    written: dict[str, set[str]] = {}
    for name, labels in openmetrics_text.read((project.root / "e2i.prom").read_text()):
        written.setdefault(name, set()).update(label for label, _ in labels)
    rules = [rule for group in yaml.safe_load(RULES.read_text("utf-8"))["groups"] for rule in group["rules"]]
    assert len(rules) == 3
    for rule in rules:
        named = re.findall(r"(e2i_\w+)(?:\{([^}]*)\})?", rule["expr"])
        assert named
        for name, labels in named:
            assert set(re.findall(r"(\w+)=", labels)) <= written[name], rule["alert"]


def test_the_page_lists_every_metric(project: Project) -> None:
    project.write("config/default.yaml", "sinks: []\nmetrics_file: e2i.prom\n")
    project.run("version: 1\nname: fine\nsteps: {a: {uses: debug.echo, with: {value: 1}}}\n")
    written = {name for name, _ in openmetrics_text.read((project.root / "e2i.prom").read_text())}
    listed = set(re.findall(r"^\| `(e2i_\w+)` \|", PAGE, re.M))
    assert written <= listed and listed - written == {"e2i_breaker_state"}
