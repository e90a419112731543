"""Worker processes in real trouble: steps that want all the memory, that do not end, that leave things behind."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2i.catalog.context import RunInfo
from e2i.settings import Settings
from e2i.workers.environment import for_worker
from e2i.workers.executor import Ended, Failure, StepCall
from e2i.workers.pool import Pool
from e2i.workspace.paths import Roots
from project import WITHIN, Project, until

STEPS = """
import json, os, signal, subprocess, sys, tempfile, threading, time
from multiprocessing import shared_memory

def eat(chunk):
    held = []
    while True:
        held.append(bytearray(chunk))

def eat_in_a_child(chunk):
    code = f"held = []\\nwhile True: held.append(bytearray({chunk}))"
    return subprocess.run([sys.executable, "-c", code], stderr=subprocess.DEVNULL).returncode

def eat_slowly_in_children():
    code = "import time; held = bytearray(120_000_000); time.sleep(600)"
    for _ in range(3):
        subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    time.sleep(600)

def hold(size, seconds):
    held = bytearray(size)
    time.sleep(seconds)
    return len(held)

def deaf(children):
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    for _ in range(children):
        subprocess.Popen(["sleep", "600"], start_new_session=True)
    daemon()
    time.sleep(600)

def daemon():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(600)
        os._exit(0)

def stop():
    os.kill(os.getpid(), signal.SIGSTOP)

def stop_guardian():
    os.kill(os.getppid(), signal.SIGSTOP)
    time.sleep(600)

def die(number):
    subprocess.Popen(["sleep", "600"], start_new_session=True)
    os.kill(os.getpid(), number)
    time.sleep(600)

def pid():
    return os.getpid()

def open_files(count):
    for _ in range(count):
        os.open(os.devnull, os.O_RDONLY)
    return os.getpid()

def start_threads(count):
    for _ in range(count):
        threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
    return os.getpid()

def share(name):
    segment = shared_memory.SharedMemory(name, create=True, size=1000)
    globals()["kept"] = segment
    return os.getpid()

def files(count):
    for number in range(count):
        with open(os.path.join(tempfile.gettempdir(), str(number)), "w"):
            pass
    shell = subprocess.run(["mktemp"], capture_output=True, text=True).stdout.strip()
    return [os.environ["TMPDIR"], tempfile.gettempdir(), os.path.dirname(shell)]

def disorder():
    os.chdir("/")
    os.umask(0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)

def order():
    mask = os.umask(0o077)
    return [os.getcwd(), mask, signal.getsignal(signal.SIGTERM) == signal.SIG_DFL]

COUNT = "import os; print(len(os.sched_getaffinity(0)))"

def cores():
    return [len(os.sched_getaffinity(0)), int(subprocess.check_output([sys.executable, "-c", COUNT]))]

def deep():
    value = []
    for _ in range(200):
        value = [value]
    return value

def very_deep():
    value = []
    for _ in range(100_000):
        value = [value]
    return value

def large():
    return "x" * (17 << 20)
"""
MB = 1_000_000


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


def call(
    step: str,
    function: str,
    *,
    timeout: float = WITHIN,
    memory: int | None = None,
    cpus: int | None = None,
    **given: object,
) -> StepCall:
    return StepCall(
        uses="python.call",
        params={"file": "steps.py", "function": function, "arguments": given},
        info=RunInfo(run="r", pipeline="p", step=step),
        seed=0,
        threads=1,
        fingerprint="f",
        timeout=timeout,
        memory=memory,
        cpus=cpus,
    )


def ended(pool: Pool, *calls: StepCall) -> list[Ended]:
    """Carries the calls out side by side."""
    found: dict[str, Ended] = {}
    for each in calls:
        pool.submit(each)

    def enough() -> bool:
        found.update({message.step: message for message in pool.poll(0.2) if isinstance(message, Ended)})
        return len(found) == len(calls)

    assert until(enough)
    return [found[each.info.step] for each in calls]


def outcome(pool: Pool, step: StepCall) -> object:
    (end,) = ended(pool, step)
    return end.failure or end.outputs["value"]


def failure(pool: Pool, step: StepCall) -> Failure:
    (end,) = ended(pool, step)
    assert end.failure is not None
    return end.failure


# Memory


@pytest.mark.parametrize("chunk", [1 * MB, 10_000 * MB])
def test_a_step_that_allocates_without_end_ends_alone_and_its_limit_is_named(pool: Pool, chunk: int) -> None:
    before = memory_of_this_process()
    eating, other = ended(pool, call("a", "eat", memory=200 * MB, chunk=chunk), call("b", "hold", size=1, seconds=0.5))
    assert eating.failure is not None
    assert (eating.failure.code, eating.failure.lost) == ("out-of-memory", False)
    assert "200MB" in eating.failure.message and "held up to" in eating.failure.message
    assert other.outputs["value"] == 1
    assert memory_of_this_process() - before < 50 * MB


def test_what_the_children_of_a_step_hold_counts(pool: Pool, project: Project) -> None:
    found = failure(pool, call("a", "eat_slowly_in_children", memory=250 * MB))
    assert found.code == "out-of-memory"
    assert until(lambda: not project.processes("held"))


def test_a_child_that_allocates_without_end_is_refused_more(pool: Pool) -> None:
    assert outcome(pool, call("a", "eat_in_a_child", memory=200 * MB, chunk=10_000 * MB)) == 1


def test_a_limit_is_for_one_call(pool: Pool) -> None:
    assert outcome(pool, call("a", "hold", memory=100 * MB, size=1, seconds=0)) == 1
    assert outcome(pool, call("b", "hold", size=600 * MB, seconds=0)) == 600 * MB


def test_what_runs_takes_of_the_room_for_others(pool: Pool) -> None:
    whole = pool.room()
    assert pool.is_idle()
    pool.submit(call("a", "hold", memory=300 * MB, size=1, seconds=600))
    assert not pool.is_idle()
    assert whole - pool.room() == 300 * MB


def test_a_step_is_held_to_its_cores_with_all_its_processes(pool: Pool) -> None:
    everything = len(os.sched_getaffinity(0))
    assert outcome(pool, call("a", "cores", cpus=1)) == [1, 1]
    assert outcome(pool, call("b", "cores")) == [everything, everything]


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def memory_of_this_process() -> int:
    fields = Path("/proc/self/statm").read_text().split()
    return (int(fields[1]) - int(fields[2])) * os.sysconf("SC_PAGE_SIZE")


GROUPS = Path("/sys/fs/cgroup/memory")


@pytest.mark.skipif(not os.access(GROUPS / "tasks", os.W_OK), reason="takes a control group that we may make")
def test_a_kill_by_the_kernel_for_want_of_memory_is_named(pool: Pool) -> None:
    group = Path(tempfile.mkdtemp(prefix="e2i-", dir=GROUPS))
    worker = outcome(pool, call("warm", "pid"))
    (group / "memory.limit_in_bytes").write_text(str(300 * MB))
    (group / "tasks").write_text(str(worker))
    try:
        found = failure(pool, call("a", "eat", chunk=1 * MB))
        assert (found.code, found.lost) == ("out-of-memory", True)
        assert "the kernel killed" in found.message
    finally:
        assert until(lambda: not (group / "tasks").read_text())
        group.rmdir()


# Ends


@pytest.mark.parametrize(("function", "given"), [("deaf", {"children": 2}), ("stop", {}), ("stop_guardian", {})])
def test_a_step_that_does_not_end_is_gone_with_all_its_children(
    pool: Pool, project: Project, function: str, given: dict[str, object]
) -> None:
    began = time.monotonic()
    assert failure(pool, call("a", function, timeout=1.5, **given)).code == "timeout"
    assert time.monotonic() - began < 1.5 + 10
    assert until(lambda: not project.processes(), within=2)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
def test_a_worker_that_dies_is_noticed_at_once_and_leaves_nothing(
    pool: Pool, project: Project, number: signal.Signals
) -> None:
    outcome(pool, call("warm", "pid"))
    began = time.monotonic()
    found = failure(pool, call("a", "die", number=int(number)))
    assert time.monotonic() - began < 2
    assert (found.code, found.lost) == ("worker-lost", True)
    assert f"signal {int(number)}" in found.message
    assert project.processes("sleep") == []


def test_a_worker_goes_with_its_guardian(pool: Pool, project: Project) -> None:
    outcome(pool, call("warm", "pid"))
    pool.submit(call("a", "hold", size=1, seconds=600))
    for pid in project.processes("guardian.py"):
        os.kill(pid, signal.SIGKILL)
    assert until(lambda: not project.processes())
    assert until(lambda: any(isinstance(message, Ended) for message in pool.poll(0.1)))


def test_a_step_that_ends_at_its_time_limit_has_one_verdict(pool: Pool) -> None:
    outcome(pool, call("warm", "pid"))
    verdicts: list[Ended] = []
    for number in range(6):
        verdicts += ended(pool, call(str(number), "hold", timeout=0.3, size=1, seconds=0.3))
        assert not any(isinstance(message, Ended) for message in pool.poll(0.05))
    assert all((verdict.failure is None) == (verdict.outputs.get("value") == 1) for verdict in verdicts)


def test_time_in_which_the_engine_was_stopped_does_not_count(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome(pool, call("warm", "pid"))
    pool.submit(call("a", "hold", timeout=2, size=1, seconds=1))
    now = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: now() + 100)
    messages = pool.poll(0.1)
    while not messages:
        messages = pool.poll(0.1)
    (end,) = messages
    assert isinstance(end, Ended) and end.failure is None


FREEZER = Path("/sys/fs/cgroup/freezer")


@pytest.mark.skipif(not os.access(FREEZER / "tasks", os.W_OK), reason="takes a freezer that we may use")
def test_a_process_that_cannot_be_killed_is_reported_and_left(pool: Pool, project: Project) -> None:
    group = Path(tempfile.mkdtemp(prefix="e2i-", dir=FREEZER))
    worker = outcome(pool, call("warm", "pid"))
    try:
        pool.submit(call("a", "hold", timeout=1, size=1, seconds=600))
        (group / "tasks").write_text(str(worker))
        (group / "freezer.state").write_text("FROZEN")
        began = time.monotonic()
        found: list[Ended] = []
        assert until(lambda: found.extend(m for m in pool.poll(0.1) if isinstance(m, Ended)) or found)
        pool.close()
        assert time.monotonic() - began < 1 + 5 + 5
        assert found[0].failure is not None
        assert found[0].failure.code == "timeout"
        assert f"process {worker} cannot be killed" in found[0].failure.message
    finally:
        (group / "freezer.state").write_text("THAWED")
        assert until(lambda: not project.processes())
        group.rmdir()


# Leavings


def test_temporary_files_go_to_a_folder_that_goes_with_the_step(pool: Pool) -> None:
    folders = outcome(pool, call("a", "files", count=3_000))
    assert isinstance(folders, list) and len(set(folders)) == 1
    assert not Path(folders[0]).exists()


def test_what_a_step_changes_about_its_process_is_changed_back(pool: Pool, project: Project) -> None:
    outcome(pool, call("a", "disorder"))
    assert outcome(pool, call("b", "order")) == [str(project.root), 0o077, True]


@pytest.mark.parametrize(("function", "count"), [("open_files", 500), ("start_threads", 100)])
def test_a_worker_that_was_left_in_disorder_is_replaced(
    pool: Pool, project: Project, function: str, count: int
) -> None:
    first = outcome(pool, call("a", function, count=count))
    second = outcome(pool, call("b", "pid"))
    assert outcome(pool, call("c", "pid")) == second != first
    assert "its worker process is replaced" in (project.store / "runs/r/logs/a.log").read_text()


def test_shared_memory_that_a_step_leaves_is_removed(pool: Pool) -> None:
    before = set(Path("/dev/shm").iterdir())
    name = f"e2i-test-{os.getpid()}"
    for step, each in enumerate((f"{name}-a", f"{name}-b")):
        outcome(pool, call(str(step), "share", name=each))
    pool.close()
    assert set(Path("/dev/shm").iterdir()) - before == set()


def test_the_engine_has_as_many_open_files_as_before(project: Project) -> None:
    project.store.mkdir()
    project.write("steps.py", STEPS)
    before = open_files()
    environ = for_worker(os.environ, threads=1, store=project.store)
    settings = Settings(sinks=()).model_dump_json()
    made = Pool(2, store=project.store, roots=Roots(project.root), settings=settings, environ=environ)
    ended(made, call("a", "open_files", count=500), call("b", "die", number=9))
    made.close()
    assert open_files() == before


# Too much


@pytest.mark.parametrize("function", ["deep", "very_deep", "large"])
def test_outputs_that_are_too_large_or_too_deep_are_a_failure_of_the_step(pool: Pool, function: str) -> None:
    found = failure(pool, call("a", function))
    assert found.code in ("output-too-large", "bad-result")
    assert outcome(pool, call("b", "hold", size=1, seconds=0)) == 1
