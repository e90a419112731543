"""Messages of a worker to the engine: in order, in few writes, and never above the quota."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from e2i.errors import StepError
from e2i.telemetry.bodies import Metric, Param
from e2i.workers import outgoing
from e2i.workers.messages import Prepared, Report, Telemetry, report
from e2i.workers.outgoing import BATCH, QUOTA, QUOTA_BYTES, Outgoing
from project import WITHIN, until


class Engine:
    """The other end of the line: reads whatever comes."""

    def __init__(self) -> None:
        self.ours, self.theirs = socket.socketpair()
        self.reports: list[Report] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        with self.theirs.makefile("rb") as incoming:
            self.reports.extend(map(report, incoming))

    def close(self) -> None:
        self.ours.close()
        self._reader.join()
        self.theirs.close()


@pytest.fixture
def engine() -> Iterator[Engine]:
    made = Engine()
    yield made
    made.close()


def metric(number: int) -> Metric:
    return Metric(step="fit", name="loss", value=float(number), index=number)


def test_telemetry_leaves_in_batches_and_before_what_follows_it(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outgoing, "POLL_TIMEOUT", WITHIN)
    send = Outgoing(engine.ours)
    for number in range(2 * BATCH + 10):
        send(metric(number))
    send(Prepared("optuna", 1))
    engine.close()
    *batches, last = engine.reports
    measured = [batch.measured for batch in batches if isinstance(batch, Telemetry)]
    assert [len(batch) for batch in measured] == [BATCH, BATCH, 10]
    assert [body for batch in measured for body in batch] == [metric(number) for number in range(2 * BATCH + 10)]
    assert last == Prepared("optuna", 1)


def test_a_single_entry_does_not_wait_for_others(engine: Engine) -> None:
    send = Outgoing(engine.ours)
    send(metric(1))
    assert until(lambda: engine.reports)


def test_ten_million_metrics_are_refused_after_the_quota_and_the_next_step_has_its_own(engine: Engine) -> None:
    send = Outgoing(engine.ours)
    with pytest.raises(StepError, match="the step records too much") as raised:
        for number in range(10_000_000):
            send(metric(number))
    assert (raised.value.code, number) == ("too-much-telemetry", QUOTA)
    send.begin()
    send(metric(1))


def test_a_few_entries_that_are_very_long_are_refused_too(engine: Engine) -> None:
    send = Outgoing(engine.ours)
    with pytest.raises(StepError):
        for _ in range(40):
            send(Param(step="fit", name="p", value="x" * (QUOTA_BYTES // 32)))


def test_a_step_waits_while_the_engine_is_behind() -> None:
    ours, theirs = socket.socketpair()
    send = Outgoing(ours)
    done = threading.Event()

    def record() -> None:
        for number in range(20_000):
            send(metric(number))
        done.set()

    recording = threading.Thread(target=record)
    recording.start()
    assert not done.wait(0.5)
    theirs.settimeout(0.1)
    while not done.is_set():
        with contextlib.suppress(TimeoutError):  # the last entries are read, and the step is about to say so
            theirs.recv(1 << 20)
    recording.join()
    ours.close()
    theirs.close()
