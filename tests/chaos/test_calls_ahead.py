"""Brief calls that workers are given ahead, while workers are killed, calls cancelled and some take long or too long."""

from __future__ import annotations

import contextlib
import os
import random
import signal
from collections.abc import Iterator

import pytest

from e2i.catalog.context import RunInfo
from e2i.settings import Settings
from e2i.workers.environment import for_worker
from e2i.workers.executor import Ended, StepCall
from e2i.workers.pool import Pool
from e2i.workspace.paths import Roots
from project import Project, until

CALLS = 500
STEPS = """
import time

def note(name, seconds):
    with open(name, "a") as file:
        file.write("x")
    time.sleep(seconds)
"""


@pytest.fixture
def pool(project: Project) -> Iterator[Pool]:
    project.store.mkdir()
    project.write("steps.py", STEPS)
    made = Pool(
        2,
        store=project.store,
        roots=Roots(project.root),
        settings=Settings(sinks=()).model_dump_json(),
        environ=for_worker(os.environ, threads=1, store=project.store),
    )
    yield made
    made.close()


def call(step: str, chance: random.Random) -> StepCall:
    given = {"name": step, "seconds": chance.choice([0.0] * 60 + [0.03, 0.2])}
    return StepCall(
        uses="python.call",
        params={"file": "steps.py", "function": "note", "arguments": given},
        info=RunInfo(run="r", pipeline="p", step=step),
        seed=0,
        threads=1,
        fingerprint="f",
        files=None,
        timeout=chance.choice([60.0] * 40 + [0.05]),
    )


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_every_call_ends_once_and_is_begun_at_most_once(pool: Pool, project: Project, seed: int) -> None:
    chance = random.Random(seed)
    waiting = [f"s{number}" for number in range(CALLS)]
    under_way: set[str] = set()
    found: dict[str, str | None] = {}

    def carry_on() -> bool:
        while waiting and pool.free() > 0:
            under_way.add(waiting[-1])
            pool.submit(call(waiting.pop(), chance))
        if chance.random() < 0.02 and (workers := project.processes("workers.worker")):
            with contextlib.suppress(ProcessLookupError):  # it was about to be replaced
                os.kill(chance.choice(workers), signal.SIGKILL)
        if chance.random() < 0.05:
            pool.cancel(chance.choice(sorted(under_way)))
        for message in pool.poll(0.5):
            assert isinstance(message, Ended) and message.step not in found
            found[message.step] = message.failure.code if message.failure else None
            under_way.remove(message.step)
        return len(found) == CALLS

    assert until(carry_on, within=300)
    begun = {step: (project.root / step).read_text() for step in found if (project.root / step).exists()}
    assert set(begun.values()) <= {"x", ""}  # empty: killed between opening the file and writing to it
    assert {begun.get(step) for step, code in found.items() if code is None} == {"x"}
    assert set(found.values()) <= {None, "cancelled", "timeout", "worker-lost"}
