"""Call functions of the user's project. In: a file, a function, arguments. Out: its result, as data and tables."""

from __future__ import annotations

import contextlib
import sys
import traceback
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any

from e2i.catalog.artifacts import Table
from e2i.catalog.columns import Shape
from e2i.catalog.context import StepContext
from e2i.catalog.shapes import ANY, NULL
from e2i.errors import E2IError, StepError
from e2i.spec.suggest import few
from e2i.telemetry import llm
from e2i.tools.python import CallOutputs, CallParams, exchange, promise
from e2i.tools.python.promise import Promise
from e2i.tools.python.signature import NoFunctionError, Signature, read

TRACE_LIMIT = 8_000
"""Maximum length of a traceback in an error, in characters."""


def call(params: CallParams, ctx: StepContext) -> CallOutputs:
    """Call the function. Raises StepError, with the traceback from the user's own frame on, when it raises."""
    signature = _signature(params, ctx)
    known = signature.parameters if signature else {}
    arguments = {
        name: exchange.argument(value, known[name].shapes if name in known else ANY, ctx)
        for name, value in params.arguments.items()
    }
    try:
        function = ctx.run_file(params.file).get(params.function)
        if not callable(function):
            raise StepError(f"{params.file} has no function {params.function!r}", code="no-such-function")
        with _sharing(arguments), llm.recording(ctx.llm):
            result = function(**arguments)
        ctx.confirm_files(params.reads)
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
    return _returned(result, params, promise.of(params.outputs, signature), ctx)


def _signature(params: CallParams, ctx: StepContext) -> Signature | None:
    """Return the function's signature, as the plan reads it; None when it cannot be read from the text."""
    try:
        return read(ctx.read_code(params.file), params.function)
    except (NoFunctionError, SyntaxError):  # running the file shows why
        return None


@contextlib.contextmanager
def _sharing(arguments: Mapping[str, Any]) -> Iterator[None]:
    """Let frames share their columns until they are written to: pandas then copies the column first."""
    if not any(type(value).__name__ == "DataFrame" for value in arguments.values()):
        yield
        return
    import pandas as pd

    with pd.option_context("mode.copy_on_write", True):
        yield


def _returned(result: Any, params: CallParams, promised: Promise | None, ctx: StepContext) -> CallOutputs:
    """Return the outputs. Raises StepError, naming the function, for a result that is not as promised."""
    try:
        found = exchange.entries(result, promised)
        if found is not None:
            named = _named(found, promised, ctx)
            table = named.get(promise.TABLE)
            return CallOutputs(outputs=named, table=table if isinstance(table, Table) else None)
        value, table = (promised.value, promised.table) if promised else (ANY, ANY)
        if exchange.is_frame(result):
            return CallOutputs(table=exchange.output(result, value if table == NULL else table, "", ctx))
        return CallOutputs(value=exchange.output(result, table if value == NULL else value, "", ctx))
    except StepError as error:
        raise StepError(f"{params.function} in {params.file} {error}", code=error.code, hint=error.hint) from error


def _named(found: Mapping[str, Any], promised: Promise | None, ctx: StepContext) -> dict[str, Any]:
    """Return the outputs by name. Raises StepError when names are missing, or there are others."""
    shape = promised.outputs if promised else Shape("mapping", rest=ANY)
    if odd := [name for name in found if not isinstance(name, str)]:
        raise StepError(f"returned a mapping with the key {odd[0]!r}, not a text", code="bad-result")
    lacking = [str(name) for name in shape.inside if name not in found and name not in shape.optional]
    more = [name for name in found if name not in shape.inside and shape.rest is None]
    if lacking or more:
        what = f"no output {few(lacking)}" if lacking else f"also the output {few(more)}"
        hint = f"return a mapping with exactly these names: {few([str(name) for name in shape.inside])}"
        raise StepError(f"returned {what}", code="bad-result", hint=hint)
    return {
        name: exchange.output(item, shape.inside.get(name) or shape.rest or ANY, name, ctx)
        for name, item in found.items()
    }


def _end(trace: str) -> str:
    """Return the last lines of a trace, each complete, so that the masking of secrets sees all of a line or nothing."""
    return trace if len(trace) <= TRACE_LIMIT else trace[-TRACE_LIMIT:].partition("\n")[2]


def _from(trace: TracebackType | None, file: str) -> TracebackType | None:
    """Return the traceback without the engine's own frames."""
    start = trace
    while start is not None and not start.tb_frame.f_code.co_filename.endswith(f"/{file}"):
        start = start.tb_next
    return start or trace
