"""Decide whether a whole run is tried again, and when. In: ends of its attempts. Out: waits in seconds."""

from __future__ import annotations

from collections.abc import Callable

from e2i.alerting import RunRetry
from e2i.errors import E2IError
from e2i.execution.events import RunFinished
from e2i.execution.outcome import may_pass, may_succeed
from e2i.resilience import retry
from e2i.spec import durations

JITTER = 0.2
"""Random share of each wait, so that runs that failed together are not tried again together."""


class RunRetries:
    """The attempts of one run after the first."""

    def __init__(self, most: int, policy: RunRetry, chance: Callable[[], float], *, strict: bool = False) -> None:
        """``most``: attempts after the first. ``chance`` returns numbers in [0, 1). ``strict``: deferred is failed."""
        self.attempts = most + 1
        self.attempt = 1
        self._policy = policy
        self._chance = chance
        self._strict = strict

    def follows(self, end: RunFinished | E2IError) -> bool:
        """Returns whether another attempt follows this end of the present one."""
        if self.attempt >= self.attempts:
            return False
        if isinstance(end, E2IError):
            return may_pass(end)
        return may_succeed(end.status, end.steps, strict=self._strict)

    def next(self, at_least: float = 0.0) -> float:
        """Begins the next attempt. Returns the seconds until then, at least those until the tools may be called."""
        seconds = retry.pause(
            self.attempt, initial=durations.parse(self._policy.initial), maximum=durations.parse(self._policy.max)
        )
        self.attempt += 1
        return max(seconds * (1 - JITTER * self._chance()), at_least)
