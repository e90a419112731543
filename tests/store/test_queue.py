from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2i.resilience.processes import process_identity
from e2i.store.queue import FRESH, Queue, Reservation, holds_upstream
from project import ENGINE, until

HOLDER = """
import sys, time
from pathlib import Path
from e2i.store.queue import Queue
reservation = Queue(Path(sys.argv[1]), "runs").enter(int(sys.argv[2]), sys.argv[3])
while reservation.advance(int(sys.argv[4])) is not None:
    time.sleep(0.01)
print("held", flush=True)
time.sleep(300)
"""
CROWD = """
import random, sys, time
from pathlib import Path
from e2i.store.queue import Queue
root, limit = Path(sys.argv[1]), int(sys.argv[2])
queue = Queue(root, "runs")
for _ in range(int(sys.argv[3])):
    amount = random.randint(1, limit)
    reservation = queue.enter(amount)
    while reservation.advance(limit) is not None:
        time.sleep(0.001)
    held = sum(place.amount for place in queue.places() if place.held)
    assert held <= limit, held
    reservation.leave()
"""


@pytest.fixture
def started(tmp_path: Path) -> Iterator[list[subprocess.Popen[str]]]:
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        process.kill()
        process.communicate()


def start(script: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ENGINE)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def holder(root: Path, amount: int = 1, run: str = "", limit: int = 1) -> subprocess.Popen[str]:
    return start(HOLDER, root, amount, run, limit)


def is_granted(reservation: Reservation, limit: int | None) -> bool:
    return reservation.advance(limit) is None


def test_places_are_granted_in_the_order_of_arrival(tmp_path: Path) -> None:
    queue = Queue(tmp_path, "runs")
    first, second, third = (queue.enter(1, run) for run in "abc")
    assert is_granted(first, 1)
    assert not is_granted(third, 1)
    waiting = second.advance(1)
    assert waiting is not None
    assert ([place.run for place in waiting.held], waiting.ahead) == (["a"], ())
    behind = third.advance(1)
    assert behind is not None
    assert [place.run for place in behind.ahead] == ["b"]
    first.leave()
    assert not is_granted(third, 1)
    assert is_granted(second, 1)
    second.leave()
    assert is_granted(third, 1)


def test_a_small_amount_does_not_overtake_a_large_one_that_waits(tmp_path: Path) -> None:
    queue = Queue(tmp_path, "memory")
    running, large, small = queue.enter(6), queue.enter(8), queue.enter(1)
    assert is_granted(running, 10)
    assert not is_granted(large, 10)
    assert not is_granted(small, 10)
    running.leave()
    assert is_granted(large, 10)
    assert is_granted(small, 10)


def test_more_than_the_limit_is_granted_alone(tmp_path: Path) -> None:
    queue = Queue(tmp_path, "memory")
    small, huge = queue.enter(1), queue.enter(100)
    assert is_granted(small, 10)
    assert not is_granted(huge, 10)
    small.leave()
    assert is_granted(huge, 10)
    assert not is_granted(queue.enter(1), 10)


def test_without_a_limit_a_place_is_granted_at_once_and_counts_for_others(tmp_path: Path) -> None:
    queue = Queue(tmp_path, "runs")
    assert is_granted(queue.enter(1), None)
    assert not is_granted(queue.enter(1), 1)


def test_the_place_of_a_killed_process_is_free(tmp_path: Path, started: list[subprocess.Popen[str]]) -> None:
    started.append(holder(tmp_path))
    assert started[0].stdout is not None
    assert started[0].stdout.readline() == "held\n"
    reservation = Queue(tmp_path, "runs").enter(1)
    assert not is_granted(reservation, 1)
    started[0].send_signal(signal.SIGKILL)
    started[0].wait()
    assert is_granted(reservation, 1)
    assert [path.name for path in (tmp_path / "queue" / "runs").iterdir()] == [reservation.place.name]


def test_a_killed_process_that_waited_delays_nobody(tmp_path: Path, started: list[subprocess.Popen[str]]) -> None:
    queue = Queue(tmp_path, "runs")
    first = queue.enter(1)
    assert is_granted(first, 1)
    started.append(holder(tmp_path))
    assert until(lambda: len(queue.places()) == 2)
    last = queue.enter(1)
    started[0].kill()
    started[0].wait()
    first.leave()
    assert is_granted(last, 1)


def test_a_stopped_process_that_waits_is_passed_over_and_keeps_its_number(tmp_path: Path) -> None:
    clock = [time.time()]
    queue = Queue(tmp_path, "runs", now=lambda: clock[0])
    first, stopped, last = (queue.enter(1) for _ in range(3))
    assert is_granted(first, 1)
    assert not is_granted(stopped, 1)
    clock[0] += FRESH + 1
    first.leave()
    assert is_granted(last, 1)
    assert not is_granted(stopped, 1)
    last.leave()
    assert is_granted(stopped, 1)


def test_the_run_of_a_place_is_named_later(tmp_path: Path) -> None:
    queue = Queue(tmp_path, "runs")
    reservation = queue.enter(1)
    assert is_granted(reservation, 1)
    assert reservation.place.who == f"process {os.getpid()}"
    reservation.name("20261123-024937-0862b0")
    assert [place.who for place in queue.places()] == ["run 20261123-024937-0862b0"]
    reservation.name("../../elsewhere")
    assert [place.run for place in queue.places()] == ["20261123-024937-0862b0"]
    reservation.leave()
    reservation.leave()
    assert queue.places() == []


def test_foreign_files_in_the_folder_are_removed(tmp_path: Path) -> None:
    queue = Queue(tmp_path, "runs")
    reservation = queue.enter(1)
    (tmp_path / "queue" / "runs" / "000000000000.held.1.1:1:other-boot.x").touch()
    (tmp_path / "queue" / "runs" / "nonsense").touch()
    assert is_granted(reservation, 1)
    assert len(list((tmp_path / "queue" / "runs").iterdir())) == 1


def test_a_process_started_by_a_holder_is_inside_its_place(tmp_path: Path) -> None:
    queue = Queue(tmp_path, "runs")
    assert not holds_upstream(queue)
    reservation = queue.enter(1)
    assert is_granted(reservation, 1)
    assert not holds_upstream(queue)  # of this process itself
    script = "import sys; from pathlib import Path; from e2i.store.queue import Queue, holds_upstream\n"
    script += "print(holds_upstream(Queue(Path(sys.argv[1]), 'runs')))"
    child = start(script, tmp_path)
    assert child.communicate()[0] == "True\n"
    assert reservation.place.holder == process_identity()


@pytest.mark.timeout(60)
def test_a_crowd_never_holds_more_than_the_limit_even_when_some_are_killed(tmp_path: Path) -> None:
    crowd = [start(CROWD, tmp_path, 4, 15) for _ in range(6)]
    for _ in range(3):
        victim = holder(tmp_path, amount=3, limit=4)
        assert victim.stdout is not None
        victim.stdout.readline()  # its turn comes, and it never gives it back
        victim.kill()
        victim.communicate()
    for process in crowd:
        _, errors = process.communicate(timeout=50)
        assert process.returncode == 0, errors
    assert Queue(tmp_path, "runs").places() == []
