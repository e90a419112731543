"""What makes a plan need an approval: actions, permissions, amounts, and what only the run knows."""

from __future__ import annotations

from pathlib import Path

import pytest

from e2i.approvals import required
from project import Project

HEAD = "version: 1\nname: x\nsteps:\n  d: {uses: dataset.hcp, with: {rows: 1000}}\n  e: {uses: debug.echo, with: {value: 3}}\n"
SPLIT = "  s: {uses: data.split, with: {table: '${{ steps.d.journeys }}', strategy: entity, by: hcp_id}}\n"
TUNE = (
    "  t: {uses: optuna.tune, with: {train: '${{ steps.s.train }}', validation: '${{ steps.s.validation }}',"
    " target: target, features: [brand], trials: %s}}\n"
)
EXPLAIN = "  x: {uses: shap.explain, with: {table: '${{ steps.d.journeys }}', model: {uri: 'models:/m/1', features: [brand]}}}\n"
TRAINED = (
    "  m: {uses: model.train, with: {table: '${{ steps.d.journeys }}', target: target, features: [brand], algorithm: Ridge}}\n"
    "  x: {uses: shap.explain, with: {table: '${{ steps.d.journeys }}', model: '${{ steps.m.model }}'}}\n"
)
PROMOTE = (
    "  f: {uses: mlflow.load, with: {name: m, version: 1}}\n"
    "  p: {uses: mlflow.promote, with: {version: '${{ steps.f.version }}', stage: %s}}\n"
)
WRITE = "  w: {uses: data.write, with: {table: '${{ steps.d.journeys }}', path: out.csv%s}}\n"


@pytest.mark.parametrize(
    ("demand", "steps", "rules"),
    [
        ("actions: ['*']", "", ["actions", "actions"]),
        ("actions: [dataset.*]", "", ["actions"]),
        ("actions: [mlflow.promote]", "", []),
        ("above: {steps: 1}", "", ["above: steps"]),
        ("above: {steps: 2, rows: 1000}", "", []),
        ("above: {rows: 999}", "", ["above: rows"]),
        ("above: {trials: 9}", SPLIT + TUNE % 5 + TUNE.replace("  t:", "  u:") % 5, ["above: trials"]),
        ("above: {trials: 9}", SPLIT + TUNE % "'${{ steps.e.value }}'", ["above: trials"]),
        ("rules: [write_roots]", WRITE % "", ["rules: write_roots"]),
        ("rules: [write_formulas]", WRITE % "", ["rules: write_formulas"]),
        ("rules: [write_formulas]", WRITE % ", escape_formulas: true", []),
        ("rules: [write_formulas]", WRITE % ", escape_formulas: '${{ steps.e.value > 1 }}'", ["rules: write_formulas"]),
        ("rules: [promote_to_production]", PROMOTE % "staging", []),
        ("rules: [promote_to_production]", PROMOTE % "production", ["rules: promote_to_production"]),
        ("rules: [promote_to_production]", PROMOTE % "archived", ["rules: promote_to_production"]),
        ("rules: [hosts]", "", ["rules: hosts"]),
        ("rules: [hosts, run_python]", TRAINED, ["rules: hosts"]),
        ("rules: [run_python]", EXPLAIN.replace("{uri: 'models:/m/1', features: [brand]}", "'${{ steps.e.value }}'"), ["rules: run_python"]),
        ("rules: [hosts]", EXPLAIN, ["rules: hosts", "rules: hosts"]),
        ("rules: [run_python]", "  p: {uses: python.call, with: {file: f.py, function: f}}\n", ["rules: run_python"]),
        ("rules: [secrets]", "  p: {uses: python.call, with: {file: f.py, function: f, arguments: {t: '${{ secrets.T }}'}}}\n", ["rules: secrets"]),
        ("rules: [connections]", "  q: {uses: database.read, with: {connection: w, query: select 1}}\n", ["rules: connections"]),
    ],
)  # fmt: skip
def test_a_plan_needs_an_approval_for_what_the_policy_names(
    tmp_path: Path, demand: str, steps: str, rules: list[str]
) -> None:
    project = Project(tmp_path)
    project.write("f.py", "def f(**given):\n    return 1\n")
    project.write(
        "config/default.yaml",
        "sinks: [mlflow]\nsecrets: {T: TOKEN}\ntools:\n  mlflow: {tracking_uri: 'http://mlflow.test:5000'}\n"
        "  database: {connections: {w: {url: 'postgresql://db.test/w'}}}\n",
    )
    project.write("config/policy.yaml", f"human: {{approval: {{{demand}}}}}\n")
    from e2i import route
    from e2i.documents import ParamValues

    workspace = project.workspace
    expanded = route.valid(route.examine(route.read(HEAD + steps, workspace), workspace, ParamValues()))
    found = required.demands(project.plan(HEAD + steps), expanded, workspace)
    assert [each.rule for each in found] == rules
    none = required.demands(project.plan(HEAD + steps, select=["e"]), expanded, workspace)
    assert {each.step for each in none} <= {"", "e"}, "only what is selected"
