"""Bound calls by a deadline, also where a client has none. In: work, seconds. Out: its result, or a missed deadline."""

from __future__ import annotations

import asyncio
import contextvars
import math
import threading
from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

from e2i.errors import E2IError, Exit

T = TypeVar("T")


class MissedDeadlineError(TimeoutError):
    """A guarded call did not return in time. It may still be running in its thread; its result is dropped."""


class InterpreterEnds(E2IError):
    """A call was not made, because the process is ending. It says nothing about the tool."""

    exit_code = Exit.UNAVAILABLE

    def __init__(self, message: str) -> None:
        super().__init__(message, code="process-ends")


def in_time(work: Callable[[], T], seconds: float) -> T:
    """Returns the result of ``work``. Raises MissedDeadlineError when it takes longer; the thread is then abandoned."""
    return work() if math.isinf(seconds) else _in_thread(work, seconds)


def in_future(work: Callable[[], T]) -> asyncio.Future[T]:
    """Runs ``work`` in a thread. Returns its future in the running event loop."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(cast("T", result))

    def done(result: T | None, error: BaseException | None) -> None:
        try:
            loop.call_soon_threadsafe(settle, result, error)
        except RuntimeError:  # the loop was closed while the call hung, so nothing waits any more
            return

    _start(work, done)
    return future


async def within(work: Awaitable[T], seconds: float) -> T:
    """Returns the result of ``work``. Raises MissedDeadlineError when it takes longer; it is then cancelled."""
    limit = asyncio.timeout(None if math.isinf(seconds) else seconds)
    try:
        async with limit:
            return await work
    except TimeoutError as error:
        if limit.expired():
            raise MissedDeadlineError from error
        raise


def _in_thread(work: Callable[[], T], seconds: float) -> T:
    ended = threading.Event()
    outcome: list[tuple[T | None, BaseException | None]] = []

    def done(result: T | None, error: BaseException | None) -> None:
        outcome.append((result, error))
        ended.set()

    _start(work, done)
    if not ended.wait(seconds):
        raise MissedDeadlineError
    result, error = outcome[0]
    if error is not None:
        raise error
    return cast("T", result)


def _start(work: Callable[[], T], done: Callable[[T | None, BaseException | None], object]) -> None:
    """Runs ``work`` in a daemon thread that may be abandoned, and passes its result or exception to ``done``."""
    context = contextvars.copy_context()

    def run() -> None:
        try:
            result = context.run(work)
        except BaseException as error:  # noqa: BLE001 - carried over to the thread that waits, which raises it
            done(None, error)
        else:
            done(result, None)

    try:
        threading.Thread(target=run, name="e2i-guarded-call", daemon=True).start()
    except RuntimeError as error:  # Python 3.12 starts no thread while the interpreter ends
        raise InterpreterEnds(str(error)) from error
