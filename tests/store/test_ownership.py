"""A store that is not its user's alone is refused by every command that opens one, and nothing is touched."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from e2i import api
from e2i.errors import Refused
from e2i.store import ownership
from project import Project

SPEC = "version: 1\nname: s\nsteps:\n  a: {uses: debug.echo, with: {value: 1}}\n"
COMMANDS = [
    ("run", "s.yaml"), ("plan", "s.yaml"), ("runs",), ("show", "last"), ("show", "last", "--step", "a"), ("diff", "last", "last"),
    ("provenance", "last.a"), ("report", "last"), ("gc",), ("gc", "--dry-run"), ("gc", "--pin", "last"), ("sync",),
    ("sync", "--refused"), ("outbox", "list"), ("outbox", "retry"), ("doctor",), ("run", "--resume", "last"),
]  # fmt: skip
ENTRIES = [
    "objects", "runs", "tmp", "mlflow", "opik", "optuna", "feast", "bentoml", "quarantine", "verified", "trash", "state.db",
    "state.db-wal", "state.db-shm", "state.lock", "runs.lock", "objects.lock", "collect.lock", "delivery.log", "anything",
]  # fmt: skip


@pytest.fixture
def ran(project: Project) -> Project:
    project.write("s.yaml", SPEC)
    project.run(SPEC)
    return project


def a_link(project: Project) -> None:
    (project.store / "runs").rename(project.root / "elsewhere") if (project.store / "runs").exists() else None
    (project.root / "elsewhere").mkdir(exist_ok=True)
    (project.store / "runs").symlink_to(project.root / "elsewhere")


def writable_by_the_group(project: Project) -> None:
    project.store.chmod(0o770)


def another_users(project: Project) -> None:
    os.chown(project.store, 12345, -1)


@pytest.mark.parametrize(
    ("spoil", "code"), [(a_link, "store-holds-link"), (writable_by_the_group, "store-not-private")]
)
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_refuses(
    ran: Project, command: tuple[str, ...], spoil: Callable[[Project], None], code: str
) -> None:
    spoil(ran)
    before = ran.listing()
    done = ran.cli(*command)
    assert (done.returncode, f"[{code}]" in done.stderr) == (3, True), done.stderr
    assert "Traceback" not in done.stderr
    assert ran.listing() == before


@pytest.mark.parametrize("name", ENTRIES)
def test_nothing_in_a_store_may_be_a_link(ran: Project, name: str) -> None:
    path = ran.store / name
    if path.exists():
        path.rename(ran.root / "elsewhere")
    path.symlink_to(ran.root / "elsewhere")
    with pytest.raises(Refused, match=name) as caught:
        ownership.check(ran.store)
    assert caught.value.code == "store-holds-link"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("name", [".", "state.db", "objects"])
def test_what_belongs_to_another_user_is_refused_also_to_root(ran: Project, name: str) -> None:
    (ran.store / "objects").mkdir(exist_ok=True)
    os.chown(ran.store / name, 12345, -1)
    with pytest.raises(Refused, match="uid 12345") as caught:
        ran.run(SPEC)
    assert caught.value.code == "store-not-yours"


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777, 0o1777])
def test_a_store_that_others_may_write_to_is_refused(ran: Project, mode: int) -> None:
    ran.store.chmod(mode)
    with pytest.raises(Refused, match="is writable by other users") as caught:
        ran.plan(SPEC)
    assert "chmod -R go-w" in (caught.value.hint or "")
    ran.store.chmod(0o755)
    assert ran.statuses(SPEC) == {"a": "reused"}


@pytest.mark.parametrize("name", ["state.db", "objects"])
def test_what_others_may_write_to_counts_where_they_may_enter(ran: Project, name: str) -> None:
    (ran.store / "objects").mkdir(exist_ok=True)
    (ran.store / name).chmod(0o666 if name == "state.db" else 0o777)
    ran.store.chmod(0o700)
    ownership.check(ran.store)
    ran.store.chmod(0o755)
    with pytest.raises(Refused, match=name):
        ownership.check(ran.store)


def test_a_parent_folder_that_all_may_write_to_is_refused_unless_it_is_sticky(project: Project) -> None:
    shared = project.root / "shared"
    store = shared / "mine" / "store"
    (shared / "mine").mkdir(parents=True)
    workspace = api.Workspace.open(root=project.root, store=store, environ={})
    shared.chmod(0o777)
    with pytest.raises(Refused, match="is writable by all users"):
        api.run(SPEC, workspace=workspace)
    assert not store.exists()
    shared.chmod(0o1777)
    api.run(SPEC, workspace=workspace)
    shared.chmod(0o777)
    with pytest.raises(Refused):
        api.plan(SPEC, workspace=workspace)


def test_an_operator_may_declare_that_nobody_else_can_reach_the_parent_folders(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = project.root / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    workspace = api.Workspace.open(root=project.root, store=shared / "store", environ={})
    with pytest.raises(Refused, match="is writable by all users") as refused:
        api.run(SPEC, workspace=workspace)
    assert "E2I_STORE_ALONE=1" in str(refused.value.hint)
    monkeypatch.setenv("E2I_STORE_ALONE", "1")
    assert api.run(SPEC, workspace=workspace).status == "succeeded"


def test_the_whole_store_may_be_a_link(ran: Project) -> None:
    ran.store.rename(ran.root / "elsewhere")
    ran.store.symlink_to(ran.root / "elsewhere")
    assert ran.statuses(SPEC) == {"a": "reused"}


def test_what_a_store_makes_is_its_users_alone_whatever_the_mask(project: Project) -> None:
    before = os.umask(0)
    try:
        project.run(SPEC)
        project.cli("report", "last")
        project.cli("gc")
    finally:
        os.umask(before)
    assert project.store.stat().st_mode & 0o777 == 0o700
    ownership.check(project.store)
