"""A service that starts slowly is waited for, and does not count as down."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from e2i.errors import StepError, ToolUnavailable
from e2i.resilience.breaker import Breaker, State
from e2i.resilience.guard import Guard
from e2i.resilience.readiness import is_ready, wait_until_ready
from live.unwell import unwell
from project import Stopwatch, held_port


class Starting:
    """A service that refuses connections, then answers 503, then is ready: each after so many requests or sleeps."""

    def __init__(self, port: int, refusals: int, unready: int) -> None:
        self.url = f"http://127.0.0.1:{port}/readyz"
        self.port = port
        self.refusals = refusals
        self.answers = iter([503] * unready)
        self.sleeps = 0
        self.server: ThreadingHTTPServer | None = None

    def sleep(self, seconds: float) -> None:
        """Takes no time, but brings the start one step on."""
        self.sleeps += 1
        if self.sleeps == self.refusals:
            self.listen()

    def listen(self) -> None:
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(next(service.answers, 200))
                self.end_headers()

            def log_message(self, *args: object) -> None:
                """Says nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()


@pytest.fixture
def starting() -> Iterator[Starting]:
    with held_port() as port:
        service = Starting(port, refusals=20, unready=20)
        yield service
        if service.server is not None:
            service.server.shutdown()
            service.server.server_close()


def test_a_service_that_refuses_and_then_answers_503_is_waited_for(starting: Starting) -> None:
    wait_until_ready("bentoml", starting.url, 60, sleep=starting.sleep)
    assert starting.sleeps == 40
    assert is_ready(starting.url)


def test_a_slow_start_does_not_open_the_circuit(starting: Starting) -> None:
    guard = Guard("bentoml", Breaker("bentoml"))
    wait_until_ready("bentoml", starting.url, 60, sleep=starting.sleep)
    assert (guard.breaker.state, guard.breaker.circuit.failed) == (State.CLOSED, 0)
    assert guard.call(is_ready, starting.url)


def test_a_service_that_is_never_ready_is_unavailable_after_its_time() -> None:
    with held_port() as port, Stopwatch() as watch, pytest.raises(ToolUnavailable) as caught:
        wait_until_ready("bentoml", f"http://127.0.0.1:{port}/readyz", 0.3, hint="see its log")
    assert caught.value.message == f"bentoml at http://127.0.0.1:{port}/readyz was not ready within 0.3 s of its start"
    assert (caught.value.code, caught.value.hint) == ("not-ready", "see its log")
    assert watch.seconds < 2


@pytest.mark.parametrize("kind", ["silent", "never accepting", "dripping", "garbage"])
def test_a_service_that_accepts_and_does_not_answer_is_not_ready_in_time(kind: str) -> None:
    with unwell(kind, "http") as port, Stopwatch() as watch:
        assert not is_ready(f"http://127.0.0.1:{port}/readyz", within=0.3)
    assert watch.seconds < 1


def test_a_process_that_exits_ends_the_wait_at_once(starting: Starting) -> None:
    def check() -> None:
        if starting.sleeps == 3:
            raise StepError("the service ended with exit code 1", code="service-ended")

    began = time.monotonic()
    with pytest.raises(StepError, match="exit code 1"):
        wait_until_ready("bentoml", starting.url, 60, check=check, sleep=starting.sleep)
    assert time.monotonic() - began < 10
