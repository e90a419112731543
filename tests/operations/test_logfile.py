"""The log file: whole lines and bounded size, with several processes that write and rotate."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import stat
from collections import Counter
from pathlib import Path

import pytest

from e2i.operations.logfile import LogFile


def write_many(path: str, writer: int, count: int, most: int) -> None:
    log = LogFile(Path(path), most=most, keep=100)
    for number in range(count):
        log.append(f"{writer} {number} " + "x" * (number % 50))


def test_processes_lose_no_line_and_no_file_exceeds_its_size(tmp_path: Path) -> None:
    path, most = tmp_path / "e2i.log", 20_000
    spawn = multiprocessing.get_context("spawn")
    writers = [spawn.Process(target=write_many, args=(str(path), writer, 2_000, most)) for writer in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    files = [file for file in tmp_path.iterdir() if not file.name.endswith(".lock")]
    assert len(files) > 5
    assert all(file.stat().st_size <= most for file in files)
    lines = [line.split(" ") for file in files for line in file.read_text().splitlines()]
    assert Counter(int(line[0]) for line in lines) == Counter(dict.fromkeys(range(4), 2_000))
    assert all(line[2] == "x" * (int(line[1]) % 50) for line in lines)


def test_only_the_kept_files_stay_and_the_newest_lines_are_in_the_log(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "e2i.log", most=100, keep=2)
    for number in range(50):
        log.append(f"{number:030}")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["e2i.log", "e2i.log.1", "e2i.log.2", "e2i.log.lock"]
    lines = [
        int(line) for name in ("e2i.log.2", "e2i.log.1", "e2i.log") for line in (tmp_path / name).read_text().split()
    ]
    assert lines == list(range(lines[0], 50)) and len(lines) >= 7


def test_without_kept_files_the_log_starts_again(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "e2i.log", most=10, keep=0)
    log.append("first first")
    log.append("second")
    assert (tmp_path / "e2i.log").read_text() == "second\n"


def test_the_permissions_of_the_log_are_those_of_the_rotated_one(tmp_path: Path) -> None:
    path = tmp_path / "e2i.log"
    path.touch()
    path.chmod(0o640)
    log = LogFile(path, most=10, keep=1)
    log.append("first first")
    log.append("second")
    assert path.read_text() == "second\n" and stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_process_that_keeps_the_lock_delays_a_line_and_does_not_prevent_it(tmp_path: Path) -> None:
    path = tmp_path / "e2i.log"
    log = LogFile(path, most=10, keep=1)
    log.append("first first")
    with (tmp_path / "e2i.log.lock").open("r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        log.append("second")
    assert path.read_text() == "first first\nsecond\n"


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError):
        LogFile(tmp_path / "pipe", most=10, keep=1).append("line")


def test_a_link_is_refused_and_what_it_leads_to_stays_as_it_is(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.write_text("kept")
    (tmp_path / "e2i.log").symlink_to(theirs)
    with pytest.raises(OSError, match="it is a link; name the file that it leads to"):
        LogFile(tmp_path / "e2i.log", most=10, keep=1).append("line")
    assert theirs.read_text() == "kept"


def test_a_log_that_becomes_a_link_while_it_is_open_is_refused(tmp_path: Path) -> None:
    theirs, path = tmp_path / "theirs", tmp_path / "e2i.log"
    theirs.write_text("kept")
    log = LogFile(path, most=10_000, keep=1)
    log.append("line")
    path.unlink()
    path.symlink_to(theirs)
    with pytest.raises(OSError, match="it is a link"):
        log.append("line")
    assert theirs.read_text() == "kept"
