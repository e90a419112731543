"""A real git repository: files are read as they were, with the included specs."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from e2i import api
from e2i.errors import BadInput, InvalidSpec
from e2i.workspace.revision import Revision
from project import Project

MAIN = "version: 1\nname: m\nsteps:\n  p: {uses: ../parts/p.yaml, with: {n: 3}}\n"
PART = """\
version: 1
name: p
params: {n: {type: integer, default: 1}}
steps:
  a: {uses: debug.echo, with: {value: "${{ params.n }}"}}
"""


def git(root: Path, *arguments: str) -> None:
    config = ("-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *config, *arguments], cwd=root, check=True, capture_output=True)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """One commit; the working tree is the same."""
    project = Project(tmp_path)
    project.write("specs/m.yaml", MAIN)
    project.write("parts/p.yaml", PART)
    (tmp_path / "parts" / "link.yaml").symlink_to("p.yaml")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    monkeypatch.chdir(tmp_path)
    return project


def details(project: Project, before: str, after: str) -> list[str]:
    found = api.diff(before, after, workspace=project.workspace)
    return [f"{difference.what}: {difference.detail}" for difference in found.differences]


def test_an_included_spec_is_read_from_the_revision_of_its_spec(project: Project) -> None:
    project.write("parts/p.yaml", PART.replace("value:", "value: [").replace('}}"}}', '}}"]}}'))
    assert details(project, "HEAD:specs/m.yaml", "specs/m.yaml") != []
    assert details(project, "HEAD:specs/m.yaml", "HEAD:specs/m.yaml") == []
    git(project.root, "commit", "-qam", "second")
    assert details(project, "HEAD:specs/m.yaml", "specs/m.yaml") == []
    assert details(project, "HEAD~1:specs/m.yaml", "HEAD:specs/m.yaml") != []


def test_what_is_staged_has_its_staged_included_specs(project: Project) -> None:
    project.write("parts/p.yaml", PART.replace("debug.echo", "debug.sleep").replace("value:", "seconds:"))
    git(project.root, "add", ".")
    project.write("parts/p.yaml", PART)
    assert details(project, ":specs/m.yaml", "specs/m.yaml") == ["step p/a: debug.sleep → debug.echo"]


def test_an_included_spec_that_is_gone_is_still_in_its_revision(project: Project) -> None:
    (project.root / "parts" / "p.yaml").unlink()
    project.write("specs/m.yaml", MAIN.replace("../parts/p.yaml, with: {n: 3}", "debug.echo"))
    assert details(project, "HEAD:specs/m.yaml", "specs/m.yaml") == ["step p/a: is gone", "step p: is new (debug.echo)"]


def test_a_problem_in_an_included_spec_names_the_revision(project: Project) -> None:
    project.write("parts/p.yaml", PART.replace("echo", "ecko"))
    git(project.root, "commit", "-qam", "second")
    project.write("parts/p.yaml", PART)
    with pytest.raises(InvalidSpec) as caught:
        api.diff("HEAD:specs/m.yaml", "specs/m.yaml", workspace=project.workspace)
    assert str(caught.value.problems[0]).startswith('HEAD:parts/p.yaml:5:13: unknown action "debug.ecko"')


def test_an_included_spec_that_was_not_there_yet_is_named_with_what_was(project: Project) -> None:
    project.write("specs/m.yaml", MAIN.replace("parts/p.yaml", "parts/q.yaml"))
    project.write("parts/q.yaml", PART)
    git(project.root, "commit", "-qm", "second", "specs")
    with pytest.raises(InvalidSpec, match="1 problem") as caught:
        api.diff("HEAD:specs/m.yaml", "specs/m.yaml", workspace=project.workspace)
    (problem,) = caught.value.problems
    assert (problem.code, problem.location.file) == ("no-such-include", "HEAD:specs/m.yaml")
    assert "p.yaml" in (problem.hint or "")


def test_from_a_folder_inside_the_repository(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    (project.root / "specs" / "config").mkdir()
    project.write("specs/own.yaml", MAIN.replace("../parts", "./parts"))
    project.write("specs/parts/p.yaml", PART)
    git(project.root, "add", ".")
    git(project.root, "commit", "-qm", "second")
    project.write("specs/parts/p.yaml", "no spec")
    monkeypatch.chdir(project.root / "specs")
    workspace = api.Workspace.open(environ={})
    assert api.diff("HEAD:own.yaml", "HEAD:own.yaml", workspace=workspace).differences == ()


def test_what_is_at_a_path(project: Project) -> None:
    revision = Revision(project.root, "HEAD")
    looks = {path: revision.look(path) for path in ("parts/p.yaml", "parts", "parts/link.yaml", "parts/q.yaml", "p*")}
    assert list(looks.values()) == ["file", "directory", "special", "missing", "missing"]
    assert revision.open("parts/link.yaml") is None
    assert revision.names("parts") == ["p.yaml"]
    assert Revision(project.root, "").names("parts") == ["p.yaml"]


@pytest.mark.parametrize("spec", ["HEAD:specs/x.yaml", "nowhere:specs/m.yaml", "--help:specs/m.yaml", "--x=y:a"])
def test_what_git_does_not_have_is_bad_input(project: Project, spec: str) -> None:
    with pytest.raises(BadInput) as caught:
        api.diff(spec, "specs/m.yaml", workspace=project.workspace)
    assert caught.value.code == "no-such-revision"


def test_a_revision_that_is_named_alone_is_not_told_to_have_a_path(project: Project) -> None:
    with pytest.raises(BadInput, match="git has no 'nowhere'") as caught:
        next(Revision(project.root, "nowhere").files())
    assert caught.value.hint is not None and "PATH" not in caught.value.hint
