"""Guard calls to a tool. In: a call. Out: its result, ``ToolUnavailable`` when the tool is down, or the caller's error.

Every call runs with the tool's breaker and a deadline. The guard knows which exceptions mean "down".
"""

from __future__ import annotations

import inspect
import math
import random
import re
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

from msgspec import Struct

from e2i.errors import AuthenticationFailed, E2IError, MissingDatabase, ToolUnavailable
from e2i.resilience.attempts import Attempts, Retries
from e2i.resilience.breaker import Breaker, CircuitOpen, State
from e2i.resilience.deadlines import MissedDeadlineError, in_future, in_time, within
from e2i.resilience.denial import is_denial, missing_database
from e2i.resilience.error_masking import mask_error
from e2i.resilience.transient import pause_before_retry

T = TypeVar("T")
MARGIN = 1.0
"""Seconds that a probe's lease lasts beyond its deadline, so that a missed deadline is still recorded."""


ACCOUNT = re.compile(r"://[^/?#\s]*@")
"""Pattern of the user, and perhaps the password, in an address."""


def without_accounts(text: str) -> str:
    """Returns the text with neither user nor password in its addresses."""
    return ACCOUNT.sub("://***@", text)


class Guard(Struct, frozen=True):
    """Guards the calls to one tool.

    ``deadline`` is in seconds; ``math.inf`` means none, and the call then runs in the caller's own thread. ``outages``
    are exception classes, or their dotted names (looked up in loaded modules: nothing is imported). ``classify``
    decides where the class of an exception is not enough, such as by a status code: True for an outage, False for the
    caller's error, None to leave it to ``outages``. ``extra`` is the extra of e2i that installs the tool. ``retries``
    is for idempotent calls. ``mask`` removes credentials from a text: a server may repeat them in its answers, so every
    exception that leaves a call is masked.
    """

    tool: str
    breaker: Breaker
    deadline: float = 30.0
    outages: tuple[str | type[BaseException], ...] = ()
    classify: Callable[[BaseException], bool | None] | None = None
    extra: str | None = None
    retries: Retries = Retries()
    mask: Callable[[str], str] = without_accounts
    cuts_short: bool = False
    """Whether a call may be given less time than ``deadline`` because of its caller's own limit. When it misses that,
    it says nothing of the tool, and the breaker ignores it.
    """

    def call(
        self,
        function: Callable[..., T],
        *args: Any,
        deadline: float | None = None,
        idempotent: bool = False,
        **kwargs: Any,
    ) -> T:
        """Calls ``function(*args, **kwargs)``. Raises ToolUnavailable (CircuitOpen without calling) or its own errors.

        With a deadline the call runs in a daemon thread with the caller's context variables: a hung client cannot hang
        the step. An ``idempotent`` call is tried again after a transient failure, within the deadline and while the
        circuit is closed. The breaker counts one result for all its attempts.
        """
        seconds = self.deadline if deadline is None else deadline
        work = partial(function, *args, **kwargs)
        try:
            with (
                self.breaker.acquire(self._counts(seconds), lease=_lease(seconds)),
                self._attempts(seconds) as attempts,
            ):
                return in_time(partial(attempts.run, work) if idempotent else work, seconds)
        except CircuitOpen:  # the breaker's own words: there is nothing of a server to mask
            raise
        except Exception as error:  # classified; anything but an outage is raised unchanged
            explained = self._explain(error, function, seconds)
            if explained is error:
                raise
            raise explained from error

    async def acall(
        self,
        function: Callable[..., Awaitable[T]] | Callable[..., T],
        *args: Any,
        deadline: float | None = None,
        idempotent: bool = False,
        **kwargs: Any,
    ) -> T:
        """As ``call``, without blocking the event loop: a coroutine function is awaited, any other runs in a thread."""
        seconds = self.deadline if deadline is None else deadline
        work: Callable[[], Any] = partial(function, *args, **kwargs)
        try:
            with (
                self.breaker.acquire(self._counts(seconds), lease=_lease(seconds)),
                self._attempts(seconds) as attempts,
            ):
                running: Awaitable[T]
                if inspect.iscoroutinefunction(function):
                    running = attempts.arun(work) if idempotent else work()
                else:
                    running = in_future(partial(attempts.run, work) if idempotent else work)
                return await within(running, seconds)
        except CircuitOpen:  # the breaker's own words: there is nothing of a server to mask
            raise
        except Exception as error:  # classified; anything but an outage is raised unchanged
            explained = self._explain(error, function, seconds)
            if explained is error:
                raise
            raise explained from error

    def _attempts(self, seconds: float) -> Attempts:
        def pause_for(error: Exception) -> float | None:
            return pause_before_retry(error) if self.breaker.state is State.CLOSED else None

        return Attempts(self.retries, seconds, pause_for, clock=time.monotonic, random=random.random)

    def _counts(self, seconds: float) -> Callable[[BaseException], bool]:
        """Returns what the breaker counts as a failure of a call of at most ``seconds``."""
        if not self.cuts_short or seconds >= self.deadline:
            return self.is_outage
        return lambda error: not isinstance(error, MissedDeadlineError) and self.is_outage(error)

    def is_outage(self, error: BaseException) -> bool:
        """Returns True when the exception means that the tool is down, not that the request was invalid."""
        if isinstance(error, E2IError):
            return isinstance(error, ToolUnavailable) and error.is_outage and not self._is_misconfigured(error)
        if isinstance(error, MissedDeadlineError):
            return True
        if is_denial(error) or missing_database(error) is not None:
            return False
        verdict = self.classify(error) if self.classify else None
        if verdict is not None:
            return verdict
        return isinstance(error, (ConnectionError, TimeoutError, *_loaded(self.outages)))

    def _is_misconfigured(self, error: BaseException) -> bool:
        """Returns True when the cause of an error is that the tool refuses the credentials, or lacks the database."""
        if isinstance(error, (CircuitOpen, AuthenticationFailed, MissingDatabase)):
            return False
        if isinstance(error, E2IError) and error.__cause__ is None:
            return False
        return is_denial(error) or missing_database(error) is not None

    def _explain(self, error: Exception, function: Callable[..., Any], seconds: float) -> Exception:
        """Returns the exception to raise, masked: ``error`` itself, or the ToolUnavailable that it means."""
        mask_error(error, self.mask)
        if self._is_misconfigured(error):
            if said := missing_database(error):
                return MissingDatabase(self.tool, f"{self.tool} cannot be used: {said}")
            return AuthenticationFailed(self.tool, f"{self.tool} refuses the credentials: {_first_line(error)}")
        if isinstance(error, E2IError):
            return error
        if isinstance(error, ModuleNotFoundError) and not (error.name or "").startswith("e2i"):
            return ToolUnavailable(
                self.tool,
                f"{self.tool} is not installed: {error}",
                code="tool-missing",
                hint=f'pip install "e2i[{self.extra or self.tool}]"',
            )
        if not self.is_outage(error):
            return error
        name = _name_of(function)
        if isinstance(error, MissedDeadlineError):
            return ToolUnavailable(
                self.tool,
                f"{self.tool} did not answer {name} within {seconds:.3g} s",
                code="deadline-missed",
                hint=f"check that {self.tool} is up, or raise its `deadline` in the configuration",
            )
        return ToolUnavailable(
            self.tool,
            f"{self.tool} is unavailable, {name} failed: {type(error).__name__}: {_first_line(error)}",
            hint=f"check the address and state of {self.tool} with `e2i doctor`",
        )


def _name_of(function: Callable[..., Any]) -> str:
    """Returns the function's display name; for a ``partial``, the name of the wrapped function."""
    while isinstance(function, partial):
        function = function.func
    return str(getattr(function, "__name__", type(function).__name__)).strip("_")


def _first_line(error: BaseException) -> str:
    """Returns the error's first line, with addresses in it without user and password."""
    lines = str(error).strip().splitlines() or [""]
    return without_accounts(lines[0])[:300]


def _lease(seconds: float) -> float | None:
    return None if math.isinf(seconds) else seconds + MARGIN


def _loaded(names: tuple[str | type[BaseException], ...]) -> tuple[type[BaseException], ...]:
    """Returns the exception classes among ``names`` whose modules are loaded."""
    found: list[type[BaseException]] = []
    for name in names:
        if isinstance(name, str):
            module, _, attribute = name.rpartition(".")
            loaded = getattr(sys.modules.get(module), attribute, None)
        else:
            loaded = name
        if isinstance(loaded, type) and issubclass(loaded, BaseException):
            found.append(loaded)
    return tuple(found)
