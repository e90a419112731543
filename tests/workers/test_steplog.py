"""The log of a step has its output, also when it dies; a short step without output has no log."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2i.catalog.context import RunInfo
from e2i.settings import Settings
from e2i.workers import steplog
from e2i.workers.environment import for_worker
from e2i.workers.executor import Ended, StepCall
from e2i.workers.pool import Pool
from e2i.workspace.paths import Roots
from project import WITHIN, Project, until

STEPS = """
import os, pathlib, signal, subprocess, time

def say(text, number=0):
    print(text)
    subprocess.run(["echo", "a child says", text])
    if number:
        os.kill(os.getpid(), number)

def nothing():
    pass

def say_and_wait(text, name):
    print(text, flush=True)
    while not pathlib.Path(name).exists():
        time.sleep(0.01)
"""


@pytest.fixture
def pool(project: Project) -> Iterator[Pool]:
    project.store.mkdir()
    project.write("steps.py", STEPS)
    made = Pool(
        1,
        store=project.store,
        roots=Roots(project.root),
        settings=Settings(sinks=()).model_dump_json(),
        environ=for_worker(os.environ, threads=1, store=project.store),
    )
    yield made
    made.close()


def submit(pool: Pool, step: str, function: str, attempt: int = 1, **given: object) -> None:
    pool.submit(
        StepCall(
            uses="python.call",
            params={"file": "steps.py", "function": function, "arguments": given},
            info=RunInfo(run="r", pipeline="p", step=step, attempt=attempt),
            seed=0,
            threads=1,
            fingerprint="f",
            files=None,
            timeout=WITHIN,
        )
    )


def wait(pool: Pool) -> None:
    assert until(lambda: any(isinstance(message, Ended) for message in pool.poll(0.1)))


def logs(project: Project) -> dict[str, str]:
    return {path.stem: path.read_text() for path in (project.store / "runs").rglob("*.log")}


def test_a_step_has_a_log_of_what_it_and_its_children_print(pool: Pool, project: Project) -> None:
    for step in ("one", "other"):
        submit(pool, step, "say", text=f"this is {step}")
        wait(pool)
    found = logs(project)
    assert set(found) == {"one", "other"}
    for step in ("one", "other"):
        child, own, last = sorted(found[step].splitlines())
        assert (child, last) == (f"a child says this is {step}", f"this is {step}")
        assert own.startswith("python.call attempt 1: ")
    assert {path.stat().st_mode & 0o077 for path in (project.store / "runs").rglob("*.log")} == {0}


def test_a_step_that_ends_without_a_word_has_no_log(pool: Pool, project: Project) -> None:
    steplog_of_silent = steplog.path_of(project.store, "r", "silent")
    submit(pool, "silent", "nothing")
    wait(pool)
    assert not steplog_of_silent.exists() or steplog_of_silent.read_text().startswith("python.call attempt 1: ")


def test_a_step_that_takes_its_time_has_its_log_while_it_runs(pool: Pool, project: Project) -> None:
    log = steplog.path_of(project.store, "r", "slow")
    submit(pool, "slow", "say_and_wait", text="begun", name="go")
    assert until(lambda: not pool.poll(0.05) and log.exists() and "begun" in log.read_text())
    (project.root / "go").touch()
    wait(pool)
    submit(pool, "next", "say", text="another step")
    wait(pool)
    found = logs(project)
    assert found["slow"].splitlines()[0] == "begun"
    assert "another step" in found["next"] and "another step" not in found["slow"]


def test_what_a_step_printed_before_it_was_killed_is_in_its_log(pool: Pool, project: Project) -> None:
    submit(pool, "a", "say", text="my last words", number=9)
    wait(pool)
    assert "my last words" in logs(project)["a"]
    assert not list((project.store / "tmp").rglob("*.log"))


def test_the_log_of_a_further_attempt_follows_that_of_the_first(pool: Pool, project: Project) -> None:
    for attempt in (1, 2):
        submit(pool, "a", "say", attempt, text=f"try {attempt}")
        wait(pool)
    said = logs(project)["a"]
    assert said.index("try 1") < said.index("attempt 1: ") < said.index("try 2") < said.index("attempt 2: ")


def test_a_file_system_without_links_has_logs_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    log = steplog.path_of(tmp_path, "r", "group/a")
    for text in ("first\n", "second\n"):
        draft = tmp_path / "draft"
        draft.write_text(text)
        steplog.keep(draft, log)
        assert not draft.exists()
    assert log.read_text() == "first\nsecond\n"
    assert log.stat().st_mode & 0o077 == 0
