"""Execute the attempts of one run: the first, and with ``--retry-run`` those that resume it.

In: a function that begins the run. Out: the record of the last attempt.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Self

import click
from msgspec import Struct

from e2i import api, startup
from e2i.cli import destinations
from e2i.cli.problems_view import safe
from e2i.cli.progress import JsonLines, Lines, Reporter
from e2i.cli.signals import Signals
from e2i.errors import E2IError, Exit
from e2i.execution.engine import Engine
from e2i.execution.outcome import exit_code
from e2i.execution.record import RunRecord
from e2i.operations.retrying import RunRetries
from e2i.operations.watch import RunWatch

LOOK = 0.1
"""Seconds between two checks whether the user wants no other attempt."""


class Shown(Struct, frozen=True):
    """Options of ``e2i run`` about what the run's end is and how it is printed."""

    as_json: bool
    strict: bool = False
    """Deferred work counts as an outage."""
    retries: int = 0
    """Attempts after the first."""


class Attempts:
    """The attempts of one run. Signals, printed events and notifications are those of one run."""

    def __init__(self, workspace: api.Workspace, shown: Shown) -> None:
        self._workspace = workspace
        self._strict = shown.strict
        self._is_begun = shown.as_json
        self._reporter = reporter(as_json=shown.as_json)
        self._signals = Signals(self._reporter)
        self._retries = RunRetries(shown.retries, workspace.settings.retry_run, _chance, strict=shown.strict)
        self._watch = RunWatch(
            lambda end: exit_code(
                end.status,
                end.steps,
                degraded=end.degraded,
                strict=self._strict,
                interrupted=self._signals.exit_code,
            ),
            lambda end: not self._signals.received and self._retries.follows(end),
            lambda: self._signals.received,
        )

    def __enter__(self) -> Self:
        self._reporter.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._watch.close()
        finally:
            self._reporter.__exit__(kind, error, trace)

    def exit_code(self, record: RunRecord) -> Exit:
        return exit_code(
            record.status,
            record.ends,
            degraded=record.degraded,
            strict=self._strict,
            interrupted=self._signals.exit_code,
        )

    def execute(self, begin: Callable[..., RunRecord]) -> RunRecord:
        """Executes the run, and resumes it as often as the options allow. Returns the record of the last attempt."""
        attempt = begin
        while True:
            try:
                record = attempt(
                    listen=self._reporter.emit, on_engine=self._begin, watch=self._watch, workspace=self._workspace
                )
                if not self._watch.waits or not self._wait():
                    return record
            except E2IError:
                if not self._watch.waits or not self._wait():
                    raise
            run = self._watch.run
            attempt = begin if run is None else partial(api.resume, run)

    def _begin(self, engine: Engine) -> None:
        """Prepares for execution: the spec is checked and planned. Prints where the tools are, once, for people."""
        if not self._is_begun:
            self._is_begun = True
            click.echo(click.style(safe(destinations.line(self._workspace)), dim=True), err=True)
        self._signals.attach(engine)
        startup.settle()

    def _wait(self) -> bool:
        """Waits for the time of the next attempt. Returns False when the user has stopped the run meanwhile."""
        seconds = self._retries.next(self._watch.closed_for())
        self._watch.retried(self._retries.attempt, self._retries.attempts, seconds)
        ends = time.monotonic() + seconds
        while not self._signals.received and (left := ends - time.monotonic()) > 0:
            time.sleep(min(LOOK, left))
        return not self._signals.received


def reporter(*, as_json: bool) -> Reporter:
    """Returns what prints the events of a run: JSON lines, plain lines, or a table on a terminal."""
    if as_json:
        return JsonLines()
    if not sys.stderr.isatty():
        return Lines()
    from e2i.cli.screen import Screen  # importing Rich takes as long as a run of a thousand finished steps

    return Screen()


def _chance() -> float:
    import random  # few runs need it, and its import takes time

    return random.random()
