"""Calls that a worker is given before it has ended the one before: each is executed once, whatever becomes of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from e2i.catalog.context import RunInfo
from e2i.settings import Settings
from e2i.workers import pool, process
from e2i.workers.environment import for_worker
from e2i.workers.executor import Ended, StepCall
from e2i.workers.pool import Pool
from e2i.workspace.paths import Roots
from project import WITHIN, Project, until

STEPS = """
import os, pathlib, signal, time

def note(name):
    with open(name, "a") as file:
        file.write("x")
    return os.getpid()

def wait_for(name):
    while not pathlib.Path(name).exists():
        time.sleep(0.01)
    return os.getpid()

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def leave_files_open():
    for _ in range(500):
        os.open(os.devnull, os.O_RDONLY)
    return os.getpid()
"""


@pytest.fixture
def open_pool(project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], Pool]]:
    """Opens pools whose workers have executed a call; whatever takes less than minutes is brief."""
    project.store.mkdir()
    project.write("steps.py", STEPS)
    monkeypatch.setattr(process, "BRIEF", 600.0)
    monkeypatch.setattr(pool, "BRIEF", 600.0)
    opened: list[Pool] = []

    def open_one(size: int) -> Pool:
        made = Pool(
            size,
            store=project.store,
            roots=Roots(project.root),
            settings=Settings(sinks=()).model_dump_json(),
            environ=for_worker(os.environ, threads=1, store=project.store),
        )
        opened.append(made)
        go = project.root / "warm"
        for number in range(size):
            made.submit(call(f"warm-{number}", "wait_for", name="warm"))
        go.touch()
        ended(made, size)
        return made

    yield open_one
    for made in opened:
        made.close()


def call(step: str, function: str, timeout: float = WITHIN, memory: int | None = None, **given: object) -> StepCall:
    return StepCall(
        uses="python.call",
        params={"file": "steps.py", "function": function, "arguments": given},
        info=RunInfo(run="r", pipeline="p", step=step),
        seed=0,
        threads=1,
        fingerprint="f",
        files=None,
        timeout=timeout,
        memory=memory,
    )


def ended(workers: Pool, count: int) -> dict[str, Ended]:
    found: dict[str, Ended] = {}

    def enough() -> bool:
        for message in workers.poll(0.05):
            if isinstance(message, Ended):
                assert message.step not in found
                found[message.step] = message
        return len(found) >= count

    assert until(enough)
    return found


def code(message: Ended) -> str | None:
    return message.failure.code if message.failure else None


def test_brief_calls_are_given_ahead_and_each_is_executed_once(
    open_pool: Callable[[int], Pool], project: Project
) -> None:
    workers = open_pool(1)
    workers.submit(call("s0", "note", name="s0"))
    assert workers.free() > 1
    for number in range(1, 10):
        workers.submit(call(f"s{number}", "note", name=f"s{number}"))
    found = ended(workers, 10)
    assert {code(end) for end in found.values()} == {None}
    assert {(project.root / f"s{number}").read_text() for number in range(10)} == {"x"}


def test_there_is_no_room_ahead_behind_a_call_that_takes_its_time(
    open_pool: Callable[[int], Pool], project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = open_pool(1)
    workers.submit(call("long", "wait_for", name="go"))
    assert workers.free() > 0
    monkeypatch.setattr(process, "BRIEF", 0.0)
    assert workers.free() == 0
    (project.root / "go").touch()
    ended(workers, 1)


def test_what_stands_behind_a_long_call_is_executed_by_another_worker(
    open_pool: Callable[[int], Pool], project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = open_pool(2)
    for step in ("one", "other"):
        workers.submit(call(step, "wait_for", name=step))
    for step in ("one", "other"):  # each stands behind the call that waits for it
        workers.submit(call(f"frees {step}", "note", name=step))
    for module in (pool, process):
        monkeypatch.setattr(module, "BRIEF", 0.0)
    workers.poll(0)
    (project.root / "other").touch()
    found = ended(workers, 4)
    assert {code(end) for end in found.values()} == {None}


def test_a_worker_that_dies_takes_along_only_what_it_had_begun(
    open_pool: Callable[[int], Pool], project: Project
) -> None:
    workers = open_pool(1)
    workers.submit(call("dies", "die"))
    for step in ("a", "b"):
        workers.submit(call(step, "note", name=step))
    found = ended(workers, 3)
    assert {step: code(end) for step, end in found.items()} == {"dies": "worker-lost", "a": None, "b": None}
    assert [(project.root / step).read_text() for step in ("a", "b")] == ["x", "x"]


def test_a_worker_that_is_to_be_replaced_begins_nothing_more(open_pool: Callable[[int], Pool]) -> None:
    workers = open_pool(1)
    workers.submit(call("worn", "leave_files_open"))
    workers.submit(call("next", "note", name="next"))
    found = ended(workers, 2)
    assert found["next"].outputs["value"] != found["worn"].outputs["value"]


def test_the_time_limit_of_one_call_is_not_that_of_those_behind_it(open_pool: Callable[[int], Pool]) -> None:
    workers = open_pool(1)
    workers.submit(call("late", "wait_for", timeout=0.5, name="never"))
    workers.submit(call("next", "note", name="next"))
    found = ended(workers, 2)
    assert {step: code(end) for step, end in found.items()} == {"late": "timeout", "next": None}


def test_a_call_that_is_cancelled_before_it_is_begun_never_is(
    open_pool: Callable[[int], Pool], project: Project
) -> None:
    workers = open_pool(1)
    workers.submit(call("long", "wait_for", name="go"))
    workers.submit(call("unwanted", "note", name="unwanted"))
    workers.submit(call("next", "note", name="next"))
    workers.cancel("unwanted")
    assert code(ended(workers, 1)["unwanted"]) == "cancelled"
    (project.root / "go").touch()
    assert set(ended(workers, 2)) == {"long", "next"}
    assert not (project.root / "unwanted").exists()


def test_after_calls_were_taken_back_none_is_given_ahead_until_the_worker_has_passed_them(
    open_pool: Callable[[int], Pool], project: Project
) -> None:
    workers = open_pool(1)
    workers.submit(call("long", "wait_for", name="go"))
    workers.submit(call("unwanted", "note", name="unwanted"))
    workers.cancel("unwanted")
    assert workers.free() == 0
    (project.root / "go").touch()
    ended(workers, 2)
    workers.submit(call("after", "note", name="after"))
    assert workers.free() == 0
    ended(workers, 1)
    workers.submit(call("later", "wait_for", name="go"))
    assert workers.free() > 0
    ended(workers, 1)


def test_a_call_with_a_limit_of_its_own_waits_for_a_worker_without_a_call(
    open_pool: Callable[[int], Pool], project: Project
) -> None:
    workers = open_pool(1)
    whole = workers.free_memory()
    workers.submit(call("long", "wait_for", name="go"))
    free = workers.free()
    workers.submit(call("limited", "note", memory=300_000_000, name="limited"))
    assert workers.free() == free - 1
    assert whole - workers.free_memory() == 300_000_000
    (project.root / "go").touch()
    assert {code(end) for end in ended(workers, 2).values()} == {None}
