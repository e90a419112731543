"""Whose settings, policy and store a command has, wherever it is called from."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from e2i.policy import Origin
from e2i.workspace.project import root_of
from project import ENGINE, LONGEST, Project

SPEC = 'version: 1\nname: s\nsteps:\n  a: {uses: debug.echo, with: {value: "${{ env.WHERE }}"}}\n'


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """A project, another one inside it, and a folder that is none."""
    for root in ("project", "project/inner"):
        (tmp_path / root / "config").mkdir(parents=True)
        (tmp_path / root / "config" / "default.yaml").write_text(f"sinks: []\nenv: {{WHERE: {root}}}\n")
    for folder in ("project/specs", "project/inner/specs", "elsewhere/specs", "elsewhere/config"):
        (tmp_path / folder).mkdir(exist_ok=True, parents=True)
    for folder in ("project/specs", "project/inner/specs", "elsewhere/specs"):
        (tmp_path / folder / "x.yaml").write_text(SPEC)
    return tmp_path


@pytest.mark.parametrize(
    ("here", "spec", "found"),
    [
        ("project", "specs/x.yaml", "project"),
        ("project", "inner/specs/x.yaml", "project"),
        ("project/specs", "x.yaml", "project"),
        ("elsewhere", "../project/specs/x.yaml", "project"),
        ("elsewhere", "../project/inner/specs/x.yaml", "project/inner"),
        ("project/inner", "../specs/x.yaml", "project"),
        ("project", "../elsewhere/specs/x.yaml", "project"),
        ("elsewhere", "specs/x.yaml", "elsewhere"),
        ("elsewhere", "specs/missing.yaml", "elsewhere"),
        ("project/specs", "missing.yaml", "project"),
        ("project/specs", "HEAD:specs/x.yaml", "project"),
        ("project/specs", "version: 1\nname: x\n", "project"),
        ("project/specs", None, "project"),
        ("project/inner/specs", None, "project/inner"),
        ("elsewhere/specs", None, "elsewhere/specs"),
    ],
)
def test_the_workspace_is_the_project_of_the_spec(
    folders: Path, here: str, spec: str | None, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folders / here)
    assert root_of(spec, Path.cwd(), Origin.HUMAN) == folders / found
    assert root_of(spec, Path.cwd(), Origin.AGENT) == folders / here, "an agent's spec chooses no policy"


def test_a_store_here_is_the_one_that_is_looked_into(folders: Path) -> None:
    (folders / "project" / "specs" / ".e2i").mkdir()
    assert root_of(None, folders / "project" / "specs", Origin.HUMAN) == folders / "project" / "specs"


@pytest.mark.parametrize("name", ["default.yaml", "policy.yaml"])
def test_a_mark_that_leads_nowhere_is_one(folders: Path, name: str) -> None:
    (folders / "elsewhere" / "config" / name).symlink_to("nowhere")
    assert root_of("../elsewhere/specs/x.yaml", folders / "project", Origin.HUMAN) == folders / "project"
    assert root_of(str(folders / "elsewhere/specs/x.yaml"), folders, Origin.HUMAN) == folders / "elsewhere"


def test_a_run_from_elsewhere_says_where_it_is_and_has_the_settings_of_its_spec(folders: Path) -> None:
    environ = {"PYTHONPATH": str(ENGINE), "PATH": "/usr/bin:/bin"}
    here = folders / "elsewhere"

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "e2i.cli.main", *arguments]
        return subprocess.run(
            command, cwd=here, env=environ, capture_output=True, text=True, timeout=LONGEST, check=False
        )

    spec = str(folders / "project" / "specs" / "x.yaml")
    done = call("run", spec)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[0] == f"workspace {folders / 'project'}"
    assert f"--store {folders / 'project' / '.e2i'}" in done.stdout + done.stderr
    assert (folders / "project" / ".e2i").is_dir() and not (here / ".e2i").exists()
    assert call("validate", spec, "specs/x.yaml").returncode == 2, "env.WHERE is of the project only"
    assert call("validate", spec).returncode == 0
    assert "reuse" in call("plan", spec).stdout


def test_a_run_in_its_own_project_says_nothing_of_it(project: Project) -> None:
    project.write("s.yaml", "version: 1\nname: s\nsteps:\n  a: {uses: debug.echo, with: {value: 1}}\n")
    assert "workspace" not in project.cli("run", "s.yaml").stderr
