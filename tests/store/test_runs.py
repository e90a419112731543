from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from e2i.catalog.step_error import ErrorDocument
from e2i.cli.runs_view import took
from e2i.documents import plain
from e2i.errors import Exit, Refused
from e2i.resilience.processes import process_identity
from e2i.store.database import StoreError
from e2i.store.history import Reader, stored_digests
from e2i.store.past import RecordedAttempt, RecordedOptions
from e2i.store.runs import Claim, RunStore
from e2i.telemetry.entries import Entry
from store.written import PLAN, inputs, plan_text, result, run_row, step_end

DIGEST = "sha256:" + "0" * 64
RUN = run_row(plan=plan_text("b", "a", uses="x.y"))


@pytest.fixture
def run_store(tmp_path: Path) -> RunStore:
    return RunStore(tmp_path, lambda digest: digest == DIGEST)


def finish(run_store: RunStore, outputs: dict[str, Any], step: str = "a", status: str = "succeeded") -> None:
    end = step_end(status=status, fingerprint="f1", outputs=outputs)
    made = result(components=inputs(5), outputs=outputs) if status == "succeeded" else None
    run_store.finish_step("r1", step, end, made, [Entry("k1", "opik", "r1", "step.finished", {})])


def test_a_finished_step_can_be_found_again(run_store: RunStore, tmp_path: Path) -> None:
    run_store.start_run(RUN)
    run_store.start_step("r1", "a", 1, 2)
    finish(run_store, {"value": 1})
    assert run_store.outputs("f1") == {"value": 1}
    assert run_store.any_result("s1") and not run_store.any_result("s2")
    assert run_store.last("p", "a") == inputs(5)
    assert run_store.last("p", "b") is None
    with Reader(tmp_path, lambda digest: True) as reader:
        assert (reader.outputs("f1"), reader.any_result("s1"), reader.last("p", "a")) == (
            {"value": 1},
            True,
            inputs(5),
        )
        found = reader.run("r1")
        assert found is not None
        assert [step.id for step in found.steps] == ["b", "a"]
        assert reader.run("r2") is None
        assert [run.id for run in reader.runs()] == ["r1"]


def test_a_result_whose_artifacts_are_gone_is_none(run_store: RunStore) -> None:
    run_store.start_run(RUN)
    here = {"type": "report", "digest": DIGEST, "media_type": "", "title": ""}
    finish(run_store, {"value": here})
    assert run_store.outputs("f1") is not None
    finish(run_store, {"value": [{"deep": {**here, "digest": DIGEST.replace("0", "1")}}]})
    assert run_store.outputs("f1") is None


def test_only_stored_artifacts_count_as_content() -> None:
    service = {"type": "service", "digest": DIGEST, "url": "", "pid": 1}
    table = {"type": "table", "digest": "d2"}
    assert list(stored_digests({"a": [service, table], "b": {"type": "other", "digest": "d3"}})) == ["d2"]


def test_what_fails_midway_leaves_no_trace(run_store: RunStore) -> None:
    run_store.start_run(RUN)
    with pytest.raises(TypeError):
        finish(run_store, {"value": object()})
    assert run_store.outputs("f1") is None
    finish(run_store, {"value": 1})
    assert run_store.outputs("f1") == {"value": 1}


def test_a_resumed_run_keeps_when_it_was_started_first(run_store: RunStore, tmp_path: Path) -> None:
    run_store.start_run(RUN)
    run_store.finish_run("r1", "interrupted", {}, 9, [])
    run_store.start_run(replace(RUN, started_ms=100))
    with Reader(tmp_path, lambda digest: True) as reader:
        (run,) = reader.runs()
        assert (run.started_ms, run.status, run.ended_ms) == (1, "running", None)


def test_the_time_between_an_interruption_and_the_resumption_is_none_of_the_run(
    run_store: RunStore, tmp_path: Path
) -> None:
    """Interrupted, resumed, killed at once (it was seen last when it was resumed), resumed and finished."""
    night = 36_000_000
    gone = replace(RUN, holder="4194304:1:gone")
    run_store.start_run(replace(RUN, provenance='{"host": "h"}'))
    run_store.finish_run("r1", "interrupted", {}, 11, [])
    run_store.start_run(replace(gone, started_ms=night))
    assert run_store.dead_runs() == [("r1", gone.holder, night)]
    run_store.start_run(replace(RUN, started_ms=2 * night, provenance='{"host": "h"}'))
    run_store.finish_run("r1", "succeeded", {}, 2 * night + 5, [])
    with Reader(tmp_path, lambda digest: True) as reader:
        (listed,) = reader.runs()
        run = reader.run("r1")
        assert reader.corruption() == []
    assert run is not None
    for found in (listed, run):
        assert found.ended_ms is not None
        assert found.ended_ms - found.started_ms - found.paused_ms == 10 + 0 + 5
        assert found.resumed_ms == 2 * night
        assert took(found, 0) == "0.0 s"
    assert plain(run.provenance) == {"host": "h"}


def test_a_run_that_is_taken_up_was_paused_once(run_store: RunStore, tmp_path: Path) -> None:
    began = time.time_ns() // 1_000_000 - 3_600_000
    texts = {"file": "p.yaml", "spec": "x"}
    run_store.start_run(replace(RUN, started_ms=began, plan=plan_text()))
    run_store.finish_run("r1", "interrupted", {}, began + 10, [])
    assert run_store.resume("p", PLAN, RecordedOptions(), included={}, **texts) is not None
    now = time.time_ns() // 1_000_000
    run_store.start_run(replace(RUN, started_ms=now, plan=plan_text()))
    run_store.finish_run("r1", "succeeded", {}, now + 20, [])
    with Reader(tmp_path, lambda digest: True) as reader:
        (run,) = reader.runs()
    assert run.ended_ms is not None
    assert 30 <= run.ended_ms - run.started_ms - run.paused_ms < 60_000


def test_a_run_whose_process_has_gone_is_reported_as_interrupted(run_store: RunStore, tmp_path: Path) -> None:
    run_store.start_run(replace(RUN, holder="4194304:1:gone"))
    with Reader(tmp_path, lambda digest: True) as reader:
        assert [run.status for run in reader.runs()] == ["interrupted"]
        assert (run := reader.run("r1")) is not None and run.status == "interrupted"


def test_a_full_disk_is_a_store_error(run_store: RunStore) -> None:
    run_store.start_run(RUN)
    run_store._database.execute(
        f"PRAGMA max_page_count = {run_store._database.execute('PRAGMA page_count').fetchone()[0]}"
    )
    with pytest.raises(StoreError, match="disk full"):
        finish(run_store, {"value": "x" * 1_000_000})


# One writer a run


BOOT = process_identity().rpartition(":")[2]


def forged(number: int) -> str:
    """A holder that is gone: a pid that lives, but started at another time; or of another boot; or a pid that is free."""
    pid, start, boot = process_identity().split(":")
    return (
        f"{pid}:{int(start) + 1 + number}:{boot}",
        f"{pid}:{start}:{number:08x}-0000-0000-0000-000000000000",
        f"{4_000_000 + number}:{number}:{boot}",
        f"1:{number}:{BOOT}",
    )[number % 4]


def test_a_run_is_taken_over_from_a_process_that_is_gone_and_from_no_other(run_store: RunStore) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        living = process_identity(other.pid)
        refused = 0
        for number in range(1000):
            run = replace(RUN, run=f"r{number}", holder=living if number % 2 else forged(number // 2))
            with run_store.together():
                run_store.start_run(run)
                try:
                    run_store.start_run(replace(run, holder=process_identity()))
                except Refused as error:
                    assert (error.code, error.exit_code) == ("run-held", Exit.REFUSED)
                    assert f"process {other.pid} on {os.uname().nodename} since 1970-01-01" in error.message
                    refused += 1
        assert refused == 500
        other.communicate(b"\n")


def test_a_run_that_is_over_is_held_by_nobody(run_store: RunStore) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        run_store.start_run(replace(RUN, holder=process_identity(other.pid)))
        run_store.finish_run("r1", "failed", {}, 9, [])
        run_store.start_run(RUN)
        other.communicate(b"\n")


def test_a_refused_run_stays_as_it_is(run_store: RunStore, tmp_path: Path) -> None:
    run_store.start_run(replace(RUN, holder="1:2:3"))
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        run_store.start_run(replace(RUN, holder=process_identity(other.pid)))
        with pytest.raises(Refused):
            run_store.start_run(replace(RUN, plan=plan_text()))
        with Reader(tmp_path, lambda digest: True) as reader:
            found = reader.run("r1")
            assert found is not None and len(found.steps) == 2 and found.corrupt == ()
        other.communicate(b"\n")


def test_a_resumed_run_keeps_what_it_was_started_with_and_what_is_finished(run_store: RunStore, tmp_path: Path) -> None:
    run_store.start_run(replace(RUN, included='{"a": "b"}', options='{"fresh": true}'))
    run_store.start_step("r1", "a", 1, 2)
    finish(run_store, {"value": 1})
    run_store.start_step("r1", "b", 1, 2)
    run_store.finish_run("r1", "interrupted", {}, 9, [])
    run_store.start_run(replace(RUN, spec="other", included="{}", options="{}"))
    with Reader(tmp_path, lambda digest: True) as reader:
        found = reader.run("r1")
    assert found is not None
    assert (found.spec, found.included, plain(found.options)) == ("x", {"a": "b"}, {"fresh": True})
    assert {step.id: step.status for step in found.steps} == {"a": "succeeded", "b": "pending"}
    assert found.corrupt == ()


def test_a_run_store_that_is_closed_before_the_end_leaves_an_interrupted_run_without_claims(tmp_path: Path) -> None:
    first = RunStore(tmp_path, lambda digest: True)
    first.start_run(RUN)
    assert first.claim("f1", "r1", "a", 5) is None
    first.close()
    second = RunStore(tmp_path, lambda digest: True)
    second.start_run(replace(RUN, run="r2"))
    assert second.claim("f1", "r2", "a", 5) is None
    second.close()
    with Reader(tmp_path, lambda digest: True) as reader:
        assert {run.id: run.status for run in reader.runs()} == {"r1": "interrupted", "r2": "interrupted"}


# Claims


def test_the_work_of_a_fingerprint_belongs_to_one_step_until_it_is_over(run_store: RunStore, tmp_path: Path) -> None:
    other = RunStore(tmp_path, lambda digest: True)
    run_store.start_run(RUN)
    other.start_run(replace(RUN, run="r2"))
    assert run_store.claim("f1", "r1", "a", 5) is None
    assert run_store.claim("f1", "r1", "a", 6) is None, "its own"
    assert run_store.claim("f1", "r1", "b", 7) == Claim("r1", "a", process_identity(), 6)
    assert other.claim("f1", "r2", "a", 8) == Claim("r1", "a", process_identity(), 6)
    assert other.claim("f2", "r2", "b", 8) is None
    assert other.claim("", "r2", "b", 8) is None, "work without a fingerprint is never the same"
    finish(run_store, {"value": 1})
    assert other.claim("f1", "r2", "a", 9) is None
    other.finish_run("r2", "succeeded", {}, 10, [])
    assert run_store.claim("f2", "r1", "b", 11) is None
    other.close()


def test_the_claim_of_a_process_that_is_gone_is_taken_over(run_store: RunStore, tmp_path: Path) -> None:
    run_store.start_run(RUN)
    run_store.claim("f1", "r1", "a", 5)
    other = RunStore(tmp_path, lambda digest: True)
    for number in range(40):
        holder = forged(number)
        run_store._database.execute("UPDATE claims SET run = 'gone', holder = ?", (holder,))
        assert other.claim("f1", "r1", "b", number) is None
    other.close()


# Together


def test_what_is_written_together_is_durable_together_or_not_at_all(run_store: RunStore, tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), run_store.together():
        run_store.start_run(RUN)
        run_store.start_step("r1", "a", 1, 2)
        raise ZeroDivisionError
    with run_store.together():
        run_store.start_run(RUN)
        finish(run_store, {"value": 1})
        with Reader(tmp_path, lambda digest: True) as reader:
            assert reader.runs() == []
    with Reader(tmp_path, lambda digest: True) as reader:
        assert [run.id for run in reader.runs()] == ["r1"]


def test_attempts_and_the_note_of_a_step_are_kept(run_store: RunStore, tmp_path: Path) -> None:
    run_store.start_run(RUN)
    failed = ErrorDocument(code="x", message="y", details={"z": [1]})
    tries = (
        RecordedAttempt(number=1, started_ms=2, ended_ms=3, seconds=0.5, error=failed),
        RecordedAttempt(number=2, started_ms=5, ended_ms=7, seconds=1.5, error=None),
    )
    run_store.start_step("r1", "a", 1, 2)
    run_store.start_step("r1", "a", 2, 5)
    run_store.finish_step("r1", "a", step_end(ended_ms=7, attempts=2, note="at last", tries=tries), None, [])
    with Reader(tmp_path, lambda digest: True) as reader:
        found = reader.run("r1")
    assert found is not None
    step = next(step for step in found.steps if step.id == "a")
    assert (step.started_ms, step.ended_ms, step.note, step.uses) == (2, 7, "at last", "x.y")
    assert step.tries == tries


# A store that is moved away


@pytest.mark.parametrize("how", ["deleted", "renamed", "replaced"])
def test_a_store_that_goes_while_it_is_used_is_named_and_nothing_is_made_anew(tmp_path: Path, how: str) -> None:
    root = tmp_path / "store"
    run_store = RunStore(root, lambda digest: True)
    run_store.start_run(RUN)
    if how == "deleted":
        shutil.rmtree(root)
    else:
        root.rename(tmp_path / "elsewhere")
    if how == "replaced":
        RunStore(root, lambda digest: True).close()
    with pytest.raises(StoreError) as raised:
        finish(run_store, {"value": 1})
    assert (raised.value.code, raised.value.exit_code) == ("store-gone", Exit.UNAVAILABLE)
    assert str(root) in raised.value.message
    run_store.close()
    assert root.exists() is (how == "replaced")
    if how == "replaced":
        with Reader(root, lambda digest: True) as reader:
            assert reader.runs() == []
