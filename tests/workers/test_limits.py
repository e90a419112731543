"""Resource limits of steps, from the spec and the settings to the end of the run."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from e2i.errors import BadInput
from e2i.execution.events import StepFinished, StepStarted
from e2i.settings import Settings
from e2i.workers import memory, pool
from e2i.workers.environment import for_worker
from e2i.workers.executor import Ended, Failure, Message, StepCall
from e2i.workspace.paths import Roots
from project import WITHIN, Project, until

MB = 1_000_000
EAT = "def eat():\n    held = []\n    while True:\n        held.append(bytearray(1_000_000))\n"


def spec(resources: str) -> str:
    return f"""
version: 1
name: eats
steps:
  eats: {{uses: python.call, {resources} with: {{file: eat.py, function: eat}}}}
  other: {{uses: debug.sleep, with: {{seconds: 0.1}}}}
"""


def test_a_step_that_wants_more_than_it_may_ends_alone(project: Project) -> None:
    project.write("eat.py", EAT)
    record = project.run(spec("resources: {memory: 150MB},"))
    error = record.steps["eats"].error
    assert error is not None and error.code == "out-of-memory"
    assert "150MB" in error.message
    assert record.steps["other"].status.value == "succeeded"


def test_the_settings_say_what_a_step_may_hold_that_says_nothing(project: Project) -> None:
    project.write("config/default.yaml", "sinks: []\nresources: {memory: 150MB}\n")
    project.write("eat.py", EAT)
    error = project.run(spec("")).steps["eats"].error
    assert error is not None and (error.code, "150MB" in error.message) == ("out-of-memory", True)


def test_a_step_that_asks_for_more_than_the_operator_allows_is_refused_before_anything_runs(project: Project) -> None:
    project.write("config/default.yaml", "sinks: []\nresources: {max_memory: 1GB}\n")
    project.write("eat.py", EAT)
    with pytest.raises(BadInput, match="step 'eats' requests 2GB of memory, but the limit is 1GB") as raised:
        project.run(spec("resources: {memory: 2GB},"))
    assert raised.value.code == "too-much-memory"
    assert not project.store.exists()


def test_steps_whose_memory_does_not_fit_side_by_side_run_one_after_the_other(project: Project) -> None:
    share = f"{round(memory.machine() * 0.6)}B"
    text = f"""
version: 1
name: shares
defaults: {{resources: {{memory: {share}}}}}
steps:
  one: {{{project.hold()}}}
  two: {{uses: debug.sleep, with: {{seconds: 0, value: 2}}}}
  small: {{uses: python.call, resources: {{memory: 100MB}}, with: {{file: go.py, function: go}}}}
"""
    project.write("go.py", "def go():\n    open('go', 'w').close()\n")
    assert project.run(text).status == "succeeded"  # the first step ends once the small one has run beside it
    order = [(type(event), event.step) for event in project.events if event.step]
    assert order.index((StepStarted, "two")) > order.index((StepFinished, "one"))
    assert order.index((StepStarted, "small")) < order.index((StepFinished, "one"))


def test_a_step_that_asks_for_more_than_there_is_runs_alone(project: Project) -> None:
    share = f"{memory.machine() * 2}B"
    text = f"""
version: 1
name: huge
steps:
  one: {{uses: debug.sleep, resources: {{memory: {share}}}, with: {{seconds: 0, value: 1}}}}
"""
    assert project.run(text).status == "succeeded"


class Starving:
    """An executor on a machine that is always out of memory."""

    def __init__(self, size: int, **_: object) -> None:
        self.calls: list[StepCall] = []

    def free(self) -> int:
        return 1 - len(self.calls)

    def free_memory(self) -> int:
        return 10**12

    def is_idle(self) -> bool:
        return not self.calls

    def affinity(self, uses: str) -> int:
        return 0

    def submit(self, call: StepCall) -> None:
        self.calls.append(call)

    def preload(self, uses: Sequence[str], *, certain: bool = False) -> None: ...

    def poll(self, seconds: float) -> list[Message]:
        failure = Failure("out-of-memory", "the kernel killed it", lost=True)
        return [Ended(self.calls.pop().info.step, 0.0, failure=failure) for _ in self.calls[:1]]

    def cancel(self, step: str) -> None: ...

    def dismiss(self) -> None: ...

    def close(self) -> None: ...


def test_a_kill_by_the_kernel_is_tried_once_more(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "Pool", Starving)
    text = "version: 1\nname: s\nsteps: {a: {uses: debug.sleep, retry: {attempts: ATTEMPTS, initial: 1ms}, with: {seconds: 0}}}"
    assert project.run(text.replace("ATTEMPTS", "9")).steps["a"].attempts == 2
    assert project.run(text.replace("ATTEMPTS", "1")).steps["a"].attempts == 1


@pytest.fixture
def workers(project: Project) -> Iterator[pool.Pool]:
    project.store.mkdir()
    made = pool.Pool(
        2,
        store=project.store,
        roots=Roots(project.root),
        settings=Settings(sinks=()).model_dump_json(),
        environ=for_worker(os.environ, threads=1, store=project.store),
    )
    yield made
    made.close()


def test_a_call_goes_to_the_worker_that_has_seen_its_data(workers: pool.Pool, project: Project) -> None:
    from e2i.catalog.context import RunInfo

    project.write(
        "who.py", "import os, time\ndef who(data=None, seconds=0):\n    time.sleep(seconds)\n    return os.getpid()\n"
    )

    def call(step: str, letter: str, seconds: float = 0.0) -> StepCall:
        data = {"type": "other", "digest": "sha256:" + 64 * letter}
        arguments = {"data": data, "seconds": seconds}
        info = RunInfo(run="r", pipeline="p", step=step)
        params = {"file": "who.py", "function": "who", "arguments": arguments}
        return StepCall(
            uses="python.call", params=params, info=info, seed=0, threads=1, fingerprint="f", files=None, timeout=WITHIN
        )

    def ended(*calls: StepCall) -> dict[str, int]:
        found: dict[str, int] = {}
        for each in calls:
            workers.submit(each)

        def enough() -> bool:
            found.update({m.step: m.outputs["value"] for m in workers.poll(0.1) if isinstance(m, Ended)})
            return len(found) == len(calls)

        assert until(enough)
        return found

    first = ended(call("a", "a", 0.3), call("b", "b", 0.3))
    assert first["a"] != first["b"]
    for letter in "abba":
        assert ended(call("again", letter))["again"] == first[letter]


def test_what_this_process_holds_is_counted() -> None:
    def grown() -> int:
        before = memory.held([os.getpid()])
        with mmap.mmap(
            -1, 50 * MB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        ) as held:  # new pages, none that were freed
            for _ in range(50):
                held.write(b"x" * MB)
            return memory.held([os.getpid()]) - before

    assert any(45 * MB < grown() < 80 * MB for _ in range(3)), "threads of earlier tests may hold more by themselves"
    assert memory.held_exactly([os.getpid()]) > 45 * MB
    assert memory.machine() > 50 * MB
    assert memory.held([2**22 + 1]) == 0
    assert os.getpid() in memory.tree(os.getpid())


def test_a_table_that_is_mapped_does_not_count(tmp_path: Path) -> None:
    import mmap

    path = tmp_path / "large"
    path.write_bytes(bytes(50 * MB))
    before = memory.held([os.getpid()])
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert sum(mapped[:: mmap.PAGESIZE]) == 0
        assert memory.held([os.getpid()]) - before < 10 * MB
