"""What is offered to editors, hooks and CI: the files are right, and their commands do what they say."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from e2i.cli import schemas
from e2i.cli.commands.language import KINDS
from project import ENGINE, Project, lines

ROOT = Path(__file__).parents[2]
WRONG = "version: 1\nname: wrong\nsteps:\n  a: {uses: debug.ecko}\n"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A user's repository with the shipped specs, and commands that reach this e2i."""
    for name in ("specs", "config"):
        shutil.copytree(ROOT / name, tmp_path / name)
    command = tmp_path / "bin" / "e2i"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m e2i.cli.main "$@"\n')
    command.chmod(0o755)
    return tmp_path


def bash(repository: Path, script: str) -> subprocess.CompletedProcess[str]:
    path = f"{repository / 'bin'}:{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=repository,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(ENGINE)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def workflow() -> dict[str, Any]:
    steps = yaml.safe_load((ROOT / "docs" / "examples" / "e2i.yml").read_text("utf-8"))["jobs"]["plan"]["steps"]
    return {step["name"]: step for step in steps if "name" in step}


@pytest.mark.slow
def test_the_workflow_annotates_problems_and_comments_the_plan(repository: Path) -> None:
    done = bash(repository, workflow()["validate"]["run"])
    assert done.returncode == 0, done.stderr
    assert json.loads((repository / "e2i.sarif").read_text())["runs"][0]["results"] == []
    done = bash(repository, workflow()["plan"]["run"])
    assert done.returncode == 0, done.stderr
    comment = (repository / "plan.md").read_text()
    assert comment.count("### Plan of ") == len(
        [path for path in (ROOT / "specs").glob("*.yaml") if not path.name.endswith(".test.yaml")]
    )
    assert not (repository / ".e2i").exists()


def test_the_workflow_fails_with_annotations_when_a_spec_is_wrong(repository: Path) -> None:
    (repository / "specs" / "wrong.yaml").write_text(WRONG)
    done = bash(repository, workflow()["validate"]["run"])
    assert done.returncode == 2
    (result,) = json.loads((repository / "e2i.sarif").read_text())["runs"][0]["results"]
    location = result["locations"][0]["physicalLocation"]
    assert location["artifactLocation"]["uri"] == "specs/wrong.yaml"
    assert workflow()["annotate"]["with"]["sarif_file"] == "e2i.sarif"


def test_the_hook_checks_the_specs_of_a_commit(repository: Path) -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text("utf-8"))
    assert hook["id"] == "e2i-validate"
    files = [str(path.relative_to(repository)) for path in sorted(repository.rglob("*.yaml"))]
    chosen = [file for file in files if re.search(hook["files"], file)]
    assert chosen == [file for file in files if file.startswith("specs/")]
    assert bash(repository, " ".join([hook["entry"], *chosen])).returncode == 0
    (repository / "specs" / "wrong.yml").write_text(WRONG)
    assert re.search(hook["files"], "specs/wrong.yml")
    done = bash(repository, f"{hook['entry']} specs/wrong.yml {chosen[0]}")
    assert done.returncode == 2
    assert 'did you mean "debug.echo"?' in done.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_the_schemas_are_those_of_this_version(kind: str) -> None:
    schema = schemas.schema(kind)
    jsonschema.Draft202012Validator.check_schema(schema)
    written = json.loads((ROOT / "schemas" / f"{kind}.v1.json").read_text("utf-8"))
    assert written == schema, "make schemas"


def fits(kind: str, document: Any) -> None:
    jsonschema.Draft202012Validator(schemas.schema(kind)).validate(document)


def test_what_commands_print_fits_the_schemas(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.write("wrong.yaml", WRONG)
    project.write(
        "right.yaml",
        "version: 1\nname: right\nsteps:\n"
        "  a: {uses: debug.echo, matrix: {n: [1, 2]}, with: {value: '${{ matrix.n }}'}}\n"
        "  b: {uses: debug.echo, needs: [a], when: false}\n"
        "  c: {uses: debug.fail, retry: {attempts: 2, initial: 1ms}, with: {unavailable: true}, on_error: continue}\n"
        "outputs: {a: '${{ steps.a }}'}\n",
    )
    fits("problems", json.loads(project.cli("validate", "wrong.yaml", "--json").stdout))
    fits("problems", json.loads(project.cli("validate", "right.yaml", "--json").stdout))
    fits("plan", json.loads(project.cli("plan", "right.yaml", "--json").stdout))
    events = lines(project.cli("run", "right.yaml", "--json").stdout)
    assert {"run.started", "step.retried", "step.finished", "run.finished"} <= {event["event"] for event in events}
    for event in events:
        fits("events", event)
    fits("fix", json.loads(project.cli("fix", "wrong.yaml", "--json").stdout))
    fits("diff", json.loads(project.cli("diff", "right.yaml", "right.yaml", "--json").stdout))
    fits("explain", json.loads(project.cli("explain", "--json").stdout))
    for action in ((), ("debug.echo",)):
        fits("catalog", json.loads(project.cli("catalog", *action, "--json").stdout))
    fits("plan", json.loads(project.cli("plan", "right.yaml", "--json").stdout))


def test_a_document_that_is_none_does_not_fit() -> None:
    with pytest.raises(jsonschema.ValidationError):
        fits("problems", {"schema_version": 1, "valid": False, "problems": [{"code": "x"}]})
    with pytest.raises(jsonschema.ValidationError):
        fits("events", {"schema_version": 1, "event": "unheard.of"})
