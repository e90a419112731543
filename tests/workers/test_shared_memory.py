from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import pytest

from e2i.workers import shared_memory

pytestmark = pytest.mark.skipif(not Path(shared_memory.FOLDER).is_dir(), reason="there is no shared memory here")


def test_a_segment_is_seen_and_the_folder_of_somebody_who_keeps_files_there_is_not() -> None:
    segment = SharedMemory(create=True, size=10)
    try:
        with tempfile.TemporaryDirectory(dir=shared_memory.FOLDER) as folder:
            found = shared_memory.segments()
            assert segment.name in found
            assert Path(folder).name not in found
    finally:
        segment.close()
        segment.unlink()


def test_what_a_living_process_holds_is_not_removed_and_what_nobody_does_is() -> None:
    path = Path(shared_memory.FOLDER, f"e2i-test-{os.getpid()}")
    with path.open("wb"):
        shared_memory.remove([path.name])
        assert path.exists()
    shared_memory.remove([path.name])
    assert not path.exists()


@pytest.mark.parametrize("opened", ["semaphore", "moved"])
def test_what_is_held_under_another_name_is_not_removed(opened: str) -> None:
    if opened == "semaphore":  # the C library maps it first, and then gives it its name
        held = multiprocessing.get_context("spawn").Semaphore()
        name = f"sem.{held._semlock.name.removeprefix('/')}"  # type: ignore[attr-defined]
    else:
        first = Path(shared_memory.FOLDER, f"e2i-test-{os.getpid()}")
        held = first.open("wb")
        name = f"{first.name}-moved"
        first.rename(first.with_name(name))
    shared_memory.remove([name])
    assert name in shared_memory.segments()
    if opened == "moved":
        held.close()
        shared_memory.remove([name])
        assert name not in shared_memory.segments()


def test_what_a_process_of_another_session_holds_is_not_left_by_this_one() -> None:
    path = Path(shared_memory.FOLDER, f"e2i-test-{os.getpid()}-other")
    hold = "import sys; held = open(sys.argv[1], 'wb'); print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
    ) as other:  # fmt: skip
        assert other.stdin is not None and other.stdout is not None
        other.stdout.readline()
        assert not shared_memory.are_left([path.name])
        other.stdin.close()
    assert shared_memory.are_left([path.name])
    path.unlink()
    assert not shared_memory.are_left([path.name])
