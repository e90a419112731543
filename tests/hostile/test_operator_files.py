"""Specs that would replace what the operator's settings execute or write: hooks' scripts, the log, the metrics."""

from __future__ import annotations

import pytest
import yaml

from project import Project

SETTINGS = {
    "sinks": [],
    "on_finish": [{"command": ["sh", "scripts/notify.sh"]}],
    "log": {"file": "logs/run.log"},
    "metrics_file": "metrics.prom",
}
SPEC = """
version: 1
name: overwrites
steps:
  table: {uses: dataset.hcp, with: {rows: 1000}}
  write:
    uses: data.write
    with: {table: "${{ steps.table.journeys }}", path: PATH, format: csv, mode: replace}
"""
NAMES = ("scripts/notify.sh", "logs/run.log", "logs/run.log.1", "logs/run.log.lock", "metrics.prom")


@pytest.mark.parametrize("name", NAMES)
def test_files_of_the_operator_are_not_written(project: Project, name: str) -> None:
    project.write("config/default.yaml", yaml.safe_dump(SETTINGS))
    project.write("scripts/notify.sh", "cat > /dev/null\n")
    project.write("s.yaml", SPEC.replace("PATH", name))
    done = project.cli("validate", "s.yaml")
    assert done.returncode == 3
    assert "operator's settings" in done.stderr


def test_a_path_that_only_the_run_knows_is_refused_before_the_step(project: Project) -> None:
    project.write("config/default.yaml", yaml.safe_dump(SETTINGS))
    script = project.write("scripts/notify.sh", "cat > /dev/null\n")
    spec = SPEC.replace("PATH", '"${{ steps.name.value }}"').replace(
        "steps:\n", "steps:\n  name: {uses: debug.echo, with: {value: scripts/notify.sh}}\n"
    )
    project.write("s.yaml", spec)
    assert project.cli("run", "s.yaml").returncode == 3
    assert script.read_text() == "cat > /dev/null\n"
