"""A required tool that is down keeps a run from starting; any other tool does not."""

from __future__ import annotations

import json

import pytest

from project import Project

SPEC = "version: 1\nname: s\nsteps:\n  one: {uses: debug.sleep, with: {seconds: 0, value: 1}}\n"
SCORE = "version: 1\nname: s\nsteps:\n  look: {uses: opik.score, with: {name: m, value: 1.0}}\n"
DOWN = "http://127.0.0.1:9"


def configured(project: Project, tools: str, sinks: str = "[]") -> Project:
    project.write("config/default.yaml", f"sinks: {sinks}\nworkers: 1\nflush: 0\ntools: {tools}\n")
    return project


@pytest.mark.parametrize(
    ("tools", "sinks", "spec"),
    [
        (f"{{mlflow: {{tracking_uri: '{DOWN}', required: true}}}}", "[mlflow]", SPEC),
        (f"{{opik: {{url: '{DOWN}/api', required: true}}}}", "[opik]", SPEC),
        (f"{{opik: {{url: '{DOWN}/api', required: true}}}}", "[]", SCORE),
    ],
)
def test_a_run_does_not_start_without_a_required_tool(project: Project, tools: str, sinks: str, spec: str) -> None:
    configured(project, tools, sinks).write("s.yaml", spec)
    done = project.cli("run", "s.yaml")
    tool = "mlflow" if "mlflow" in tools else "opik"
    assert done.returncode == 4, done.stdout + done.stderr
    assert f"nothing was run: {tool} is required (profile default) and cannot be used" in done.stderr
    assert "[tool-required]" in done.stderr
    assert "step.started" not in done.stdout and "▸" not in done.stderr
    assert json.loads(project.cli("runs", "--json").stdout)["runs"] == []


@pytest.mark.parametrize(
    ("tools", "sinks"),
    [
        (f"{{mlflow: {{tracking_uri: '{DOWN}', required: false}}}}", "[mlflow]"),
        (f"{{opik: {{url: '{DOWN}/api', required: true}}}}", "[]"),
        ("{mlflow: {required: true}}", "[mlflow]"),
    ],
    ids=["not required", "not used", "embedded"],
)
def test_a_run_starts_with_a_tool_that_is_not_required_not_used_or_up(project: Project, tools: str, sinks: str) -> None:
    configured(project, tools, sinks).write("s.yaml", SPEC)
    done = project.cli("run", "s.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
