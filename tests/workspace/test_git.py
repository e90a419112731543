"""A repository that names programs wherever git lets it: none of them runs, and what is said of its files is right."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from e2i.errors import BadInput
from e2i.store.past import GitState
from e2i.workspace import git as git_module
from e2i.workspace import revision
from e2i.workspace.git import Repository, find_program
from e2i.workspace.repository import Question
from e2i.workspace.revision import Revision
from project import Project

SPEC = "version: 1\nname: x\nsteps:\n  a: {uses: debug.echo, with: {value: 1}}\n"
COMMAND_KEYS = [
    "alias.status", "alias.cat-file", "alias.ls-tree", "alias.check-attr", "browser.x.cmd", "core.alternateRefsCommand",
    "core.askPass", "core.editor", "core.fsmonitor", "core.gitProxy", "core.pager", "core.sshCommand", "credential.helper",
    "credential.https://example.com.helper", "diff.external", "diff.canary.command", "diff.canary.textconv", "difftool.x.cmd",
    "filter.canary.clean", "filter.canary.process", "filter.canary.smudge", "gpg.program", "gpg.ssh.program",
    "gpg.ssh.defaultKeyCommand", "guitool.x.cmd", "hook.x.command", "interactive.diffFilter", "man.x.cmd", "merge.canary.driver",
    "mergetool.x.cmd", "pager.status", "pager.cat-file", "receive.procReceiveRefs", "remote.origin.receivepack",
    "remote.origin.uploadpack", "remote.origin.vcs", "sendemail.smtpServer", "sendemail.toCmd", "sequence.editor",
    "submodule.sub.update", "tar.x.command", "trailer.x.cmd", "trailer.x.command", "uploadpack.packObjectsHook",
    "web.browser",
]  # fmt: skip
"""The keys of git's configuration whose value is a command."""
HOOKS = ("post-index-change", "fsmonitor-watchman", "reference-transaction", "post-checkout", "pre-commit")


def git(folder: Path, *arguments: str) -> str:
    """Git as its user runs it, without programs of the repository."""
    who = {f"GIT_{role}_{what}": "a@b" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    environ = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1", **who}
    done = subprocess.run(["git", *arguments], cwd=folder, env=environ, capture_output=True, text=True, check=True)
    return done.stdout.strip()


class Canary:
    """A repository with a file that was edited, and a program that must not run: it would leave a file."""

    def __init__(self, root: Path, traces: Path) -> None:
        self.root = root
        self.traces = traces
        self.program = traces / "canary"
        traces.mkdir()
        self.program.write_text(f'#!/bin/sh\necho "$@" > {traces}/ran.$$\nexec cat\n')
        self.program.chmod(0o755)
        project = Project(root)
        project.write("x.yaml", SPEC)
        project.write("data.csv", "a\n1\n")
        git(root, "init", "-q", "-b", "main")
        git(root, "add", ".")
        git(root, "commit", "-qm", "first")
        project.write("x.yaml", SPEC.replace("value: 1", "value: 2"))
        project.write("data.csv", "a\n2\n")
        self.project = project

    def config(self, key: str, value: str) -> None:
        git(self.root, "config", "--add", key, value)

    def look(self) -> None:
        """Asks for all that e2i asks a repository for."""
        with Question(self.root) as question:
            answer = question.answer("x.yaml")
        assert answer is not None
        if not answer.problem:
            assert answer.changed_files and answer.changed_files >= 1
        then = Revision(self.root, "HEAD")
        for ask in (then.names, then.look, then.open):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(revision, "DEADLINE", 10.0)
                try:
                    ask("x.yaml")
                except BadInput:
                    continue

    def ran(self) -> list[str]:
        return [path.read_text() for path in self.traces.glob("ran.*")]


@pytest.fixture
def canary(tmp_path: Path) -> Canary:
    (tmp_path / "repo").mkdir()
    return Canary(tmp_path / "repo", tmp_path / "traces")


@pytest.mark.parametrize("key", COMMAND_KEYS)
def test_no_key_of_the_configuration_has_its_program_run(canary: Canary, key: str) -> None:
    canary.project.write(".gitattributes", "* filter=canary diff=canary merge=canary\n")
    git(canary.root, "add", ".gitattributes")
    command = str(canary.program)
    canary.config(key, f"!{command}" if key.startswith(("alias.", "credential.", "submodule.")) else command)
    canary.look()
    assert canary.ran() == []


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("path", [None, "core.hooksPath"])
def test_no_hook_is_run(canary: Canary, hook: str, path: str | None) -> None:
    folder = canary.root / (".git/hooks" if path is None else "hooks")
    folder.mkdir(exist_ok=True)
    (folder / hook).symlink_to(canary.program)
    if path:
        canary.config(path, str(folder))
    canary.look()
    assert canary.ran() == []


def in_an_include(canary: Canary) -> None:
    (canary.root / "more").write_text(f"[core]\n\tfsmonitor = {canary.program}\n")
    canary.config("include.path", str(canary.root / "more"))


def in_a_conditional_include(canary: Canary) -> None:
    (canary.root / "more").write_text(f"[core]\n\tfsmonitor = {canary.program}\n")
    canary.config(f"includeIf.gitdir:{canary.root}/.path", str(canary.root / "more"))


def in_the_configuration_of_the_worktree(canary: Canary) -> None:
    canary.config("extensions.worktreeConfig", "true")
    (canary.root / ".git" / "config.worktree").write_text(f"[core]\n\tfsmonitor = {canary.program}\n")


def in_info_attributes(canary: Canary) -> None:
    canary.config("filter.canary.clean", str(canary.program))
    (canary.root / ".git" / "info" / "attributes").write_text("* filter=canary\n")


def in_an_attributes_file(canary: Canary) -> None:
    canary.config("filter.canary.process", str(canary.program))
    canary.config("filter.canary.required", "true")
    canary.config("core.attributesFile", str(canary.project.write("attributes", "* filter=canary\n")))


def in_a_remote_that_promises_objects(canary: Canary) -> None:
    canary.config("extensions.partialClone", "origin")
    canary.config("core.repositoryFormatVersion", "1")
    canary.config("remote.origin.url", f"ext::{canary.program}")
    canary.config("remote.origin.promisor", "true")
    canary.config("protocol.ext.allow", "always")
    head = git(canary.root, "rev-parse", "HEAD^{tree}")
    blob = git(canary.root, "rev-parse", "HEAD:x.yaml")
    for name in (head, blob):
        (canary.root / ".git" / "objects" / name[:2] / name[2:]).unlink()


def in_a_submodule(canary: Canary) -> None:
    inner = canary.root / "sub"
    inner.mkdir()
    git(inner, "init", "-q")
    (inner / "x").write_text("x\n")
    git(inner, "add", ".")
    git(inner, "commit", "-qm", "first")
    git(canary.root, "add", "sub")
    git(inner, "config", "core.fsmonitor", str(canary.program))
    git(inner, "config", "filter.canary.clean", str(canary.program))
    (inner / ".gitattributes").write_text("* filter=canary\n")
    (inner / "x").write_text("y\n")


def behind_a_file_that_names_another_folder(canary: Canary) -> None:
    elsewhere = canary.root.parent / "elsewhere.git"
    (canary.root / ".git").rename(elsewhere)
    (canary.root / ".git").write_text(f"gitdir: {elsewhere}\n")
    subprocess.run(["git", "config", "-f", elsewhere / "config", "core.fsmonitor", str(canary.program)], check=True)


def in_another_work_tree(canary: Canary) -> None:
    other = canary.root.parent / "other"
    other.mkdir()
    (other / ".gitattributes").write_text("* filter=canary\n")
    (other / "x.yaml").write_text("other\n")
    canary.config("filter.canary.clean", str(canary.program))
    canary.config("core.worktree", str(other))


@pytest.mark.parametrize(
    "hide",
    [
        in_an_include, in_a_conditional_include, in_the_configuration_of_the_worktree, in_info_attributes,
        in_an_attributes_file, in_a_remote_that_promises_objects, in_a_submodule,
        behind_a_file_that_names_another_folder, in_another_work_tree,
    ],
    ids=lambda hide: hide.__name__,
)  # fmt: skip
def test_no_program_is_run_wherever_it_is_named(canary: Canary, hide: Callable[[Canary], None]) -> None:
    hide(canary)
    canary.look()
    assert canary.ran() == []


@pytest.mark.parametrize(
    "variable",
    [
        "GIT_ASKPASS", "GIT_EDITOR", "GIT_EXTERNAL_DIFF", "GIT_PAGER", "GIT_PROXY_COMMAND", "GIT_SSH", "GIT_SSH_COMMAND",
        "GIT_SEQUENCE_EDITOR", "PAGER", "SSH_ASKPASS", "EDITOR",
    ],
)  # fmt: skip
def test_no_program_of_the_environment_is_run(canary: Canary, variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, str(canary.program))
    canary.look()
    assert canary.ran() == []


def test_the_environment_names_no_other_repository_and_no_configuration(
    canary: Canary, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR"):
        monkeypatch.setenv(name, "/nonexistent")
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "core.fsmonitor")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", str(canary.program))
    for name in ("GIT_TRACE", "GIT_TRACE2", "GIT_TRACE2_EVENT", "GIT_TRACE_SETUP"):
        monkeypatch.setenv(name, str(canary.traces / f"ran.{name}"))
    canary.look()
    with Question(canary.root) as question:
        assert (question.answer() or GitState()).changed == ("data.csv", "x.yaml")
    assert Revision(canary.root, "HEAD").read("x.yaml") == SPEC.encode()
    assert canary.ran() == []


def test_the_users_own_filters_are_not_run_for_a_repository_that_asks_for_them(
    canary: Canary, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = canary.root.parent / "home"
    home.mkdir()
    (home / ".gitconfig").write_text(f'[filter "canary"]\n\tclean = {canary.program}\n\trequired = true\n')
    monkeypatch.setenv("HOME", str(home))
    canary.project.write(".gitattributes", "* filter=canary\n")
    canary.look()
    assert canary.ran() == []


def test_a_run_and_a_diff_start_no_program(canary: Canary) -> None:
    canary.project.write(".gitattributes", "* filter=canary diff=canary\n")
    for key in (
        "filter.canary.clean",
        "filter.canary.process",
        "core.fsmonitor",
        "diff.external",
        "diff.canary.textconv",
    ):
        canary.config(key, str(canary.program))
    canary.config("alias.cat-file", f"!{canary.program}")
    (canary.root / "git").symlink_to(canary.program)
    path = f".:{canary.root}:{canary.root}/../repo:{os.environ['PATH']}"
    run = canary.project.cli("run", "x.yaml", env={"PATH": path})
    assert run.returncode == 0, run.stderr
    diff = canary.project.cli("diff", "HEAD:x.yaml", "x.yaml", env={"PATH": path})
    assert (diff.returncode, "1 → 2" in diff.stdout) == (0, True), diff.stderr
    assert canary.ran() == []


def test_a_git_of_the_repository_or_of_others_is_passed_over(canary: Canary, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "git").write_text("#!/bin/sh\n")
    (theirs / "git").chmod(0o777)
    inside = canary.root / "bin"
    inside.mkdir()
    (inside / "git").symlink_to(canary.program)
    link = tmp_path / "link"
    link.symlink_to(inside)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(canary.root)
        patch.setenv("PATH", f".::bin:{inside}:{link}:{theirs}")
        assert find_program(canary.root) is None
        with Question(canary.root) as question:
            assert question.answer() is None
        with pytest.raises(BadInput, match="git is not installed"):
            Revision(canary.root, "HEAD").read("x.yaml")


def state(root: Path) -> tuple[object, list[str]]:
    with Question(root) as question:
        answer = question.answer() or GitState()
    return answer.dirty, list(answer.changed or ())


@pytest.mark.parametrize("where", ["own", "personal"])
def test_line_endings_are_compared_as_the_settings_say(
    canary: Canary, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(canary.root, "checkout", "-q", ".")
    (canary.root / "x.yaml").unlink()
    git(canary.root, "-c", "core.autocrlf=true", "checkout", "-q", ".")
    assert (canary.root / "x.yaml").read_bytes() == SPEC.replace("\n", "\r\n").encode()
    os.utime(canary.root / "x.yaml", (1, 1))
    assert state(canary.root) == (True, ["x.yaml"])
    if where == "own":
        canary.config("core.autocrlf", "true")
    else:
        home = canary.root.parent / "home"
        home.mkdir()
        (home / ".gitconfig").write_text("[core] autocrlf = input ; as elsewhere\n")
        monkeypatch.setenv("HOME", str(home))
    assert state(canary.root) == (False, [])


def test_attributes_of_line_endings_hold(canary: Canary) -> None:
    git(canary.root, "checkout", "-q", ".")
    canary.project.write(".gitattributes", "*.yaml text eol=crlf\n")
    git(canary.root, "add", ".gitattributes")
    git(canary.root, "commit", "-qm", "second")
    (canary.root / "x.yaml").unlink()
    git(canary.root, "checkout", "-q", ".")
    os.utime(canary.root / "x.yaml", (1, 1))
    assert b"\r\n" in (canary.root / "x.yaml").read_bytes()
    assert state(canary.root) == (False, [])


def test_files_that_only_a_filter_could_compare_are_uncertain(canary: Canary) -> None:
    git(canary.root, "checkout", "-q", ".")
    canary.project.write(".gitattributes", "*.csv filter=lfs\n")
    git(canary.root, "add", ".gitattributes")
    git(canary.root, "commit", "-qm", "second")
    assert state(canary.root) == (False, []), "nobody wrote to it"
    canary.project.write("data.csv", "a\n3\n")
    assert state(canary.root) == (None, ["data.csv"])
    canary.project.write("x.yaml", SPEC + "\n")
    assert state(canary.root) == (True, ["data.csv", "x.yaml"])
    git(canary.root, "checkout", "-q", "x.yaml")
    git(canary.root, "add", "data.csv")
    assert state(canary.root) == (True, ["data.csv"]), "what is staged differs for certain"


def test_a_submodule_differs_when_its_commit_does(canary: Canary) -> None:
    in_a_submodule(canary)
    git(canary.root, "commit", "-qam", "second")
    assert state(canary.root) == (False, [])
    git(
        canary.root / "sub",
        "-c",
        "core.fsmonitor=",
        "-c",
        "filter.canary.clean=",
        "commit",
        "-qm",
        "more",
        "--allow-empty",
    )
    assert state(canary.root) == (True, ["sub"])


def test_packed_refs_abbreviations_logs_and_sha256_are_understood(canary: Canary, tmp_path: Path) -> None:
    git(canary.root, "commit", "-qam", "second")
    git(canary.root, "tag", "-a", "v1", "-m", "first", "HEAD~1")
    git(canary.root, "gc", "-q")
    short = git(canary.root, "rev-parse", "--short", "HEAD~1")
    for name in ("v1", "HEAD~1", short, "main~1", "HEAD@{1}", "main@{1}", "HEAD^{/first}"):
        assert Revision(canary.root, name).read("x.yaml") == SPEC.encode(), name
    (tmp_path / "sha").mkdir()
    (tmp_path / "sha" / "x").write_text("x\n")
    git(tmp_path / "sha", "init", "-q", "--object-format=sha256")
    git(tmp_path / "sha", "add", ".")
    git(tmp_path / "sha", "commit", "-qm", "first")
    assert state(tmp_path / "sha") == (False, [])
    assert Revision(tmp_path / "sha", "HEAD").read("x") == b"x\n"


def test_nothing_is_left_and_nothing_is_written(
    canary: Canary, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    before = canary.project.listing()
    with Question(canary.root) as question:
        question.answer()
    Revision(canary.root, "HEAD").read("x.yaml")
    assert canary.project.listing() == before
    assert list((tmp_path / "scratch").iterdir()) == []


def test_where_no_scratch_file_can_be_made_it_is_said(canary: Canary, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", "/proc/nonexistent")
    with Question(canary.root) as question:
        assert str((question.answer() or GitState()).problem).startswith("git cannot be run")
    with pytest.raises(BadInput, match="cannot read git revision"):
        Revision(canary.root, "HEAD").read("x.yaml")


def test_a_file_beyond_the_limit_is_refused(canary: Canary, monkeypatch: pytest.MonkeyPatch) -> None:
    (canary.root / "big").write_bytes(bytes(3 << 20))
    git(canary.root, "add", "big")
    monkeypatch.setattr(revision, "MOST", 1 << 20)
    with pytest.raises(BadInput, match=r"more than .* or 1 MB"):
        Revision(canary.root, "").read("big")


def test_what_unfolds_beyond_the_memory_that_git_has_is_refused(
    canary: Canary, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = b"100644 " + b"a" * (40 << 20) + b"\0" + bytes(20)
    made = subprocess.run(
        ["git", "hash-object", "-t", "tree", "--literally", "-w", "--stdin"],
        cwd=canary.root, input=tree, check=True, capture_output=True,
    )  # fmt: skip
    monkeypatch.setattr(git_module, "MEMORY", 16 << 20)
    with pytest.raises(BadInput, match="memory"):
        Revision(canary.root, made.stdout.decode().strip()).read("a")


@pytest.mark.parametrize("file", ["HEAD", "config", "index", "packed-refs", "refs/heads/main"])
def test_a_pipe_in_the_place_of_a_file_keeps_nobody_waiting(
    canary: Canary, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = canary.root / ".git" / file
    pipe.unlink(missing_ok=True)
    os.mkfifo(pipe)
    monkeypatch.setattr("e2i.workspace.repository.DEADLINE", 0.5)
    monkeypatch.setattr(revision, "DEADLINE", 0.5)
    with Question(canary.root) as question:
        assert question.answer() is not None
    Revision(canary.root, "HEAD").look("x.yaml") if file == "config" else None


def test_a_repository_is_found_from_a_folder_inside_it(canary: Canary) -> None:
    inside = canary.root / "specs"
    inside.mkdir()
    with Repository.around(inside) or pytest.fail() as repository:
        assert repository.root == canary.root
