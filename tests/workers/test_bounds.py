"""Limits of a step's output and processes: its log is cut, and too many processes end it, with a clear message."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from e2i.execution.events import LogCut
from e2i.store import names
from e2i.workers import steplog
from project import Project

STEPS = """
import os, subprocess, sys, time

def say(count, secret=""):
    print("the first line")
    line = "x" * 999 + "\\n"
    for _ in range(count):
        sys.stdout.write(line)
    print("the last line")
    return count

def fork(count, deep=False):
    pids = []
    for _ in range(count):
        pid = os.fork()
        if pid == 0:
            if deep:
                os.setsid()
            time.sleep(600)
            os._exit(0)
        pids.append(pid)
    time.sleep(600)

def double(times):
    for _ in range(times):
        os.fork()
    time.sleep(60)

def bomb(most):
    # Each in a session of its own and deaf to SIGTERM; not more than that often in all, and not for long.
    import signal
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    permits, out = os.pipe()
    os.write(out, b"x" * most)
    os.close(out)
    while os.read(permits, 1):
        if os.fork() == 0:
            os.setsid()
    time.sleep(60)
"""


def spec(function: str, resources: str, **given: object) -> str:
    arguments = json.dumps(given)
    return f"""
version: 1
name: bounds
steps:
  step: {{uses: python.call, resources: {{{resources}}}, with: {{file: steps.py, function: {function}, arguments: {arguments}}}}}
"""


@pytest.fixture(autouse=True)
def steps(project: Project) -> None:
    project.write("steps.py", STEPS)


def test_a_long_log_keeps_its_beginning_and_its_end_and_the_step_goes_on(project: Project) -> None:
    record = project.run(spec("say", "log: 1MB", count=5_000))
    assert record.status == "succeeded"
    (log,) = (project.store / "runs").rglob("*.log")
    text = log.read_text()
    assert log.stat().st_size <= 1_000_000
    assert text.startswith("the first line\n")
    assert "the last line" in text[-200:]
    assert "the log is longer than 1MB" in text
    assert [(event.step, event.limit) for event in project.happened(LogCut)] == [("step", 1_000_000)]


def test_the_log_of_a_step_with_secrets_is_cut_too(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN_OF_TEST", "kT7-xQ91-vZp0-canary")
    project.write("config/default.yaml", "sinks: []\nsecrets: {TOKEN: TOKEN_OF_TEST}\n")
    record = project.run(spec("say", "log: 1MB", count=5_000, secret="${{ secrets.TOKEN }}"))
    assert record.status == "succeeded"
    (log,) = (project.store / "runs").rglob("*.log")
    assert log.stat().st_size <= 1_000_000
    assert "the log is longer than 1MB" in log.read_text()


def test_the_settings_say_how_long_a_log_may_be(project: Project) -> None:
    project.write("config/default.yaml", "sinks: []\nresources: {log: 500KB}\n")
    assert project.run(spec("say", "", count=2_000)).status == "succeeded"
    (log,) = (project.store / "runs").rglob("*.log")
    assert log.stat().st_size <= 500_000


def test_a_short_log_is_left_as_it_is(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_bytes(b"x" * 100)
    assert not steplog.trim(log, 100, over=True)
    assert log.read_bytes() == b"x" * 100
    assert not steplog.trim(tmp_path / "none.log", 100)


def test_a_log_that_is_cut_again_and_again_keeps_the_same_beginning(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_bytes(b"first" + b"x" * 2_000)
    for _ in range(3):
        with log.open("ab") as file:
            file.write(b"y" * 2_000 + b"last")
        assert steplog.trim(log, 1_000)
        assert log.stat().st_size <= 1_000
    with log.open("ab") as file:
        file.write(b"z" * 2_000 + b"last")
    assert steplog.trim(log, 1_000, over=True)
    text = log.read_bytes()
    assert (text[:5], text[-4:], text.count(b"[e2i:")) == (b"first", b"last", 1)


# That no process is left, the fixture looks at.
def test_a_step_with_too_many_processes_ends_and_names_its_limit(project: Project) -> None:
    record = project.run(spec("fork", "", count=1_500))
    error = record.steps["step"].error
    assert error is not None
    assert (error.code, "512" in error.message, "processes" in (error.hint or "")) == (
        "too-many-processes", True, True
    )  # fmt: skip


@pytest.mark.parametrize("deep", [False, True], ids=["children", "in sessions of their own"])
def test_a_step_may_say_how_many_processes_it_needs(project: Project, *, deep: bool) -> None:
    error = project.run(spec("fork", "processes: 20", count=100, deep=deep)).steps["step"].error
    assert error is not None and (error.code, "20" in error.message) == ("too-many-processes", True)


@pytest.mark.sweep
def test_the_shipped_limit_counts_processes_in_sessions_of_their_own(project: Project) -> None:
    error = project.run(spec("fork", "", count=1_500, deep=True)).steps["step"].error
    assert error is not None and (error.code, "512" in error.message) == ("too-many-processes", True)


@pytest.mark.parametrize(
    "call",
    [
        {"function": "double", "times": 9},
        {"function": "bomb", "most": 600},
        pytest.param({"function": "bomb", "most": 2_000}, marks=pytest.mark.sweep),
    ],
    ids=str,
)
def test_nothing_is_left_of_a_step_whose_processes_start_more(project: Project, call: dict[str, object]) -> None:
    given = dict(call)
    error = project.run(spec(str(given.pop("function")), "processes: 40", **given)).steps["step"].error
    assert error is not None and error.code == "too-many-processes"
    assert project.processes() == []


@pytest.mark.parametrize(
    "steps",
    [("a/b", "a_b"), ("fit", "Fit"), ("a[1/2]", "a[1_2]"), ("é", "è"), ("x" * 300, "x" * 299), ("a.b", "A.b")],
)
def test_no_two_steps_share_a_file(steps: tuple[str, str]) -> None:
    found = [names.of_step(step) for step in steps]
    assert len({name.casefold() for name in found}) == 2
    assert all(len(name) < 120 and "/" not in name for name in found)


def test_a_plain_id_is_the_name_of_its_file() -> None:
    assert [names.of_step(step) for step in ("load", "fit[1,a]", "b_2")] == ["load", "fit[1,a]", "b_2"]
