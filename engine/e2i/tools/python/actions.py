"""Call functions of the user's project. In: a file, a function, arguments. Out: its result, as data or a table."""

from __future__ import annotations

import contextlib
import json
import sys
import traceback
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any

from e2i.catalog.artifacts import Table
from e2i.catalog.context import StepContext
from e2i.errors import E2IError, StepError
from e2i.tools.python import CallOutputs, CallParams

TRACE_LIMIT = 8_000
"""Maximum length of a traceback in an error, in characters."""


def call(params: CallParams, ctx: StepContext) -> CallOutputs:
    """Call the function. Raises StepError, with the traceback from the user's own frame on, when it raises."""
    arguments = {name: _given(value, ctx) for name, value in params.arguments.items()}
    try:
        function = ctx.run_file(params.file).get(params.function)
        if not callable(function):
            raise StepError(f"{params.file} has no function {params.function!r}", code="no-such-function")
        with _sharing(arguments):
            result = function(**arguments)
    except (E2IError, MemoryError):  # memory has its own limit, which reports its value
        raise
    except (Exception, SystemExit) as error:  # the boundary to the user's own code
        trace = "".join(traceback.format_exception(type(error), error, _from(error.__traceback__, params.file)))
        print(trace, file=sys.stderr)
        raise StepError(
            f"{params.function} in {params.file} raised {type(error).__name__}: {error}",
            code="user-code-failed",
            details={"traceback": _end(trace)},
        ) from error
    return _returned(result, params, ctx)


def _given(value: Any, ctx: StepContext) -> Any:
    """Return the argument for user code. Tables become frames, which share columns while ``_sharing`` is active."""
    return ctx.frame(value).copy(deep=False) if isinstance(value, Table) else value


@contextlib.contextmanager
def _sharing(arguments: Mapping[str, Any]) -> Iterator[None]:
    """Let frames share their columns until they are written to: pandas then copies the column first."""
    if not any(type(value).__name__ == "DataFrame" for value in arguments.values()):
        yield
        return
    import pandas as pd

    with pd.option_context("mode.copy_on_write", True):
        yield


def _returned(result: Any, params: CallParams, ctx: StepContext) -> CallOutputs:
    if type(result).__name__ == "DataFrame":
        return CallOutputs(table=ctx.table(result))
    try:
        return CallOutputs(value=json.loads(json.dumps(result, allow_nan=False)))
    except (TypeError, ValueError, RecursionError) as error:
        raise StepError(
            f"{params.function} in {params.file} returned {type(result).__name__}, which is neither a DataFrame nor"
            f" plain data: {error}",
            code="bad-result",
            hint="return a DataFrame, or lists, mappings, strings and numbers",
        ) from error


def _end(trace: str) -> str:
    """Return the last lines of a trace, each complete, so that the masking of secrets sees all of a line or nothing."""
    return trace if len(trace) <= TRACE_LIMIT else trace[-TRACE_LIMIT:].partition("\n")[2]


def _from(trace: TracebackType | None, file: str) -> TracebackType | None:
    """Return the traceback without the engine's own frames."""
    start = trace
    while start is not None and not start.tb_frame.f_code.co_filename.endswith(f"/{file}"):
        start = start.tb_next
    return start or trace
