"""Disks that are full, fail, may not be written or go away under a run: named in a line, and nothing finished is lost.

Rows F05, F07, F09 and F51. Where nothing can be mounted, or no process can be traced, a test says so and is skipped.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from e2i.store.database import FILE
from project import ENGINE, LONGEST, Project, lines, until

HERE = "version: 1\nname: here\nsteps:\n" + "".join(
    f"  s{number}: {{uses: debug.echo, with: {{value: [{number}, {'x' * 60_000}]}}}}\n" for number in range(30)
)
"""Thirty steps in the engine's process, whose results take more than a megabyte."""
FILLS = """
version: 1
name: fills
steps:
  first: {uses: debug.echo, with: {value: 1}}
  table: {uses: python.call, needs: [first], with: {file: make.py, function: table, arguments: {rows: 300000}}}
  last: {uses: debug.echo, needs: [table], with: {value: 2}}
"""
MAKE = """
import numpy as np, pandas as pd

def table(rows):
    return pd.DataFrame({"x": np.arange(rows) * 0.7})
"""
QUICK = """
version: 1
name: quick
steps:
  a: {uses: debug.echo, with: {value: 1}}
  b: {uses: debug.sleep, needs: [a], with: {seconds: 0.01}}
"""


def mount(*arguments: str) -> bool:
    return subprocess.run(["mount", *arguments], capture_output=True, check=False).returncode == 0


@pytest.fixture
def small(project: Project, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A disk of a megabyte at a folder of the store; the parameter says which."""
    folder = project.store / request.param
    folder.mkdir(mode=0o700, parents=True)
    if shutil.which("mount") is None or not mount("-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs", str(folder)):
        pytest.skip("nothing can be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def is_intact(store: Path) -> bool:
    with closing(sqlite3.connect(store / FILE)) as database:
        return database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def finished(output: str) -> set[str]:
    """The steps that were told to be finished with a result."""
    return {
        line["step"] for line in lines(output) if line.get("event") == "step.finished" and line["status"] == "succeeded"
    }


@pytest.mark.slow
@pytest.mark.parametrize("small", ["."], indirect=True)
def test_a_full_state_is_named_and_the_run_goes_on_when_there_is_room(project: Project, small: Path) -> None:
    project.write("s.yaml", HERE)
    full = project.cli("run", "s.yaml", "--json")
    assert full.returncode == 4
    assert f"disk full: {project.store / FILE} [disk-full]" in full.stderr.replace("\x1b[2m", "").replace("\x1b[0m", "")
    assert project.cli("validate", "s.yaml").returncode == 0
    assert project.cli("plan", "s.yaml").returncode == 0
    assert mount("-o", "remount,size=50m", str(small))
    resumed = project.cli("run", "s.yaml", "--json")
    assert resumed.returncode == 0, resumed.stderr
    steps = lines(resumed.stdout)[-1]["steps"]
    assert {name for name, step in steps.items() if step["status"] == "reused"} >= finished(full.stdout)
    assert is_intact(project.store)


@pytest.mark.slow
@pytest.mark.parametrize("small", ["objects", "tmp"], indirect=True)
def test_a_full_disk_of_a_step_fails_the_step_by_name(project: Project, small: Path) -> None:
    project.write("s.yaml", FILLS)
    project.write("make.py", MAKE)
    full = project.cli("run", "s.yaml", "--json")
    assert full.returncode == 4, full.stderr
    last = lines(full.stdout)[-1]
    error = last["steps"]["table"]["error"]
    assert error["code"] == "disk-full" and error["message"].startswith(f"disk full: {project.store}")
    assert not [path for path in (project.store / "objects").rglob("*") if path.is_file() and ".put" not in path.name]
    assert mount("-o", "remount,size=50m", str(small))
    again = project.cli("run", "s.yaml", "--json")
    assert {name: step["status"] for name, step in lines(again.stdout)[-1]["steps"].items()} == {
        "first": "reused", "table": "succeeded", "last": "succeeded"
    }  # fmt: skip
    assert is_intact(project.store)


def traced(project: Project, inject: str, log: Path) -> subprocess.CompletedProcess[str]:
    """Runs the spec with a fault in the system calls of the engine's process."""
    environ = {**os.environ, "PYTHONPATH": str(ENGINE)}
    command = ["strace", "-qq", "-o", str(log), "-e", "trace=pwrite64", "-e", inject]
    return subprocess.run(
        [*command, sys.executable, "-m", "e2i.cli.main", "run", "s.yaml", "--json"],
        cwd=project.root, env=environ, capture_output=True, text=True, timeout=LONGEST, check=False,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("failure", ["ENOSPC", "EIO", "EDQUOT"])
def test_no_write_that_fails_loses_what_was_finished(project: Project, tmp_path: Path, failure: str) -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    project.write("s.yaml", HERE.replace("x" * 60_000, "x"))
    log = tmp_path / "trace"
    undisturbed = traced(project, "inject=pwrite64:delay_enter=0", log)
    if undisturbed.returncode != 0:
        pytest.skip(f"processes cannot be traced here: {undisturbed.stderr[-200:]}")
    writes = len(log.read_text().splitlines())
    shutil.rmtree(project.store)
    for number in sorted({1, 2, 3, *range(1, writes + 1, max(1, writes // int(os.environ.get("CHAOS_FAULTS", 8))))}):
        failed = traced(project, f"inject=pwrite64:error={failure}:when={number}+", log)
        assert failed.returncode in (0, 4), f"{number}: {failed.returncode} {failed.stderr}"
        assert "Traceback" not in failed.stderr and "defect" not in failed.stderr
        if failed.returncode == 4:
            assert "disk full" in failed.stderr or "cannot be written" in failed.stderr, failed.stderr
            assert str(project.store) in failed.stderr
        again = project.cli("run", "s.yaml", "--json")
        assert again.returncode == 0, f"{number}: {again.stderr}"
        steps = lines(again.stdout)[-1]["steps"]
        assert {name for name, step in steps.items() if step["status"] == "reused"} >= finished(failed.stdout), number
        assert is_intact(project.store)
        shutil.rmtree(project.store)


SLOW = [pytest.param(folder, marks=pytest.mark.slow) for folder in ("workspace", "HOME", "TMPDIR")]


@pytest.mark.parametrize("folder", ["store", *SLOW])
def test_a_place_that_may_not_be_written_is_named_and_looking_still_works(
    project: Project, tmp_path: Path, folder: str
) -> None:
    project.write("s.yaml", QUICK)
    project.store.mkdir(mode=0o700)
    folders = {"workspace": project.root, "store": project.store, "HOME": tmp_path / "h", "TMPDIR": tmp_path / "t"}
    for name in ("HOME", "TMPDIR"):
        folders[name].mkdir()
    locked = str(folders[folder])
    prelude = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && cd "$1" && shift && exec "$@"'
    environ = {**os.environ, "PYTHONPATH": str(ENGINE), "HOME": str(folders["HOME"]), "TMPDIR": str(folders["TMPDIR"])}

    def e2i(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "e2i.cli.main", *arguments]
        return subprocess.run(
            ["unshare", "--mount", "sh", "-c", prelude, locked, str(project.root), *command],
            env=environ, capture_output=True, text=True, timeout=LONGEST, check=False,
        )  # fmt: skip

    checked = e2i("validate", "s.yaml")
    if "unshare" in checked.stderr or "mount" in checked.stderr:
        pytest.skip("nothing can be mounted here")
    assert (checked.returncode, checked.stderr) == (0, "")
    planned = e2i("plan", "s.yaml")
    assert planned.returncode == 0, planned.stderr
    ran = e2i("run", "s.yaml")
    assert "Traceback" not in ran.stderr
    if folder in ("workspace", "store"):
        message, hint = ran.stderr.splitlines()
        assert ran.returncode == 4
        assert str(project.store) in message and "store-not-writable" in message and "--store" in hint
        elsewhere = e2i("run", "s.yaml", "--store", str(tmp_path / "elsewhere"))
        assert elsewhere.returncode == 0, elsewhere.stderr
    else:
        assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("what", ["store", "workspace"])
def test_what_goes_away_under_a_run_is_named_and_not_made_anew(project: Project, tmp_path: Path, what: str) -> None:
    project.write(
        "s.yaml",
        f"version: 1\nname: s\nsteps:\n  a: {{{project.hold()}}}\n"
        "  b: {uses: debug.sleep, needs: [a], with: {seconds: 0}}\n",
    )
    gone = project.store if what == "store" else project.root
    moved = tmp_path / "moved"
    with project.start("run", "s.yaml", "--json") as process:
        assert process.stdout is not None
        assert until(lambda: '"step.started"' in process.stdout.readline())  # type: ignore[union-attr]
        gone.rename(moved)
        (moved if what == "workspace" else project.root).joinpath("go").touch()
        _, err = process.communicate(timeout=LONGEST)
    assert process.returncode == 4, err
    assert f"was moved or deleted while a run was using it: {gone}" in err
    assert "Traceback" not in err
    assert not gone.exists()
    moved.rename(gone)
    assert project.cli("run", "s.yaml").returncode == 0
    assert is_intact(project.store)


@pytest.mark.parametrize("content", ["", '{"schema_version": 1, "dig', "[]", "\0\0", "42"])
def test_a_plan_that_was_half_written_is_refused_in_a_line(project: Project, content: str) -> None:
    project.write("s.yaml", QUICK)
    project.write("plan.json", content)
    result = project.cli("run", "s.yaml", "--plan", "plan.json")
    assert result.returncode == 2
    assert "plan.json" in result.stderr and "[bad-plan]" in result.stderr and "Traceback" not in result.stderr


def test_a_lock_with_anything_in_it_stands_in_nobodys_way(project: Project) -> None:
    project.write("s.yaml", "version: 1\nname: s\nsteps: {a: {uses: debug.echo}}\n")
    project.store.mkdir(mode=0o700)
    (project.store / "state.lock").write_text('{"pid": 12')
    assert project.cli("run", "s.yaml").returncode == 0
