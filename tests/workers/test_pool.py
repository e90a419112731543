from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from e2i.catalog.context import RunInfo
from e2i.settings import Settings
from e2i.workers.environment import for_worker
from e2i.workers.executor import FULL_AFFINITY, Ended, OnDemand, StepCall
from e2i.workers.pool import Pool
from e2i.workspace.paths import Roots
from project import WITHIN, Project, until


@pytest.fixture
def pool(project: Project) -> Iterator[Pool]:
    project.store.mkdir()
    made = Pool(
        2,
        store=project.store,
        roots=Roots(project.root),
        settings=Settings(sinks=()).model_dump_json(),
        environ=for_worker(os.environ, threads=1, store=project.store),
    )
    yield made
    made.close()


def call(step: str, uses: str = "debug.echo", timeout: float = WITHIN, **params: object) -> StepCall:
    info = RunInfo(run="r", pipeline="p", step=step)
    return StepCall(
        uses=uses, params=params, info=info, seed=0, threads=1, fingerprint="f", files=None, timeout=timeout
    )


def ended(pool: Pool, count: int) -> dict[str, Ended]:
    found: dict[str, Ended] = {}

    def enough() -> bool:
        found.update({message.step: message for message in pool.poll(0.2) if isinstance(message, Ended)})
        return len(found) >= count

    assert until(enough)
    return found


def code(message: Ended) -> str | None:
    return message.failure.code if message.failure else None


def test_calls_side_by_side_each_come_to_an_end(pool: Pool) -> None:
    assert pool.free() == 2
    pool.submit(call("a", value=1))
    pool.submit(call("b", uses="debug.fail", message="no"))
    assert pool.free() == 0
    found = ended(pool, 2)
    assert found["a"].outputs == {"value": 1}
    assert found["b"].failure is not None and found["b"].failure.message == "no"
    assert pool.free() == 2


def test_a_warm_worker_is_used_again(pool: Pool, project: Project) -> None:
    for step in "abc":
        pool.submit(call(step))
        ended(pool, 1)
    assert len(project.processes("workers.worker")) == 1


def test_what_is_foreseen_gets_a_worker_ready(pool: Pool, project: Project) -> None:
    pool.preload(["debug.echo", "debug.sleep"])
    assert until(lambda: len(project.processes("workers.worker")) == 1)
    pool.submit(call("a"))
    ended(pool, 1)
    assert len(project.processes("workers.worker")) == 1


def test_a_worker_is_started_before_there_is_a_call_only_for_what_is_certain(pool: Pool, project: Project) -> None:
    executor = OnDemand(2, lambda: pool)
    executor.preload(["debug.sleep"])
    executor.preload([], certain=True)
    assert project.processes() == []
    executor.preload(["debug.sleep"], certain=True)
    assert until(lambda: len(project.processes("workers.worker")) == 1)


def test_a_time_limit_and_a_cancellation_end_a_call_and_its_worker(pool: Pool) -> None:
    pool.submit(call("late", uses="debug.sleep", timeout=1.0, seconds=600))
    pool.submit(call("unwanted", uses="debug.sleep", seconds=600))
    pool.cancel("unwanted")
    pool.cancel("unwanted")
    found = ended(pool, 2)
    assert [code(found[step]) for step in ("late", "unwanted")] == ["timeout", "cancelled"]
    pool.submit(call("next", value=2))
    assert ended(pool, 1)["next"].outputs == {"value": 2}


def test_a_worker_that_is_killed_takes_its_call_along_and_a_new_one_takes_the_next(
    pool: Pool, project: Project
) -> None:
    pool.submit(call("a", uses="debug.sleep", seconds=600))
    assert until(lambda: project.processes("workers.worker"))
    for pid in project.processes("workers.worker"):
        os.kill(pid, signal.SIGKILL)
    failure = ended(pool, 1)["a"].failure
    assert failure is not None
    assert (failure.code, failure.lost, failure.unavailable) == ("worker-lost", True, False)
    pool.submit(call("b", value=1))
    assert ended(pool, 1)["b"].failure is None


def test_large_parameters_and_results_go_through(pool: Pool) -> None:
    value = ["x" * 1_000] * 2_000
    pool.submit(call("a", value=value))
    assert ended(pool, 1)["a"].outputs == {"value": value}


def test_a_call_that_makes_no_sense_is_a_failure_not_a_crash(pool: Pool) -> None:
    pool.submit(call("a", uses="debug.ecko"))
    pool.submit(replace(call("b", uses="debug.sleep"), params={"seconds": "soon"}))
    found = ended(pool, 2)
    assert [code(found[step]) for step in "ab"] == ["unknown-action", "bad-action-parameter"]


def test_closing_leaves_no_process_and_can_be_repeated(pool: Pool, project: Project) -> None:
    pool.submit(call("a", uses="debug.sleep", seconds=600))
    assert until(lambda: project.processes("workers.worker"))
    pool.close()
    pool.close()
    assert until(lambda: project.processes() == [])  # what was killed is going


def test_those_that_are_dismissed_end_while_the_engine_does_other_things(pool: Pool, project: Project) -> None:
    pool.submit(call("a", value=1))
    ended(pool, 1)
    pool.dismiss()
    pool.dismiss()
    assert until(lambda: project.processes("workers.worker") == [])
    pool.close()


def test_the_cpu_time_of_dismissed_workers_is_that_of_the_engines_children(pool: Pool) -> None:
    before = os.times().children_user
    pool.preload(["dataset.hcp"])
    pool.submit(call("a", value=1))  # answered once pandas is imported
    ended(pool, 1)
    pool.dismiss()
    pool.close()
    assert os.times().children_user - before > 0.1


def test_how_ready_workers_without_a_call_are_is_known(pool: Pool) -> None:
    assert pool.affinity("debug.echo") == 0
    pool.submit(call("a", value=1))
    ended(pool, 1)
    assert (pool.affinity("debug.echo"), pool.affinity("model.train")) == (FULL_AFFINITY, 0)
    pool.submit(call("b", uses="python.call", file="none.py", function="f"))
    ended(pool, 1)
    assert pool.affinity("debug.echo") in (1, FULL_AFFINITY)  # WARMEST if another worker took it
    pool.submit(call("c", uses="debug.sleep", seconds=600))
    pool.submit(call("d", uses="debug.sleep", seconds=600))
    assert pool.affinity("debug.echo") == 0


def test_workers_end_when_the_engine_is_gone(project: Project, tmp_path: Path) -> None:
    project.write("s.yaml", "version: 1\nname: s\nsteps: {a: {uses: debug.sleep, with: {seconds: 600}}}\n")
    with project.start("run", "s.yaml") as process:
        assert until(lambda: project.processes("workers.worker"))
        process.kill()
    assert until(lambda: not project.processes())
