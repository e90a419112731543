"""The commands that look and do not touch: what they print, and that they write nothing and import no tool."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from e2i.cli import main
from project import ENGINE, Project

TOOLS = (
    "mlflow", "opik", "great_expectations", "feast", "optuna", "shap", "bentoml",
    "xgboost", "lightgbm", "catboost", "sklearn", "pandas", "numpy", "pyarrow", "econml",
)  # fmt: skip
EVERY_TOOL = """
version: 1
name: everything
steps:
  load: {uses: data.load, with: {path: data/x.csv}}
  quality:
    uses: great_expectations.validate
    with: {table: "${{ steps.load.table }}", suite: s}
  split: {uses: data.split, with: {table: "${{ steps.load.table }}", strategy: random}}
  tune:
    uses: optuna.tune
    with:
      train: ${{ steps.split.train }}
      validation: ${{ steps.split.validation }}
      target: y
      algorithm: XGBoost
      trials: 2
  train: {uses: model.train, with: {table: "${{ steps.split.train }}", target: y, algorithm: XGBoost}}
  explain: {uses: shap.explain, with: {model: "${{ steps.train.model }}", table: "${{ steps.split.test }}"}}
  register: {uses: mlflow.register, with: {model: "${{ steps.train.model }}", name: model}}
  package: {uses: bentoml.package, with: {model: "${{ steps.train.model }}", name: model}}
"""
SUITE = """
name: s
expectations:
  - {type: expect_column_values_to_not_be_null, column: y}
"""
LOOK = """
import json, sys
from e2i.cli.main import e2i
try:
    e2i(sys.argv[1:], prog_name="e2i")
except SystemExit as ended:
    code = ended.code
print(json.dumps({"code": code, "loaded": sorted(name for name in sys.modules if "." not in name)}), file=sys.stderr)
"""


def looked(project: Project, *arguments: str) -> tuple[int, set[str], str]:
    """Exit code, top-level modules loaded, and standard output of a command."""
    done = subprocess.run(
        [sys.executable, "-c", LOOK, *arguments],
        cwd=project.root,
        env={**os.environ, "PYTHONPATH": str(ENGINE)},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    reported = json.loads(done.stderr.splitlines()[-1])
    return reported["code"], set(reported["loaded"]), done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["validate"],
        ["plan"],
        ["plan", "--format", "json"],
        ["plan", "--format", "dot"],
        ["run", "--dry-run"],
        ["run", "--dry-run", "--json"],
    ],
    ids=" ".join,
)
def test_looking_imports_no_tool_and_writes_nothing(project: Project, arguments: list[str]) -> None:
    project.write("all.yaml", EVERY_TOOL)
    project.write("data/x.csv", "id,x,y\n1,2,0\n")
    project.write("config/expectations/s.yaml", SUITE)
    before = project.listing()
    code, loaded, out = looked(project, *arguments, "all.yaml")
    assert code == 0
    assert loaded.isdisjoint(TOOLS), loaded & set(TOOLS)
    assert project.listing() == before
    assert out


@pytest.mark.parametrize("command", [["catalog"], ["schema"], ["doctor"], ["runs"]], ids=" ".join)
def test_listings_import_no_tool_and_write_nothing(project: Project, command: list[str]) -> None:
    before = project.listing()
    code, loaded, out = looked(project, *command)
    assert code == 0
    assert loaded.isdisjoint(TOOLS), loaded & set(TOOLS)
    assert project.listing() == before
    assert out


def test_looking_at_an_existing_store_changes_nothing_in_it(project: Project) -> None:
    spec = project.write("q.yaml", "version: 1\nname: q\nsteps: {a: {uses: debug.echo}}\n")
    run = project.run(spec).run
    before = project.listing()
    assert "= reuse" in project.cli("plan", "q.yaml").stdout
    for command in (["run", "q.yaml", "--dry-run"], ["runs"], ["show", run], ["show", run, "--json"], ["doctor"]):
        assert project.cli(*command).returncode == 0
    assert project.listing() == before


def test_the_dry_run_is_the_plan(project: Project) -> None:
    project.write("q.yaml", "version: 1\nname: q\nsteps: {a: {uses: debug.echo}}\n")
    assert project.cli("run", "q.yaml", "--dry-run").stdout == project.cli("plan", "q.yaml").stdout
    planned = project.cli("plan", "q.yaml", "--json").stdout
    assert project.cli("run", "q.yaml", "--dry-run", "--json").stdout == planned
    document = json.loads(planned)
    assert {"schema_version", "digest", "name", "steps", "summary"} <= document.keys()
    assert document["steps"][0].keys() >= {"id", "uses", "needs", "verdict", "reason", "fingerprint"}
    assert set(document["summary"]) == {"run", "reuse", "undecided", "always", "skip"}


def test_a_plan_that_was_written_binds_a_run(project: Project) -> None:
    project.write("q.yaml", "version: 1\nname: q\nsteps: {a: {uses: debug.echo}}\n")
    assert project.cli("plan", "q.yaml", "-o", "plan.json").returncode == 0
    project.write("q.yaml", "# seen\nversion: 1\nname: q\nsteps: {a: {uses: debug.echo, description: the same}}\n")
    assert project.cli("run", "q.yaml", "--plan", "plan.json").returncode == 0
    project.write("q.yaml", "version: 1\nname: q\nsteps: {a: {uses: debug.echo, with: {value: 2}}}\n")
    refused = project.cli("run", "q.yaml", "--plan", "plan.json")
    assert refused.returncode == 3
    assert "a differs" in refused.stderr


def test_several_specs_are_checked_at_once(project: Project) -> None:
    project.write("good.yaml", "version: 1\nname: q\nsteps: {a: {uses: debug.echo}}\n")
    project.write("bad.yaml", "version: 1\nname: q\nsteps: {a: {uses: debug.ecko}}\n")
    result = project.cli("validate", "good.yaml", "bad.yaml", "--json")
    document = json.loads(result.stdout)
    assert (result.returncode, document["valid"], len(document["problems"])) == (2, False, 1)
    problem = document["problems"][0]
    assert (problem["file"], problem["line"], problem["column"], problem["path"]) == (
        "bad.yaml",
        3,
        19,
        "/steps/a/uses",
    )


def test_a_required_parameter_is_no_fault_of_the_spec_but_of_the_plan(project: Project) -> None:
    project.write(
        "r.yaml",
        "version: 1\nname: r\nparams: {n: {type: integer}}\n"
        "steps:\n  a:\n    uses: debug.sleep\n    matrix: {k: ['${{ params.n }}']}\n"
        "    with: {seconds: '${{ params.n + matrix.k }}'}\n",
    )
    assert project.cli("validate", "r.yaml").stdout == "r.yaml: valid\n"
    missing = project.cli("plan", "r.yaml")
    assert (missing.returncode, "pass -p n=VALUE" in missing.stderr) == (2, True)
    assert project.cli("plan", "r.yaml", "-p", "n=1").returncode == 0


def test_the_catalog_of_an_action_has_its_schemas(project: Project) -> None:
    document = json.loads(project.cli("catalog", "debug.sleep", "--json").stdout)
    (action,) = document["actions"]
    assert action["params"]["properties"]["seconds"]["minimum"] == 0
    assert "value" in action["outputs"]["properties"]
    assert "seconds" in project.cli("catalog", "debug.sleep").stdout


def test_the_store_is_chosen_by_option_or_environment(project: Project, tmp_path: Path) -> None:
    project.write("q.yaml", "version: 1\nname: q\nsteps: {a: {uses: debug.echo}}\n")
    assert project.cli("run", "q.yaml", "--store", str(tmp_path / "one")).returncode == 0
    assert (tmp_path / "one" / "state.db").exists()
    assert not project.store.exists()


def test_an_interrupted_start_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    from click.testing import CliRunner

    from e2i import api
    from e2i.cli.main import e2i

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(api.Workspace, "open", interrupted)
    assert CliRunner().invoke(e2i, ["validate", "x.yaml"]).exit_code == 130


def test_a_defect_is_one_line_and_a_trace_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from click.testing import CliRunner

    from e2i import api
    from e2i.cli.main import e2i

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("oh no")

    monkeypatch.setattr(api.Workspace, "open", broken)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    result = CliRunner().invoke(e2i, ["validate", "x.yaml"])
    assert result.exit_code == 70
    (line,) = result.stderr.splitlines()
    assert "ZeroDivisionError: oh no" in line
    (trace,) = tmp_path.iterdir()
    assert str(trace) in line
    assert "Traceback" in trace.read_text()


@pytest.mark.parametrize("arguments", [["run", "first.yaml", "{}"], ["show", "last", "{}"], ["plan", "{}/s.yaml"],
                                       ["doctor", "--store", "{}"], ["plan", "--{}"], ["{}"]])  # fmt: skip
def test_no_name_on_the_command_line_steers_the_terminal(
    arguments: list[str], project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    hostile = "q\x1b]0;title\x07\x9b31m\u202ez"
    project.write(f"{hostile}/s.yaml", "version: 1\nname: s\nsteps: {a: {uses: debug.echo, with: {value: 1}}}\n")
    project.write(f"{hostile}/config/default.yaml", "sinks: []\n")
    monkeypatch.chdir(project.root)
    done = CliRunner().invoke(main.e2i, [text.replace("{}", hostile) for text in arguments], color=True)
    shown = done.output.replace("\x1b[", "")  # colours are ours
    assert shown
    assert not any(sign in shown for sign in "\x1b\x07\x9b\u202e")


@pytest.mark.parametrize("arguments", [["diff", "{}", "first.yaml"], ["diff", "HEAD:{}", "first.yaml"], ["backup", "{}"],
                                       ["plan", "first.yaml", "--store", "{}"], ["validate", "{}"], ["run", "{}"]])  # fmt: skip
def test_a_name_that_is_too_long_is_no_defect(
    arguments: list[str], project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write("first.yaml", "version: 1\nname: s\nsteps: {a: {uses: debug.echo, with: {value: 1}}}\n")
    monkeypatch.chdir(project.root)
    done = CliRunner().invoke(main.e2i, [text.replace("{}", "x" * 5_000) for text in arguments])
    assert done.exit_code == 2, done.output
    assert "defect" not in done.output


def test_help_lists_every_command_under_one_heading_and_in_full() -> None:
    done = CliRunner().invoke(main.e2i, ["--help"], terminal_width=80)
    headings: dict[str, list[str]] = {}
    for line in done.output.partition("Show this message and exit.")[2].splitlines():
        if line.endswith(":") and not line.startswith(" "):
            headings[line.removesuffix(":").lower()] = []
        elif line.startswith("  "):
            headings[list(headings)[-1]].append(line.split()[0])
    assert headings == {
        "author": [
            "init",
            "validate",
            "plan",
            "fix",
            "add",
            "diff",
            "impact",
            "test",
            "rehearse",
            "explain",
            "catalog",
            "schema",
            "lsp",
        ],
        "run": ["run", "mcp"],
        "approve": ["keys", "approve", "approvals", "revoke"],
        "inspect": ["runs", "show", "export", "report", "provenance", "verify", "why", "doctor"],
        "operate": ["sync", "outbox", "gc", "backup", "restore", "cluster"],
    }
    assert sorted(name for names in headings.values() for name in names) == sorted(main.COMMANDS)
    assert "..." not in done.output.partition("Options:")[2], "a description is cut"
