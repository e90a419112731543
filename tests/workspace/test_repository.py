"""The description of a repository, from the real git."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from e2i.store.past import GitState
from e2i.workspace import repository
from e2i.workspace.repository import Question, public


def git(folder: Path, *arguments: str) -> str:
    who = {f"GIT_{role}_{what}": "a@b" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1", **who}
    done = subprocess.run(["git", *arguments], cwd=folder, env=environ, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    folder = tmp_path / "repo"
    (folder / "specs").mkdir(parents=True)
    (folder / "specs" / "x.yaml").write_text("one\n")
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "first")
    return folder


def ask(folder: Path, file: str = "") -> GitState | None:
    with Question(folder) as question:
        return question.answer(file)


def test_a_clean_commit_is_reported_with_its_branch_and_remote(repo: Path) -> None:
    git(repo, "remote", "add", "origin", "https://me:token@example.com/team/repo.git")
    assert ask(repo / "specs", str(repo / "specs" / "x.yaml")) == GitState(
        commit=git(repo, "rev-parse", "HEAD"),
        branch="main",
        remote="https://example.com/team/repo.git",
        dirty=False,
        changed=(),
        changed_files=0,
        path="specs/x.yaml",
    )


def test_tracked_files_that_differ_make_it_dirty_and_others_do_not(repo: Path) -> None:
    (repo / "new.yaml").write_text("new\n")
    found = ask(repo)
    assert found and not found.dirty
    (repo / "specs" / "x.yaml").write_text("two\n")
    git(repo, "mv", "specs/x.yaml", "specs/a name\twith.yaml")
    git(repo, "add", "new.yaml")
    found = ask(repo)
    assert found and (found.dirty, found.changed) == (True, ("new.yaml", "specs/a name\twith.yaml"))


def test_a_worktree_a_detached_head_and_a_repository_without_a_commit_are_reported(repo: Path, tmp_path: Path) -> None:
    git(repo, "remote", "add", "origin", "git@example.com:team/repo.git")
    git(repo, "worktree", "add", "-q", "--detach", str(tmp_path / "tree"))
    found = ask(tmp_path / "tree")
    assert found and (found.branch, found.remote) == (None, "ssh://example.com/team/repo.git")
    (tmp_path / "empty").mkdir()
    git(tmp_path / "empty", "init", "-q", "-b", "main")
    found = ask(tmp_path / "empty")
    assert found and (found.commit, found.branch) == (None, "main")


def test_without_a_repository_or_without_git_nothing_is_reported(
    tmp_path: Path, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ask(tmp_path) is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert ask(repo) is None


def stand_in(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Replaces git by another program."""
    (folder / "git").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_a_git_that_hangs_is_ended_at_its_deadline(repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, monkeypatch, "exec sleep 600")
    monkeypatch.setattr(repository, "DEADLINE", 0.1)
    with Question(repo) as question:
        assert question._git is not None
        pid = question._git.pid
        assert question.answer() == GitState(problem="git did not answer within 0.1 s")
    assert not Path(f"/proc/{pid}").exists()


def test_what_git_has_said_by_its_deadline_counts_however_late_it_is_read(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Question(repo) as question:
        assert question._git is not None
        os.waitid(os.P_PID, question._git.pid, os.WEXITED | os.WNOWAIT)
        monkeypatch.setattr(question._git, "_until", 0.0)
        assert (question.answer() or GitState()).branch == "main"


def test_a_git_that_never_stops_talking_is_ended_too(
    repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(tmp_path, monkeypatch, "exec yes")
    monkeypatch.setattr(repository, "DEADLINE", 0.1)
    assert ask(repo) == GitState(problem="git did not answer within 0.1 s")


def test_a_git_that_refuses_is_reported(repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, monkeypatch, "exit 128")
    assert ask(repo) == GitState(problem="git cannot read this repository")


def test_a_question_that_nobody_asks_the_answer_of_leaves_nothing(repo: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    with Question(repo) as question:
        assert question._git is not None
        pid = question._git.pid
    assert not Path(f"/proc/{pid}").exists()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:pass@example.com:8443/a/b.git?token=x#y", "https://example.com:8443/a/b.git"),
        ("git@example.com:a/b.git", "ssh://example.com/a/b.git"),
        ("ssh://git@example.com/a/b.git", "ssh://example.com/a/b.git"),
        ("/srv/git/b.git", None),
        ("../b", None),
        ("file:///srv/b", None),
        ("https://[bad", None),
    ],
)
def test_a_remote_is_shown_without_whose_it_is(url: str, shown: str | None) -> None:
    assert public(url) == shown
