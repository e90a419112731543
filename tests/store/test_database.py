"""The state's file, corrupt in all ways: never a traceback, never a wrong result."""

from __future__ import annotations

import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from e2i.errors import Exit
from e2i.store.database import FILE, StoreError
from e2i.store.history import Reader
from e2i.store.past import RecordedAttempt
from e2i.store.runs import RunStore
from e2i.telemetry.entries import Entry
from e2i.telemetry.outbox import Outbox
from store.written import inputs, plan_text, result, run_row, step_end

RUN = run_row(plan=plan_text(*(f"s{number}" for number in range(40))))


def there(digest: str) -> bool:
    return True


def fill(root: Path) -> None:
    """A store with a run of 40 steps; step n outputs n."""
    run_store = RunStore(root, there)
    run_store.start_run(RUN)
    for number in range(40):
        outputs = {"value": number, "text": "x" * 50}
        attempt = RecordedAttempt(number=1, started_ms=2, ended_ms=3, seconds=0.001, error=None)
        made = result(
            fingerprint=f"f{number}",
            static_key=f"k{number}",
            components=inputs(number),
            outputs=outputs,
            telemetry=[("metric", {"value": number})],
        )
        run_store.start_step("r1", f"s{number}", 1, 2)
        entries = [Entry(f"r1/s{number}/metric", "opik", "r1", "metric", {"value": number})]
        end = step_end(fingerprint=f"f{number}", outputs=outputs, tries=(attempt,))
        run_store.finish_step("r1", f"s{number}", end, made, entries)
    run_store.close()


def everything_read(history: RunStore | Reader) -> None:
    """Reads all results, and holds those that are there against what was written."""
    for number in range(40):
        found = history.outputs(f"f{number}")
        assert found in (None, {"value": number, "text": "x" * 50})
        assert history.last("p", f"s{number}") in (None, *(inputs(other) for other in range(40)))
        history.any_result(f"k{number}")
        if isinstance(history, RunStore):
            assert history.telemetry(f"f{number}") in ([], [("metric", {"value": number})])


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("full")
    fill(root)
    return root


@pytest.mark.parametrize("content", [b"", b"\0" * 5000, b"not a database, " * 1000])
def test_a_file_that_is_no_database_is_quarantined_by_a_run_and_reported_to_a_reader(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / FILE).write_bytes(content)
    if content:
        with pytest.raises(StoreError) as raised:
            Reader(tmp_path, there)
        assert (raised.value.exit_code, raised.value.code) == (Exit.UNAVAILABLE, "store-corrupt")
    run_store = RunStore(tmp_path, there)
    if content:
        assert run_store.quarantined is not None
        assert run_store.quarantined.read_bytes() == content
        assert run_store.quarantined.name.startswith("state.db.corrupt-")
    run_store.start_run(RUN)
    run_store.close()
    with Reader(tmp_path, there) as reader:
        assert [run.id for run in reader.runs()] == ["r1"]


@pytest.mark.parametrize("seed", range(3))
def test_random_corruption_gives_no_wrong_result_and_no_traceback(full: Path, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    content = bytearray((full / FILE).read_bytes())
    for number in range(50):
        root = tmp_path / str(number)
        root.mkdir()
        corrupt = content[:]
        match chance.randrange(4):
            case 0:
                del corrupt[chance.randrange(len(corrupt)) :]
            case 1:
                begin = chance.randrange(len(corrupt))
                corrupt[begin : begin + 300] = chance.randbytes(300)
            case _:
                for _ in range(chance.choice((1, 1, 5))):
                    corrupt[chance.randrange(len(corrupt))] ^= 1 << chance.randrange(8)
        (root / FILE).write_bytes(corrupt)
        try:
            with Reader(root, there) as reader:
                everything_read(reader)
                reader.runs()
                for found in reader.corruption():
                    assert found
                reader.run("r1")
                reader.results_of("r1")
                reader.last_failures()
        except StoreError as error:
            assert error.exit_code is Exit.UNAVAILABLE
        for opened in (2, 3):  # what the first one finds corrupt only on the way, the second sets aside
            try:
                run_store = RunStore(root, there)
            except StoreError as error:
                assert error.code == "store-too-new"
                break
            try:
                everything_read(run_store)
                run_store.start_run(replace(RUN, run=f"r{opened}"))
                run_store.finish_run(f"r{opened}", "succeeded", {}, 9, [])
            except StoreError as error:
                assert error.code == "store-corrupt"
            finally:
                run_store.close()
        shutil.rmtree(root)


@pytest.mark.parametrize("name", [b"optionz", b"opt\xcens"], ids=["another name", "not UTF-8"])
def test_a_column_with_a_corrupt_name_is_a_corrupt_store(full: Path, tmp_path: Path, name: bytes) -> None:
    content = (full / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(content.replace(b"options TEXT", name.ljust(7) + b" TEXT", 1))
    with Reader(tmp_path, there) as reader, pytest.raises(StoreError) as raised:
        reader.run("r1")
    assert raised.value.code == "store-corrupt"


@pytest.mark.parametrize("suffix", ["-wal", "-shm"])
def test_a_corrupt_log_of_a_killed_process_gives_no_wrong_result(tmp_path: Path, suffix: str) -> None:
    chance = random.Random(1)
    alive = tmp_path / "alive"
    alive.mkdir()
    fill(alive)
    run_store = RunStore(alive, there)  # its log is what a kill would leave
    run_store.start_run(replace(RUN, run="r2"))
    for number in range(60):
        root = tmp_path / str(number)
        root.mkdir()
        for path in alive.glob("state.db*"):
            shutil.copy(path, root / path.name)
        log = root / (FILE + suffix)
        content = bytearray(log.read_bytes())
        if chance.random() < 0.3:
            del content[chance.randrange(len(content)) :]
        else:
            content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        log.write_bytes(content)
        try:
            other = RunStore(root, there)
            everything_read(other)
            other.start_run(replace(RUN, run="r3"))
            other.close()
        except StoreError as error:
            assert error.code == "store-corrupt"
    run_store.close()


def test_corruption_found_on_the_way_is_quarantined_by_the_next_run(full: Path, tmp_path: Path) -> None:
    content = bytearray((full / FILE).read_bytes())
    size = int.from_bytes(content[16:18])
    with closing(sqlite3.connect(full / FILE)) as database:  # the schema itself is read when the file is opened
        roots = [row[0] for row in database.execute("SELECT rootpage FROM sqlite_master WHERE rootpage > 1")]
    for page in roots:
        content[(page - 1) * size : (page - 1) * size + 100] = b"\xff" * 100
    (tmp_path / FILE).write_bytes(content)
    run_store = RunStore(tmp_path, there)  # the log was closed cleanly: nothing is suspected
    with pytest.raises(StoreError, match="corrupt"):
        everything_read(run_store)
    run_store.close()
    run_store = RunStore(tmp_path, there)
    assert run_store.quarantined is not None
    everything_read(run_store)
    run_store.start_run(RUN)
    run_store.close()
    assert RunStore(tmp_path, there).quarantined is None


def test_what_a_writer_came_across_is_read_again(full: Path, tmp_path: Path) -> None:
    shutil.copy(full / FILE, tmp_path / FILE)

    def write(run: str) -> None:
        run_store = RunStore(tmp_path, there)
        run_store.start_run(replace(RUN, run=run, spec=run * 5_000))
        run_store.finish_run(run, "succeeded", {}, 9, [])
        run_store.close()

    def disturb(statement: str) -> None:
        if "FROM steps" in statement:
            reader._database.set_trace_callback(None)
            write("r1")

    with Reader(tmp_path, there) as reader:
        assert [run.id for run in reader.runs()] == ["r1"]
        write("r2")
        assert sorted(run.id for run in reader.runs()) == ["r1", "r2"]
        reader._database.set_trace_callback(disturb)
        assert (run := reader.run("r1")) is not None
        assert run.status == "succeeded", "not what was there when it began to read"


def test_the_file_is_private(tmp_path: Path) -> None:
    RunStore(tmp_path / "store", there).close()
    assert (tmp_path / "store").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "store" / FILE).stat().st_mode & 0o777 == 0o600


def test_an_altered_result_is_none_and_is_kept_for_looking_at(full: Path, tmp_path: Path) -> None:
    shutil.copy(full / FILE, tmp_path / FILE)
    with closing(sqlite3.connect(tmp_path / FILE)) as database, database:
        database.execute("UPDATE results SET outputs = '{\"value\":99}' WHERE fingerprint = 'f7'")
    with Reader(tmp_path, there) as reader:
        assert reader.outputs("f7") is None
        assert reader.corruption() == ["the result f7 was altered"]
    run_store = RunStore(tmp_path, there)
    assert run_store.outputs("f7") is None
    assert run_store.outputs("f8") == {"value": 8, "text": "x" * 50}
    run_store.close()
    with Reader(tmp_path, there) as reader:
        assert reader.corruption() == []
        assert reader.quarantined() == ["the result f7 was altered and is quarantined"]


def test_an_altered_step_attempt_or_entry_is_named(full: Path, tmp_path: Path) -> None:
    shutil.copy(full / FILE, tmp_path / FILE)
    with closing(sqlite3.connect(tmp_path / FILE)) as database, database:
        database.execute("UPDATE steps SET status = 'failed' WHERE step = 's3'")
        database.execute("UPDATE runs SET profile = 'prod'")
        database.execute("UPDATE attempts SET seconds = 9.0 WHERE step = 's4'")
        database.execute("UPDATE outbox SET body = '{\"value\":99}' WHERE key = 'r1/s5/metric'")
    with Reader(tmp_path, there) as reader:
        assert (run := reader.run("r1")) is not None
        assert run.corrupt == ("run r1", "step s3", "attempt 1 of step s4")
        assert reader.corruption() == [
            "the run r1 was altered",
            "the step r1.s3 was altered",
            "the attempt r1.s4 (1) was altered",
            "the entry r1/s5/metric of the outbox for opik was altered",
        ]
    with Outbox(tmp_path / FILE) as outbox:
        assert [entry.key for entry in outbox.take("opik")] == [f"r1/s{n}/metric" for n in range(40) if n != 5]
    with Reader(tmp_path, there) as reader:
        assert reader.quarantined() == [
            "the entry r1/s5/metric of the outbox for opik was altered and was dead-lettered"
        ]
