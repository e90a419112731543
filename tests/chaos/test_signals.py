"""Signals to a running ``e2i run``: how it ends, what it leaves, and what the terminal looks like afterwards."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import sqlite3
import stat
import subprocess
import sys
import termios
import time
from contextlib import closing
from pathlib import Path

import pytest

from project import ENGINE, LONGEST, WITHIN, Project, until

SLOW = """
version: 1
name: slow
steps:
  slow: {uses: debug.sleep, with: {seconds: SECONDS}}
  last: {uses: debug.sleep, needs: [slow], with: {seconds: 0}}
"""


def running(project: Project, seconds: float, **options: object) -> subprocess.Popen[str]:
    """A run whose first step is being executed."""
    project.write("s.yaml", SLOW.replace("SECONDS", str(seconds)))
    process = project.start("run", "s.yaml", "--json", **options)  # type: ignore[arg-type]
    assert until(lambda: is_executed(project))
    return process


def is_executed(project: Project) -> bool:
    return any(project.store.glob("runs/*/logs/slow.log"))


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGQUIT, 131)],
)
def test_a_signal_ends_the_run_at_once_and_is_its_exit_code(
    project: Project, number: signal.Signals, code: int
) -> None:
    with running(project, 600) as process:
        process.send_signal(number)
        out, err = process.communicate(timeout=WITHIN)
    last = json.loads(out.splitlines()[-1])
    assert (process.returncode, last["status"]) == (code, "interrupted")
    assert "Traceback" not in err
    assert until(lambda: not project.processes())


def test_a_step_that_had_failed_before_the_signal_counts_for_more(project: Project) -> None:
    spec = f"version: 1\nname: both\nsteps:\n  slow: {{{project.hold()}}}\n  bad: {{uses: debug.fail}}\n"
    project.write("s.yaml", spec)
    with project.start("run", "s.yaml", "--json") as process:
        assert process.stdout is not None
        for line in process.stdout:
            event = json.loads(line)
            if event["event"] == "step.finished" and event["step"] == "bad":
                break
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=WITHIN)
    last = json.loads(out.splitlines()[-1])
    assert (process.returncode, last["status"]) == (1, "failed")
    assert (last["steps"]["bad"]["status"], last["steps"]["slow"]["status"]) == ("failed", "cancelled")


def test_a_signal_that_was_switched_off_before_changes_nothing(project: Project) -> None:
    with running(project, 1, under=["nohup"]) as process:
        process.send_signal(signal.SIGHUP)
        out, _ = process.communicate(timeout=LONGEST)
    assert (process.returncode, json.loads(out.splitlines()[-1])["status"]) == (0, "succeeded")


COUNTED = """
version: 1
name: counted
defaults: {retry: {attempts: 3, initial: 1s}}
steps:
  slow: {uses: python.call, with: {file: count.py, function: count, arguments: {step: slow, seconds: 1.5}}}
  flaky: {uses: debug.fail, with: {unavailable: true}, on_error: continue}
  last: {uses: python.call, needs: [slow], with: {file: count.py, function: count, arguments: {step: last, seconds: 0}}}
"""
COUNT = """
import time
def count(step, seconds):
    with open("begun", "a") as file:
        file.write(f"{step}\\n")
    time.sleep(seconds)
"""


def is_stopped_between_two_commits(project: Project, process: subprocess.Popen[str]) -> bool:
    """Stops the run; in the middle of a commit, which others would wait for, it goes on."""
    process.send_signal(signal.SIGSTOP)
    assert until(lambda: Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T")
    with closing(sqlite3.connect(project.store / "state.db", timeout=0, isolation_level=None)) as database:
        try:
            database.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            process.send_signal(signal.SIGCONT)
            return False
    return True


@pytest.mark.parametrize("seconds", [2.5, pytest.param(120.0, marks=pytest.mark.slow)])
def test_a_run_that_was_stopped_goes_on_and_starts_nothing_twice(project: Project, seconds: float) -> None:
    """Meanwhile its step ends, the wait before a retry is over, and another run of the same spec is started."""
    project.write("s.yaml", COUNTED)
    project.write("count.py", COUNT)
    begun = project.root / "begun"
    with project.start("run", "s.yaml", "--json") as process:
        assert until(begun.exists)
        assert until(lambda: is_stopped_between_two_commits(project, process))
        with project.start("run", "s.yaml", "--json") as other:
            time.sleep(seconds)
            process.send_signal(signal.SIGCONT)
            outputs = [one.communicate(timeout=LONGEST)[0] for one in (process, other)]
    assert (process.returncode, other.returncode) == (0, 0)
    assert begun.read_text().split() == ["slow", "last"]
    for output in outputs:
        events = [json.loads(line) for line in output.splitlines()]
        attempts = [(event["step"], event["attempt"]) for event in events if event["event"] == "step.started"]
        assert len(attempts) == len(set(attempts))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGTSTP, 0)])
def test_the_terminal_is_as_it_was(project: Project, number: signal.Signals, code: int) -> None:
    project.write("s.yaml", SLOW.replace("uses: debug.sleep, with: {seconds: SECONDS}", project.hold()))
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    process = project.start("run", "s.yaml", env={"TERM": "xterm-256color"}, stderr=theirs, process_group=0)
    said = b""

    def shown() -> bytes:
        nonlocal said
        while select.select([ours], [], [], 0.02)[0]:
            said += os.read(ours, 1 << 16)
        return said

    assert until(lambda: b"\x1b[?25l" in shown() and is_executed(project))
    process.send_signal(number)
    if number == signal.SIGTSTP:
        assert until(
            lambda: shown() and Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
        )
        assert said.rindex(b"\x1b[?25h") > said.rindex(b"\x1b[?25l")
        process.send_signal(signal.SIGCONT)
    project.let_go()
    assert until(lambda: shown() is None or process.poll() is not None)
    shown()
    process.communicate()
    assert process.returncode == code
    assert said.rindex(b"\x1b[?25h") > said.rindex(b"\x1b[?25l")  # the cursor is shown again
    assert termios.tcgetattr(theirs) == before
    os.close(ours)
    os.close(theirs)


@pytest.mark.parametrize("redirected", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-", "2>/dev/full"])
def test_without_standard_input_or_output_it_runs_as_well(project: Project, redirected: str) -> None:
    project.write("s.yaml", SLOW.replace("SECONDS", "0"))
    command = f'umask 000; exec "$0" -m e2i.cli.main run s.yaml --json {redirected} </dev/null'
    if "<&-" in redirected:
        command = command.removesuffix(" </dev/null")
    environ = {"PATH": os.environ["PATH"], "LANG": "C", "PYTHONPATH": str(ENGINE)}
    done = subprocess.run(
        ["sh", "-c", command, sys.executable], cwd=project.root, env=environ, timeout=LONGEST, check=False
    )
    assert done.returncode == 0


@pytest.mark.parametrize("mask", ["000", "777"])
def test_what_a_run_keeps_is_private_whatever_the_mask(project: Project, mask: str) -> None:
    project.write("s.yaml", SLOW.replace("SECONDS", "0"))
    command = f'umask {mask}; exec "$0" -m e2i.cli.main run s.yaml'
    environ = {"PATH": os.environ["PATH"], "LANG": "C", "PYTHONPATH": str(ENGINE)}
    done = subprocess.run(
        ["sh", "-c", command, sys.executable], cwd=project.root, env=environ, timeout=LONGEST, check=False
    )
    assert done.returncode == 0
    found = [project.store, *project.store.rglob("*")]
    assert len(found) > 5
    open_to_others = [path for path in found if stat.S_IMODE(path.lstat().st_mode) & 0o077 and not path.is_symlink()]
    assert open_to_others == []
