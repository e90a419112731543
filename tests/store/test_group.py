"""A store that several users of a group share, with processes of two users, and what stays private without it."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2i.errors import Refused
from e2i.store import ownership
from project import ENGINE, LONGEST, Project, until

FIRST, SECOND, STRANGER = 20_101, 20_102, 20_103
GROUP, OTHERS = 20_201, 20_202
STEPS = """
import pandas as pd

def make(n):
    print("made", n)
    return pd.DataFrame({"x": range(n), "y": [i % 2 for i in range(n)]})
"""
SPEC = """
version: 1
name: shared
params: {n: {type: integer, default: 40}}
steps:
  make: {uses: python.call, with: {file: steps.py, function: make, arguments: {n: "${{ params.n }}"}}}
  tune:
    uses: optuna.tune
    with: {train: "${{ steps.make.table }}", validation: "${{ steps.make.table }}", target: y, algorithm: LogisticRegression, trials: 1}
  train: {uses: model.train, with: {table: "${{ steps.make.table }}", target: y, algorithm: LogisticRegression}}
"""
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become two users; the modes are tested below")


class Team:
    """A project of two users of a group, in a folder that they can both reach."""

    def __init__(self, root: Path) -> None:
        self.project = Project(root)
        self.project.write("config/default.yaml", "sinks: []\nworkers: 1\nmode: group\n")
        self.project.write("steps.py", STEPS)
        self.project.write("spec.yaml", SPEC)
        for path in (root, *root.rglob("*")):
            os.chown(path, FIRST, GROUP)
            path.chmod(0o2770 if path.is_dir() else 0o660)

    def cli(self, user: int, *arguments: str, group: int = GROUP) -> subprocess.CompletedProcess[str]:
        """Executes ``e2i ARGUMENTS`` as another user. Python itself may be in a folder that only root can read."""
        process = self.start(user, *arguments, group=group)
        try:
            out, err = process.communicate(timeout=LONGEST)
        finally:
            process.kill()
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def start(self, user: int, *arguments: str, group: int = GROUP) -> subprocess.Popen[str]:
        """Starts ``e2i ARGUMENTS`` as another user."""
        become = ["setpriv", f"--reuid={user}", f"--regid={user}", f"--groups={group}"]
        become += ["--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search"]
        home = self.project.root.parent / f"home-{user}"
        home.mkdir(exist_ok=True)
        os.chown(home, user, user)
        environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ENGINE), "HOME": str(home), "TMPDIR": str(home)}
        return subprocess.Popen(
            [*become, sys.executable, "-m", "e2i.cli.main", *arguments], cwd=self.project.root, env=environ,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, umask=0o022,
        )  # fmt: skip

    def ran(self, user: int, *arguments: str) -> str:
        done = self.cli(user, *arguments)
        assert done.returncode == 0, (done.stdout, done.stderr)
        return done.stdout + done.stderr


@pytest.fixture
def team() -> Iterator[Team]:
    above = Path(tempfile.mkdtemp(prefix="e2i-team-"))
    above.chmod(0o755)
    yield Team(above / "project")
    shutil.rmtree(above)


def wrong(store: Path) -> list[str]:
    """What the group cannot use: in another group, not writable (artifacts: not readable), or open to others."""
    found = []
    for path in store.rglob("*"):
        mode = path.lstat().st_mode
        artifact = path.is_relative_to(store / "objects") and stat.S_ISREG(mode)
        usable = mode & stat.S_IRGRP if artifact else mode & stat.S_IWGRP
        if path.lstat().st_gid != GROUP or not usable or mode & stat.S_IWOTH:
            found.append(f"{path.relative_to(store)} {path.lstat().st_gid} {oct(mode)}")
    return found


@needs_root
@pytest.mark.slow
def test_two_users_use_each_others_results_and_remove_them(team: Team) -> None:
    team.project.write("config/default.yaml", "sinks: [mlflow]\nflush: 30\nworkers: 1\nmode: group\n")
    store = team.project.store
    team.ran(FIRST, "run", "spec.yaml")
    assert oct(store.stat().st_mode) == oct(stat.S_IFDIR | 0o2770)
    assert {path.stat().st_uid for path in (store / "objects").iterdir()} == {FIRST}
    assert wrong(store) == []
    assert team.ran(SECOND, "run", "spec.yaml").count("reused") >= 3
    team.ran(SECOND, "run", "spec.yaml", "-p", "n=60")
    team.ran(SECOND, "run", "spec.yaml", "--fresh")  # equal artifacts of the first user
    assert wrong(store) == []
    assert {path.stat().st_uid for path in (store / "runs").iterdir()} == {FIRST, SECOND}
    assert "made 40" in team.ran(SECOND, "show", "last~2", "--step", "make") + team.ran(
        FIRST, "show", "last", "--step", "make"
    )
    assert team.ran(FIRST, "doctor", "--ready").startswith("ready")
    team.ran(SECOND, "gc", "--keep-days", "0", "--tools")
    assert [*(store / "objects").glob("??/*")] == []
    assert [*(store / "runs").iterdir()] == []
    assert team.ran(FIRST, "run", "spec.yaml").count("reused") == 0
    assert wrong(store) == []


BENTO = """
version: 1
name: packaged
params: {n: {type: integer, default: 40}}
steps:
  make: {uses: python.call, with: {file: steps.py, function: make, arguments: {n: "${{ params.n }}"}}}
  train: {uses: model.train, with: {table: "${{ steps.make.table }}", target: y, algorithm: LogisticRegression}}
  package: {uses: bentoml.package, with: {model: "${{ steps.train.model }}", name: pk}}
"""


@needs_root
@pytest.mark.slow
def test_two_users_use_each_others_bentos(team: Team) -> None:
    team.project.write("spec.yaml", BENTO)
    team.ran(FIRST, "run", "spec.yaml")
    assert wrong(team.project.store) == []
    assert team.ran(SECOND, "run", "spec.yaml").count("reused") >= 3
    team.ran(SECOND, "run", "spec.yaml", "--fresh")
    team.ran(SECOND, "run", "spec.yaml", "-p", "n=60")
    assert wrong(team.project.store) == []
    team.project.write("config/default.yaml", "sinks: []\nworkers: 1\nmode: group\nretention: {bentos: 1}\n")
    team.ran(SECOND, "gc", "--keep-days", "0", "--tools")
    left = [*(team.project.store / "bentoml" / "bentos").glob("pk/*/bento.yaml")]
    assert [path.stat().st_uid for path in left] == [SECOND]  # the newest


@needs_root
def test_a_member_removes_what_the_killed_run_of_another_left(team: Team) -> None:
    step = team.project.hold()
    team.project.write("spec.yaml", f"version: 1\nname: held\nsteps:\n  wait: {{{step}}}\n")
    process = team.start(FIRST, "run", "spec.yaml")
    until(lambda: [*team.project.store.glob("tmp/*/step-*")])
    process.kill()
    process.communicate(timeout=LONGEST)
    team.project.let_go()
    assert until(lambda: not team.project.processes())  # what ends the killed run's steps removes their scratch too
    assert wrong(team.project.store / "tmp") == []
    team.ran(SECOND, "gc", "--keep-days", "0")
    assert [*(team.project.store / "tmp").iterdir()] == []


@pytest.mark.slow
@needs_root
def test_what_a_member_may_not_remove_is_named_with_its_owner(team: Team) -> None:
    team.ran(FIRST, "run", "spec.yaml", "--select", "make")
    closed = team.project.store / "tmp" / "left" / "closed"
    closed.mkdir(parents=True)
    closed.chmod(0o700)
    closed.joinpath("file").write_text("x")
    for path in (closed.parent, closed):
        os.chown(path, FIRST, GROUP)
    closed.parent.chmod(0o2770)
    done = team.cli(SECOND, "gc", "--keep-days", "0")
    assert done.returncode == 4
    assert f"{closed}: Permission denied; it belongs to user {FIRST}" in done.stderr.replace("\n", " ")
    assert "/proc/self" not in done.stderr
    team.ran(FIRST, "run", "spec.yaml", "--select", "make")  # opens what this user left closed
    team.ran(SECOND, "gc", "--keep-days", "0")


@pytest.mark.slow
@needs_root
def test_the_lock_of_a_backup_is_the_groups(team: Team) -> None:
    team.ran(FIRST, "run", "spec.yaml", "--select", "make")
    team.ran(FIRST, "backup", str(team.project.root.parent / f"home-{FIRST}" / "backup"))
    assert wrong(team.project.store) == []
    team.ran(SECOND, "gc", "--keep-days", "0")
    team.ran(SECOND, "backup", str(team.project.root.parent / f"home-{SECOND}" / "backup"))


@needs_root
def test_a_user_outside_the_group_is_refused(team: Team) -> None:
    team.ran(FIRST, "run", "spec.yaml", "--select", "make")
    done = team.cli(STRANGER, "runs", group=OTHERS)
    assert (done.returncode, "[store-not-yours]" in done.stderr) == (3, True), done.stderr


@needs_root
def test_without_the_setting_a_store_of_another_user_is_refused(team: Team) -> None:
    team.ran(FIRST, "run", "spec.yaml", "--select", "make")
    team.project.write("config/default.yaml", "sinks: []\n")
    done = team.cli(SECOND, "run", "spec.yaml")
    assert (done.returncode, "[store-not-yours]" in done.stderr) == (3, True)
    done = team.cli(FIRST, "run", "spec.yaml")
    assert (done.returncode, "[store-not-private]" in done.stderr) == (3, True)


@pytest.mark.slow
def test_files_of_a_shared_store_are_open_to_its_group_alone(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ownership.GROUP, "")
    project.write("config/default.yaml", "sinks: [mlflow, opik]\nflush: 30\nmode: group\n")
    project.write("steps.py", STEPS)
    assert project.run(SPEC).status == "succeeded"
    assert ownership.is_shared(project.store)
    for path in (project.store, *project.store.rglob("*")):
        mode = path.lstat().st_mode
        if path.is_dir():
            assert mode & 0o070 == 0o070, path
        elif not path.is_relative_to(project.store / "objects"):
            assert mode & 0o060 == 0o060, path
        assert not mode & stat.S_IWOTH, path


@pytest.mark.slow
def test_files_of_a_private_store_are_their_users_alone(project: Project) -> None:
    project.write("steps.py", STEPS)
    assert project.cli("run", str(project.write("spec.yaml", SPEC))).returncode == 0
    for path in project.store.rglob("*"):
        assert not path.lstat().st_mode & (stat.S_IWGRP | stat.S_IWOTH), path
    assert project.store.stat().st_mode & 0o077 == 0


def test_a_folder_that_says_so_by_itself_is_not_shared(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ownership.GROUP, raising=False)
    project.store.mkdir()
    project.store.chmod(0o2770)
    assert not ownership.is_shared(project.store)
    with pytest.raises(Refused) as refused:
        ownership.check(project.store)
    assert refused.value.code == "store-not-private"


def test_a_shared_store_that_all_may_write_to_is_refused(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ownership.GROUP, str(project.store))
    project.store.mkdir()
    project.store.chmod(0o2777)
    with pytest.raises(Refused) as refused:
        ownership.check(project.store)
    assert refused.value.code == "store-not-private"
