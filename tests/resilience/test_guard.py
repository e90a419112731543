from __future__ import annotations

import asyncio
import contextvars
import math
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from e2i.errors import StepError, ToolUnavailable
from e2i.resilience.breaker import Breaker, CircuitOpen, State
from e2i.resilience.guard import Guard

LONG = 60.0


class ServiceError(Exception):
    """Stands for a client library's own exception, with a status."""

    def __init__(self, status: int) -> None:
        super().__init__(f"status {status}")
        self.status = status


def by_status(error: BaseException) -> bool | None:
    return error.status >= 500 if isinstance(error, ServiceError) else None


@pytest.fixture(params=["sync", "async"])
def call(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Calls a function through a guard, by either of its two ways."""
    if request.param == "sync":
        return lambda guard, *args, **kwargs: guard.call(*args, **kwargs)
    return lambda guard, *args, **kwargs: asyncio.run(guard.acall(*args, **kwargs))


def guard(**kwargs: Any) -> Guard:
    return Guard("mlflow", breaker=Breaker("mlflow"), **kwargs)


def failing(error: BaseException) -> Callable[[], None]:
    def request() -> None:
        raise error

    return request


def test_a_result_comes_back_with_arguments_and_context(call: Callable[..., Any]) -> None:
    variable = contextvars.ContextVar("variable", default="unset")
    variable.set("set")
    assert call(guard(), lambda a, *, b: (a, b, variable.get()), 1, b=2) == (1, 2, "set")


@pytest.mark.parametrize("error", [ConnectionRefusedError("refused"), TimeoutError("slow")], ids=repr)
def test_an_outage_becomes_tool_unavailable_and_counts(call: Callable[..., Any], error: Exception) -> None:
    mlflow = guard()
    for _ in range(5):
        with pytest.raises(ToolUnavailable, match=f"mlflow is unavailable, request failed: {type(error).__name__}"):
            call(mlflow, failing(error))
    assert mlflow.breaker.state is State.OPEN
    with pytest.raises(CircuitOpen):
        call(mlflow, failing(error))


def test_the_original_error_stays_as_the_cause(call: Callable[..., Any]) -> None:
    error = ConnectionError("refused")
    with pytest.raises(ToolUnavailable) as caught:
        call(guard(), failing(error))
    assert caught.value.__cause__ is error
    assert (caught.value.tool, caught.value.code) == ("mlflow", "tool-unavailable")


@pytest.mark.parametrize("error", [ValueError("bad"), StepError("no"), KeyError("x"), ServiceError(404)], ids=repr)
def test_a_callers_error_passes_unchanged_and_counts_as_nothing(call: Callable[..., Any], error: Exception) -> None:
    mlflow = guard(classify=by_status, outages=(ServiceError,))
    for _ in range(6):
        with pytest.raises(type(error)) as caught:
            call(mlflow, failing(error))
        assert caught.value is error
        assert caught.value.__cause__ is None
    assert mlflow.breaker.circuit.ignored == 6


def test_a_status_decides_where_the_class_cannot(call: Callable[..., Any]) -> None:
    with pytest.raises(ToolUnavailable):
        call(guard(classify=by_status), failing(ServiceError(503)))


def test_outages_are_named_without_importing_anything(call: Callable[..., Any]) -> None:
    import sqlite3
    import sys

    named = guard(outages=("sqlite3.OperationalError", "not.there.Error"))
    with pytest.raises(ToolUnavailable):
        call(named, failing(sqlite3.OperationalError("locked")))
    assert "not.there" not in sys.modules
    with pytest.raises(sqlite3.IntegrityError):
        call(named, failing(sqlite3.IntegrityError("twice")))


def test_a_hung_call_ends_at_its_deadline_and_counts(call: Callable[..., Any]) -> None:  # B13
    release = threading.Event()
    hung = guard(deadline=0.05)
    try:
        with pytest.raises(ToolUnavailable, match=r"did not answer wait within 0\.05 s") as caught:
            call(hung, release.wait, LONG)
    finally:
        release.set()
    assert caught.value.code == "deadline-missed"
    assert hung.breaker.circuit.failed == 1


def test_a_call_may_have_its_own_deadline(call: Callable[..., Any]) -> None:
    release = threading.Event()
    try:
        with pytest.raises(ToolUnavailable, match=r"within 0\.01 s"):
            call(guard(deadline=LONG), release.wait, LONG, deadline=0.01)
    finally:
        release.set()


def test_without_a_deadline_the_call_stays_in_its_thread() -> None:
    assert guard(deadline=math.inf).call(threading.current_thread) is threading.current_thread()
    assert guard(deadline=LONG).call(threading.current_thread).daemon


def test_a_missing_tool_names_its_extra_and_does_not_open_the_breaker(call: Callable[..., Any]) -> None:
    missing = guard(extra="tracking")

    def use() -> None:
        import a_tool_that_is_not_installed  # type: ignore[import-not-found]  # noqa: F401

    for _ in range(6):
        with pytest.raises(ToolUnavailable) as caught:
            call(missing, use)
    assert caught.value.code == "tool-missing"
    assert caught.value.hint == 'pip install "e2i[tracking]"'
    assert missing.breaker.state is State.CLOSED


def test_an_unavailable_tool_below_is_not_wrapped_twice(call: Callable[..., Any]) -> None:
    error = ToolUnavailable("mlflow", "down")
    outer = guard()
    with pytest.raises(ToolUnavailable) as caught:
        call(outer, failing(error))
    assert caught.value is error
    assert outer.breaker.circuit.failed == 1


def test_a_coroutine_function_is_awaited_in_the_loop() -> None:
    async def double(value: int) -> int:
        await asyncio.sleep(0)
        return 2 * value

    assert asyncio.run(guard().acall(double, 21)) == 42


@pytest.mark.parametrize("in_thread", [True, False])
def test_cancelling_gives_the_permit_back(in_thread: bool) -> None:  # B07
    release = threading.Event()
    mlflow = guard()

    async def forever() -> None:
        await asyncio.Event().wait()

    async def cancel() -> None:
        work = mlflow.acall(release.wait, LONG) if in_thread else mlflow.acall(forever)
        task = asyncio.create_task(work)
        while mlflow.breaker.circuit.granted == 0:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    try:
        asyncio.run(cancel())
    finally:
        release.set()
    assert (mlflow.breaker.circuit.failed, mlflow.breaker.circuit.ignored) == (0, 1)


def test_the_account_in_an_address_is_not_repeated() -> None:
    def connect() -> None:
        raise ConnectionError(f"cannot reach postgresql://u:{'k9Xq2LmZvT' * 30}@host/db or http://u:tR7wPz3Qb8@x")

    with pytest.raises(ToolUnavailable) as caught:
        Guard("db", Breaker("db"), outages=(ConnectionError,)).call(connect)
    assert (
        "k9X" not in str(caught.value)
        and "tR7" not in str(caught.value)
        and "postgresql://***@host" in str(caught.value)
    )


def test_a_missed_deadline_names_the_function_that_was_called(call: Callable[..., Any]) -> None:
    never = threading.Event()

    def _ask(of: str) -> None:
        never.wait(LONG)

    with pytest.raises(ToolUnavailable, match=r"mlflow did not answer ask within 0\.01 s"):
        call(guard(deadline=0.01), partial(_ask, "tracking"))
    never.set()
