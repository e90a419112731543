"""Idempotent calls are tried again after a transient failure, within their deadline; the breaker counts one result."""

from __future__ import annotations

import asyncio
import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.client import RemoteDisconnected
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
import requests

from e2i.errors import AuthenticationFailed, StepError, ToolUnavailable
from e2i.resilience.attempts import Attempts, Retries
from e2i.resilience.breaker import Breaker, Outcome, Policy, State
from e2i.resilience.guard import Guard
from e2i.resilience.transient import pause_before_retry
from project import Stopwatch

QUICK = Retries(initial=0.001, maximum=0.002)


class Flapping:
    """An HTTP server with a list of answers, one a request: a status, ``reset``, or a status with a ``Retry-After``."""

    def __init__(self, *answers: int | str | tuple[int, str]) -> None:
        self.answers = itertools.chain(answers, itertools.repeat(200))
        self.requests = 0
        flapping = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                flapping.requests += 1
                answer = next(flapping.answers)
                if answer == "reset":
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    self.close_connection = True
                    self.connection.close()
                    return
                status, wish = answer if isinstance(answer, tuple) else (answer, None)
                self.send_response(int(status))
                if wish is not None:
                    self.send_header("Retry-After", wish)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *args: object) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def flapping() -> Iterator[Callable[..., Flapping]]:
    made: list[Flapping] = []

    def make(*answers: Any) -> Flapping:
        made.append(Flapping(*answers))
        return made[-1]

    yield make
    for server in made:
        server.close()


def by_requests(url: str) -> str:
    answer = requests.get(url, timeout=10)
    answer.raise_for_status()
    return answer.text


def by_httpx(url: str) -> str:
    answer = httpx.get(url, timeout=10, trust_env=False)
    answer.raise_for_status()
    return answer.text


async def by_httpx_in_the_loop(url: str) -> str:
    async with httpx.AsyncClient(timeout=10, trust_env=False) as client:
        answer = await client.get(url)
    answer.raise_for_status()
    return answer.text


def called(guard: Guard, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """The result of the call: of a coroutine function in a loop, of any other without one."""
    if asyncio.iscoroutinefunction(function):
        return asyncio.run(guard.acall(function, *args, **options))
    return guard.call(function, *args, **options)


def guarded(**options: Any) -> Guard:
    lost = (requests.exceptions.RequestException, httpx.HTTPError)
    return Guard("mlflow", Breaker("mlflow"), outages=lost, deadline=30, **{"retries": QUICK, **options})


CLIENTS = pytest.mark.parametrize("client", [by_requests, by_httpx, by_httpx_in_the_loop])


@CLIENTS
@pytest.mark.parametrize(
    "answers", [("reset",), (503,), (502, "reset", 504), ((429, "0"),), ((503, "0"), 503)], ids=str
)
def test_a_flapping_server_is_asked_again_and_the_breaker_counts_one_success(
    flapping: Callable[..., Flapping], answers: tuple[Any, ...], client: Callable[..., Any]
) -> None:
    server, guard = flapping(*answers), guarded()
    assert called(guard, client, server.url, idempotent=True) == "ok"
    assert server.requests == len(answers) + 1
    circuit = guard.breaker.circuit
    assert (circuit.granted, circuit.ok, circuit.failed) == (1, 1, 0)


@CLIENTS
def test_a_server_that_does_not_recover_is_asked_four_times_and_counts_as_one_failure(
    flapping: Callable[..., Flapping], client: Callable[..., Any]
) -> None:
    server, guard = flapping(*[503] * 20), guarded()
    with pytest.raises(ToolUnavailable, match="mlflow is unavailable"):
        called(guard, client, server.url, idempotent=True)
    assert server.requests == 4
    assert (guard.breaker.circuit.granted, guard.breaker.circuit.failed) == (1, 1)


@CLIENTS
def test_another_call_is_made_once(flapping: Callable[..., Flapping], client: Callable[..., Any]) -> None:
    server, guard = flapping(503), guarded()
    with pytest.raises(ToolUnavailable):
        called(guard, client, server.url)
    assert server.requests == 1


@CLIENTS
@pytest.mark.parametrize("answer", [500, 501, 404, 409, 400, 429], ids=str)
def test_an_answer_that_another_attempt_does_not_change_is_final(
    flapping: Callable[..., Flapping], client: Callable[..., Any], answer: int
) -> None:
    server = flapping(answer)
    with pytest.raises(ToolUnavailable):
        called(guarded(), client, server.url, idempotent=True)
    assert server.requests == 1


@CLIENTS
def test_refused_credentials_are_final(flapping: Callable[..., Flapping], client: Callable[..., Any]) -> None:
    server = flapping(401)
    with pytest.raises(AuthenticationFailed):
        called(guarded(), client, server.url, idempotent=True)
    assert server.requests == 1


@CLIENTS
def test_a_wish_for_a_longer_pause_than_the_deadline_ends_the_call_at_once(
    flapping: Callable[..., Flapping], client: Callable[..., Any]
) -> None:
    server = flapping((503, "20"))
    with Stopwatch() as watch, pytest.raises(ToolUnavailable):
        called(guarded(), client, server.url, idempotent=True, deadline=10)
    assert (server.requests, watch.seconds < 9) == (1, True)


@CLIENTS
def test_a_wish_is_kept(flapping: Callable[..., Flapping], client: Callable[..., Any]) -> None:
    server, began = flapping((429, "1")), time.monotonic()
    assert called(guarded(), client, server.url, idempotent=True) == "ok"
    assert (server.requests, time.monotonic() - began >= 1) == (2, True)


def test_a_refused_connection_is_final() -> None:
    calls = itertools.count()

    def refused() -> None:
        next(calls)
        raise ConnectionRefusedError

    with pytest.raises(ToolUnavailable):
        guarded().call(refused, idempotent=True)
    assert next(calls) == 1


def test_nothing_is_tried_again_once_the_circuit_is_open() -> None:
    guard, calls = guarded(), itertools.count()

    def reset() -> None:
        next(calls)
        for _ in range(5):  # other calls fail meanwhile
            guard.breaker.settle(guard.breaker.acquire().grant, Outcome.FAILED)
        raise ConnectionResetError

    with pytest.raises(ToolUnavailable):
        guard.call(reset, idempotent=True)
    assert (next(calls), guard.breaker.state) == (1, State.OPEN)


def test_a_probe_is_made_once() -> None:
    guard, calls = Guard("mlflow", Breaker("mlflow", Policy(recovery=0)), retries=QUICK), itertools.count()

    def reset() -> None:
        next(calls)
        raise ConnectionResetError

    for _ in range(5):
        guard.breaker.settle(guard.breaker.acquire().grant, Outcome.FAILED)
    with pytest.raises(ToolUnavailable):
        guard.call(reset, idempotent=True)
    assert next(calls) == 1


@pytest.mark.parametrize("in_loop", [False, True])
def test_no_attempt_begins_after_the_deadline(in_loop: bool) -> None:
    calls, release = itertools.count(), threading.Event()
    ended = threading.Event()

    def slow() -> None:
        next(calls)
        release.wait(60)
        ended.set()
        raise ConnectionResetError

    guard = guarded()
    with pytest.raises(ToolUnavailable, match=r"did not answer slow within 0\.1 s"):
        if in_loop:
            asyncio.run(guard.acall(slow, idempotent=True, deadline=0.1))
        else:
            guard.call(slow, idempotent=True, deadline=0.1)
    release.set()
    assert ended.wait(60)
    assert guard.breaker.circuit.failed == 1
    for thread in threading.enumerate():
        if thread.name == "e2i-guarded-call":
            thread.join(60)
    assert next(calls) == 1


def test_a_cancelled_call_makes_no_further_attempt() -> None:
    guard, calls, began = (
        guarded(retries=Retries(initial=30, maximum=30, jitter=0)),
        itertools.count(),
        threading.Event(),
    )

    def reset() -> None:
        next(calls)
        began.set()
        raise ConnectionResetError

    async def cancel() -> None:
        task = asyncio.create_task(guard.acall(reset, idempotent=True, deadline=60))
        while not began.is_set():
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    for thread in threading.enumerate():
        if thread.name == "e2i-guarded-call":
            thread.join(10)
            assert not thread.is_alive()
    assert (next(calls), guard.breaker.circuit.ignored) == (1, 1)


def test_pauses_grow_and_end_with_the_deadline() -> None:
    now, slept = 0.0, list[float]()

    def work() -> None:
        nonlocal now
        now += 1
        raise ConnectionResetError

    attempts = Attempts(
        Retries(attempts=100, initial=1, maximum=8, jitter=0),
        20,
        lambda error: 0.0,
        clock=lambda: now,
        random=lambda: 0,
    )

    def wait(seconds: float) -> bool:
        nonlocal now
        now += seconds
        slept.append(seconds)
        return False

    attempts._over.wait = wait  # type: ignore[assignment, method-assign]
    with pytest.raises(ConnectionResetError):
        attempts.run(work)
    assert (slept, now) == ([1, 2, 4, 8], 20)  # five attempts of 1 s, and the next pause would end after the deadline


@pytest.mark.parametrize(
    ("error", "pause"),
    [
        (ConnectionResetError(), 0.0),
        (BrokenPipeError(), 0.0),
        (RemoteDisconnected("x"), 0.0),
        (ToolUnavailable("opik", "asks for fewer calls", retry_after=3.0), 3.0),
        (ConnectionRefusedError(), None),
        (TimeoutError(), None),
        (ToolUnavailable("opik", "down"), None),
        (ValueError("bad"), None),
        (StepError("the text is: connection reset by peer"), None),
    ],
    ids=repr,
)
def test_only_transient_failures_are_tried_again(error: Exception, pause: float | None) -> None:
    assert pause_before_retry(error) == pause


def test_the_cause_of_an_error_counts() -> None:
    try:
        try:
            raise ConnectionResetError
        except ConnectionResetError as cause:
            raise ToolUnavailable("mlflow", "MLflow does not answer") from cause
    except ToolUnavailable as error:
        assert pause_before_retry(error) == 0.0
