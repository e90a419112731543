"""Worker processes in real trouble: steps that want all the memory, that do not end, that leave things behind."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from e2i.catalog.context import RunInfo
from e2i.settings import Settings
from e2i.workers import memory
from e2i.workers.environment import for_worker
from e2i.workers.executor import Ended, Failure, StepCall
from e2i.workers.pool import Pool
from e2i.workspace.paths import Roots
from project import WITHIN, Project, Stopwatch, lines, until

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

def leave_everything(count, name):
    files(count)
    share(name)
    return open_files(100)

def keep(size):
    sys.kept = b"x" * size
    return os.getpid()

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
    with opened(project) as made:
        yield made


@contextlib.contextmanager
def opened(project: Project, size: int = 2) -> Iterator[Pool]:
    project.store.mkdir()
    project.write("steps.py", STEPS)
    made = Pool(
        size,
        store=project.store,
        roots=Roots(project.root),
        settings=Settings(sinks=()).model_dump_json(),
        environ=for_worker(os.environ, threads=1, store=project.store),
    )
    try:
        yield made
    finally:
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
        files=None,
        timeout=timeout,
        memory=memory,
        cpus=cpus,
    )


def ended(pool: Pool, *calls: StepCall) -> list[Ended]:
    """Carries the calls out side by side. Each ends once."""
    found: list[Ended] = []
    for each in calls:
        pool.submit(each)

    def enough() -> bool:
        found.extend(message for message in pool.poll(0.2) if isinstance(message, Ended))
        return len(found) >= len(calls)

    assert until(enough)
    order = [each.info.step for each in calls]
    assert sorted(message.step for message in found) == sorted(order)
    return sorted(found, key=lambda message: order.index(message.step))


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
    assert "200MB" in eating.failure.message
    # One allocation of 10 GB may end between two measurements of the memory.
    measured = "used up to" in eating.failure.message
    assert measured or (chunk > 200 * MB and "before its memory was measured" in eating.failure.message)
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


def test_a_worker_that_has_grown_fat_is_replaced_once_its_call_is_over(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "machine", lambda: 1_200 * MB)  # of which each of two workers may keep a quarter
    monkeypatch.setattr("e2i.workers.pool.RECYCLED_AT_LEAST", 0)
    with opened(project) as pool:
        lean = outcome(pool, call("a", "hold", size=500 * MB, seconds=0))
        assert lean == 500 * MB
        first = outcome(pool, call("b", "pid"))
        assert outcome(pool, call("c", "keep", size=100 * MB)) == first
        assert outcome(pool, call("d", "pid")) == first
        assert outcome(pool, call("e", "keep", size=400 * MB)) == first
        assert until(lambda: not Path(f"/proc/{first}").exists())
        second = outcome(pool, call("f", "pid"))
        assert outcome(pool, call("g", "pid")) == second != first


def test_what_runs_takes_of_the_room_for_others(pool: Pool) -> None:
    whole = pool.free_memory()
    assert pool.is_idle()
    pool.submit(call("a", "hold", memory=300 * MB, size=1, seconds=600))
    assert not pool.is_idle()
    assert whole - pool.free_memory() == 300 * MB


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


@pytest.mark.parametrize(
    ("function", "given"),
    [pytest.param("deaf", {"children": 2}, marks=pytest.mark.slow), ("stop", {}), ("stop_guardian", {})],
)
def test_a_step_that_does_not_end_is_gone_with_all_its_children(
    pool: Pool, project: Project, function: str, given: dict[str, object]
) -> None:
    with Stopwatch() as watch:
        assert failure(pool, call("a", function, timeout=1.5, **given)).code == "timeout"
    assert watch.seconds < 1.5 + 10
    assert until(lambda: not project.processes())


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
def test_a_worker_that_dies_is_noticed_at_once_and_leaves_nothing(
    pool: Pool, project: Project, number: signal.Signals
) -> None:
    outcome(pool, call("warm", "pid"))
    kills = memory.kills()
    with Stopwatch() as watch:
        found = failure(pool, call("a", "die", number=int(number)))
    assert watch.seconds < 2
    if memory.kills() == kills:  # the kernel counts for the machine, where a test beside may run out of memory
        assert found.code == "worker-lost" and f"signal {int(number)}" in found.message
    assert found.lost
    assert until(lambda: project.processes("sleep") == [])  # what was killed is going


def test_a_worker_goes_with_its_guardian(pool: Pool, project: Project) -> None:
    outcome(pool, call("warm", "pid"))
    pool.submit(call("a", "hold", size=1, seconds=600))
    for pid in project.processes("guardian.py"):
        os.kill(pid, signal.SIGKILL)
    assert until(lambda: not project.processes())
    assert until(lambda: any(isinstance(message, Ended) for message in pool.poll(0.1)))


LIMIT = 0.1
"""Seconds that a step may take which takes just so long, or up to 8 ms less."""


@pytest.mark.parametrize("tries", [16, pytest.param(1_000, marks=[pytest.mark.slow, pytest.mark.timeout(900)])])
def test_a_step_that_ends_at_its_time_limit_has_one_verdict(project: Project, tries: int) -> None:
    side_by_side = 8
    verdicts: list[Ended] = []
    with opened(project, side_by_side) as pool:
        for batch in range(tries // side_by_side):
            names = [f"{batch}-{number}" for number in range(side_by_side)]
            ended(pool, *(call(f"warm-{name}", "hold", size=1, seconds=0.02) for name in names))  # by each a step
            verdicts += ended(
                pool,
                *(
                    call(name, "hold", timeout=LIMIT, size=number, seconds=LIMIT - number / 1_000)
                    for number, name in enumerate(names)
                ),
            )
        assert not any(isinstance(message, Ended) for message in pool.poll(LIMIT))
    assert len({verdict.step for verdict in verdicts}) == len(verdicts) == tries
    for verdict in verdicts:
        number = int(verdict.step.partition("-")[2])
        assert verdict.outputs.get("value") == (number if verdict.failure is None else None)
        assert verdict.failure is None or verdict.failure.code == "timeout"


@pytest.mark.parametrize("runs", [4, pytest.param(24, marks=pytest.mark.slow)])
def test_a_run_whose_step_ends_at_its_time_limit_says_the_same_everywhere(project: Project, runs: int) -> None:
    text = (
        "version: 1\nname: race\nsteps: {a: {uses: debug.sleep, timeout: 1s, with: {seconds: SECONDS, value: VALUE}}}\n"
    )

    def verdicts(number: int) -> tuple[object, ...]:
        """Of one run: its exit code, what it told of its step and of itself, and what is on record of both."""
        seconds = 1 - 0.3 * number / runs  # a worker that starts first takes some of the time
        project.write(f"{number}.yaml", text.replace("SECONDS", str(seconds)).replace("VALUE", str(number)))
        done = project.cli("run", f"{number}.yaml", "--json")
        events = lines(done.stdout)
        reported = [event["status"] for event in events if event["event"] == "step.finished"]
        kept = json.loads(project.cli("show", events[-1]["run"], "--json").stdout)
        return (
            done.returncode,
            reported,
            events[-1]["status"],
            kept["status"],
            [step["status"] for step in kept["steps"]],
        )

    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(verdicts, range(runs)))
    for verdict in found:
        assert verdict in (
            (0, ["succeeded"], "succeeded", "succeeded", ["succeeded"]),
            (1, ["failed"], "failed", "failed", ["failed"]),
        )


@pytest.mark.slow
def test_time_in_which_the_engine_was_stopped_does_not_count(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome(pool, call("warm", "pid"))
    pool.submit(call("a", "hold", timeout=WITHIN, size=1, seconds=1))
    now = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: now() + 2 * WITHIN)
    messages = pool.poll(0.1)
    while not messages:
        messages = pool.poll(0.1)
    (end,) = messages
    assert isinstance(end, Ended) and end.failure is None


FREEZER = Path("/sys/fs/cgroup/freezer")


@pytest.mark.slow
@pytest.mark.skipif(not os.access(FREEZER / "tasks", os.W_OK), reason="takes a freezer that we may use")
def test_a_process_that_cannot_be_killed_is_reported_and_left(pool: Pool, project: Project) -> None:
    group = Path(tempfile.mkdtemp(prefix="e2i-", dir=FREEZER))
    worker = outcome(pool, call("warm", "pid"))
    try:
        (group / "tasks").write_text(str(worker))
        (group / "freezer.state").write_text("FROZEN")
        pool.submit(call("a", "hold", timeout=1, size=1, seconds=600))
        with Stopwatch() as watch:
            found: list[Ended] = []
            assert until(lambda: found.extend(m for m in pool.poll(0.1) if isinstance(m, Ended)) or found)
            pool.close()
        assert watch.seconds < 1 + 5 + 5
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
    name = f"e2i-test-{os.getpid()}"
    for step, each in enumerate((f"{name}-a", f"{name}-b")):
        outcome(pool, call(str(step), "share", name=each))
    pool.close()
    assert list(Path("/dev/shm").glob(f"{name}*")) == []


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


@pytest.mark.slow
def test_nothing_is_left_of_ten_thousand_files_open_files_and_shared_memory_at_once(
    pool: Pool, project: Project
) -> None:
    outcome(pool, call("warm", "pid"))
    outcome(pool, call("warm", "pid"))
    files = open_files()
    name = f"e2i-test-{os.getpid()}-all"
    worker = outcome(pool, call("a", "leave_everything", count=10_000, name=name))
    assert outcome(pool, call("b", "pid")) != worker
    assert until(lambda: not Path(f"/proc/{worker}").exists())
    assert list((project.store / "tmp").glob("*/step-*/*")) == []
    assert abs(open_files() - files) <= 2
    assert list(Path("/dev/shm").glob(f"{name}*")) == []


# Too much


@pytest.mark.parametrize("function", ["deep", "very_deep", "large"])
def test_outputs_that_are_too_large_or_too_deep_are_a_failure_of_the_step(pool: Pool, function: str) -> None:
    found = failure(pool, call("a", function))
    assert found.code in ("output-too-large", "bad-result")
    assert outcome(pool, call("b", "hold", size=1, seconds=0)) == 1
