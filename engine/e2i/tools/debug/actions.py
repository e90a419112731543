"""Run the debug actions. In: their parameters. Out: their outputs."""

from __future__ import annotations

import time

from e2i.catalog.context import StepContext
from e2i.errors import StepError, ToolUnavailable
from e2i.tools.debug import EchoOutputs, EchoParams, FailOutputs, FailParams, SleepParams


def echo(params: EchoParams, ctx: StepContext) -> EchoOutputs:
    """Return the value unchanged."""
    return EchoOutputs(value=params.value)


def sleep(params: SleepParams, ctx: StepContext) -> EchoOutputs:
    """Return the value after a delay."""
    if params.seconds > 0:  # the system waits 60 µs at least
        time.sleep(params.seconds)
    return EchoOutputs(value=params.value)


def fail(params: FailParams, ctx: StepContext) -> FailOutputs:
    """Raise StepError, or ToolUnavailable when the parameters ask for it."""
    if params.unavailable:
        raise ToolUnavailable("debug", params.message)
    raise StepError(params.message, code="asked-to-fail")
