from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2i.resilience.processes import process_alive, process_identity
from e2i.telemetry.entries import Entry
from e2i.telemetry.names import NamedRun
from e2i.telemetry.outbox import ALTERED, TABLES, Outbox, corruption, dead_lettered, put, reported_to
from telemetry.dead import dead_letters


def entry(key: str, sink: str = "opik", run: str = "r1", **body: Any) -> Entry:
    return Entry(key, sink, run, "metric", body)


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    with Outbox(tmp_path / "state.db") as opened:
        yield opened


def keys(entries: list[Entry]) -> list[str]:
    return [item.key for item in entries]


def test_entries_come_out_as_they_were_put_and_stay_until_acknowledged(outbox: Outbox) -> None:
    outbox.put([entry("b", value=1.5, name="auc ü"), entry("a", sink="mlflow"), entry("c", run="r2")])
    taken = outbox.take("opik")
    assert keys(taken) == ["b", "c"]
    assert taken[0].body == {"value": 1.5, "name": "auc ü"}
    assert (taken[0].run, taken[0].kind, taken[1].run) == ("r1", "metric", "r2")
    assert outbox.take("opik") == taken
    outbox.acknowledge(taken[:1])
    assert keys(outbox.take("opik")) == ["c"]
    assert outbox.depth() == {"mlflow": 1, "opik": 1}


def test_a_batch_is_as_long_as_asked(outbox: Outbox) -> None:
    outbox.put(entry(str(number)) for number in range(10))
    assert keys(outbox.take("opik", 3)) == ["0", "1", "2"]


def test_a_repeated_key_is_ignored_even_after_delivery(outbox: Outbox) -> None:
    outbox.put([entry("a", value=1), entry("a", value=2)])
    outbox.put([entry("a", value=3), entry("a", sink="mlflow")])
    assert [item.body for item in outbox.take("opik")] == [{"value": 1}]
    outbox.acknowledge(outbox.take("opik"))
    outbox.put([entry("a", value=4)])
    assert outbox.depth() == {"mlflow": 1}


def test_a_put_is_all_or_none(outbox: Outbox) -> None:
    with pytest.raises(ValueError, match="the metric entry 'b' for opik is not JSON"):
        outbox.put([entry("a"), entry("b", value=float("nan"))])
    assert outbox.depth() == {}


def test_a_put_can_be_part_of_the_engines_transaction(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    engine = sqlite3.connect(path, isolation_level=None)
    engine.executescript(TABLES)
    with Outbox(path) as outbox:
        for end, depth in (("ROLLBACK", {}), ("COMMIT", {"opik": 1})):
            engine.execute("BEGIN IMMEDIATE")
            put(engine, [entry("a")])
            assert outbox.depth() == {}
            engine.execute(end)
            assert outbox.depth() == depth
    engine.close()


def test_what_is_set_aside_is_kept_with_its_reason_and_can_be_restored(outbox: Outbox) -> None:
    outbox.put([entry("a", value=1), entry("b"), entry("c", sink="mlflow")])
    outbox.dead_letter(outbox.take("opik", 1), "value refused")
    assert keys(outbox.take("opik")) == ["b"]
    assert dead_letters(outbox) == [("a", "opik", "value refused")]
    assert len(outbox.restore(outbox.refused(sink="opik"))) == 1
    assert [(item.key, item.body) for item in outbox.take("opik")] == [("a", {"value": 1}), ("b", {})]


def test_entries_survive_the_death_of_the_process_that_put_them(tmp_path: Path) -> None:
    program = (
        "import os, sys, pathlib; from e2i.telemetry.outbox import Outbox; from e2i.telemetry.entries import Entry\n"
        "box = Outbox(pathlib.Path(sys.argv[1])); box.put([Entry('a', 'opik', 'r', 'metric', {})])\n"
        "os.kill(os.getpid(), 9)"
    )
    path = tmp_path / "state.db"
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    died = subprocess.run([sys.executable, "-c", program, str(path)], env=environ, check=False)
    assert died.returncode == -signal.SIGKILL
    with Outbox(path) as outbox:
        assert keys(outbox.take("opik")) == ["a"]


def test_one_courier_at_a_time_has_a_sinks_lease(outbox: Outbox) -> None:
    everyone_lives = lambda holder: True  # noqa: E731
    assert outbox.lease("opik", "first", everyone_lives)
    assert outbox.lease("opik", "first", everyone_lives)
    assert not outbox.lease("opik", "second", everyone_lives)
    assert outbox.lease("mlflow", "second", everyone_lives)
    outbox.release("opik", "second")
    assert not outbox.lease("opik", "second", everyone_lives)
    outbox.release("opik", "first")
    assert outbox.lease("opik", "second", everyone_lives)


def test_a_dead_couriers_lease_is_taken_over(outbox: Outbox) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    holder = f"{process_identity(child.pid)}#1"
    assert outbox.lease("opik", holder, process_alive)
    assert not outbox.lease("opik", process_identity(), process_alive)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # dead, and still a zombie
    assert outbox.lease("opik", process_identity(), process_alive)
    child.communicate()


def test_a_reused_pid_is_another_process() -> None:
    pid, start, boot = process_identity().split(":")
    assert process_alive(f"{pid}:{start}:{boot}")
    assert not process_alive(f"{pid}:{int(start) - 1}:{boot}")
    assert not process_alive("")


BODIES = st.dictionaries(
    st.text(), st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec=None)), lambda inner: st.lists(inner, max_size=3), max_leaves=5), max_size=4,
)  # fmt: skip


@given(bodies=st.lists(BODIES, max_size=5))
def test_any_json_body_survives_the_queue(bodies: list[dict[str, Any]]) -> None:
    with Outbox(Path(":memory:")) as outbox:
        outbox.put(Entry(str(number), "opik", "r", "metric", body) for number, body in enumerate(bodies))
        assert [item.body for item in outbox.take("opik")] == bodies


def test_what_was_delivered_can_be_had_again_until_its_run_is_settled(outbox: Outbox) -> None:
    outbox.put([entry("r1/a"), entry("r1/b"), entry("r2/a", run="r2"), entry("r1/a", sink="mlflow")])
    outbox.acknowledge(outbox.take("opik"))
    outbox.settle("opik", "r2")
    assert outbox.redeliver("opik") == 2
    assert keys(outbox.take("opik")) == ["r1/a", "r1/b"]
    outbox.acknowledge(outbox.take("opik"))
    outbox.settle("opik", "r1")
    assert outbox.redeliver("opik") == 0
    outbox.put([entry("r1/a"), entry("r2/a", run="r2")])
    assert outbox.depth() == {"mlflow": 1}


def test_keys_of_settled_runs_are_forgotten_in_time_and_what_waits_is_not(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("e2i.telemetry.outbox.KEYS_KEPT", 10)
    outbox.put([entry("r0/waits", sink="mlflow", run="r0")])
    for number in range(1, 6):
        run = f"r{number}"
        outbox.put(entry(f"{run}/{i}", run=run) for i in range(10))
        outbox.acknowledge(outbox.take("opik"))
        outbox.settle("opik", run)
    with sqlite3.connect(outbox.path) as database:
        rows = database.execute("SELECT key, body FROM outbox ORDER BY sequence").fetchall()
    assert rows == [("r0/waits", "{}"), *((f"r5/{i}", "null") for i in range(10))]


def test_a_run_is_known_by_its_own_entries_only(outbox: Outbox) -> None:
    outbox.put([entry("20261123-1/a", run="20261123-1")])
    with sqlite3.connect(outbox.path) as database:
        assert reported_to(database, "opik", "20261123-1")
        assert reported_to(database, "mlflow", "20261123-1") == []
        assert reported_to(database, "opik", "20261123") == []


def test_a_late_acknowledgement_does_not_touch_an_entry_that_has_taken_the_place(outbox: Outbox) -> None:
    outbox.put([entry("r1/a")])
    (old,) = outbox.take("opik")
    with sqlite3.connect(outbox.path) as database:
        database.execute("DELETE FROM outbox")
    outbox.put([entry("r1/b")])
    outbox.acknowledge([old])
    assert keys(outbox.take("opik")) == ["r1/b"]


def alter(outbox: Outbox, column: str, value: object, key: str) -> None:
    with sqlite3.connect(outbox.path) as database:
        database.execute(f"UPDATE outbox SET {column} = ? WHERE key = ?", (value, key))


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("body", '{"value":9}'),
        ("body", '{"value":1'),
        ("body", b"\xff\xfe"),
        ("run", "r2"),
        ("kind", "param"),
        ("checksum", ""),
    ],
)
def test_an_entry_that_was_altered_is_never_given_and_is_kept_aside(outbox: Outbox, column: str, value: object) -> None:
    outbox.put([entry("a", value=1), entry("b", value=2), entry("c", value=3)])
    alter(outbox, column, value, "a")
    assert [(item.key, item.body) for item in outbox.take("opik", 1)] == [("b", {"value": 2})]
    assert (outbox.altered, outbox.depth()) == (1, {"opik": 2})
    ((key, _, reason),) = dead_letters(outbox)
    assert (key, reason) == ("a", ALTERED)
    assert outbox.restore(outbox.refused(sink="opik")) == []
    assert keys(outbox.take("opik")) == ["b", "c"]


def test_an_entry_that_was_altered_while_its_run_was_open_is_not_delivered_again(outbox: Outbox) -> None:
    outbox.put([entry("a", value=1), entry("b", value=2)])
    outbox.acknowledge(outbox.take("opik"))
    alter(outbox, "body", '{"value":9}', "a")
    with sqlite3.connect(outbox.path) as database:
        assert corruption(database) == ["the entry a of the outbox for opik was altered"]
    outbox.redeliver("opik")
    assert keys(outbox.take("opik")) == ["b"]
    with sqlite3.connect(outbox.path) as database:
        assert corruption(database) == []
        assert dead_lettered(database) == ["the entry a of the outbox for opik was altered and was dead-lettered"]


def test_what_is_settled_has_nothing_that_could_be_altered(outbox: Outbox) -> None:
    outbox.put([entry("r1/a", value=1)])
    outbox.acknowledge(outbox.take("opik"))
    outbox.settle("opik", "r1")
    with sqlite3.connect(outbox.path) as database:
        assert corruption(database) == []


@pytest.mark.parametrize("seed", range(3))
def test_whatever_bit_flips_nothing_comes_out_that_was_not_put(tmp_path: Path, seed: int) -> None:
    with Outbox(tmp_path / "sound.db") as outbox:
        outbox.put(entry(f"r1/{number}", sink, value=number) for number in range(100) for sink in ("opik", "mlflow"))
    content, chance = (tmp_path / "sound.db").read_bytes(), random.Random(seed)
    for number in range(40):
        path = tmp_path / f"{number}.db"
        corrupt = bytearray(content)
        corrupt[chance.randrange(len(corrupt))] ^= 1 << chance.randrange(8)
        path.write_bytes(corrupt)
        with contextlib.suppress(sqlite3.DatabaseError), Outbox(path) as outbox:  # a dispatcher reports that, and waits
            for sink in ("opik", "mlflow"):
                for _ in range(20):
                    taken = outbox.take(sink, 10)
                    assert all(
                        (item.sink, item.run, item.kind, item.body)
                        == (sink, "r1", "metric", {"value": int(item.key[3:])})
                        for item in taken
                    )
                    outbox.acknowledge(taken)
                assert outbox.take(sink, 10) == []


def test_the_ids_of_a_run_are_kept_in_the_order_in_which_the_tracker_gave_them(outbox: Outbox) -> None:
    outbox.name("mlflow", "", "b" * 32, "1")
    outbox.name("mlflow", "", "a" * 32, "2")
    outbox.name("opik", "", "b" * 32, "3")
    outbox.name("mlflow", "http://other", "b" * 32, "4")
    outbox.name("mlflow", "", "b" * 32, "1")
    assert outbox.remote("mlflow", "", "b" * 32) == "1"
    assert outbox.remote("mlflow", "http://other", "b" * 32) == "4"
    assert outbox.remote("mlflow", "http://other", "a" * 32) is None
    assert [run.remote for run in outbox.local_names()] == ["1", "2", "3", "4"]
    assert outbox.local_names("opik") == [NamedRun("opik", "", "b" * 32, "3")]


def test_a_run_that_the_tracker_lost_and_has_again_has_its_latest_id(outbox: Outbox) -> None:
    outbox.name("mlflow", "", "a" * 32, "1")
    outbox.name("mlflow", "", "a" * 32, "2")
    assert outbox.local_names() == [NamedRun("mlflow", "", "a" * 32, "2")]


def test_a_run_is_unfinished_while_entries_of_it_wait_for_the_tracker(outbox: Outbox) -> None:
    outbox.put([entry("a"), entry("b", run="r2"), entry("c", sink="mlflow", run="r3")])
    assert outbox.unfinished("opik", "") == {"r1", "r2"}
    outbox.acknowledge(outbox.take("opik", 1))
    assert outbox.unfinished("opik", "") == {"r2"}
