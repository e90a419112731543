"""Run one action. In: its name and raw parameters. Out: its outputs as plain data, or a ``Failure``."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from typing import Any

from pydantic import ValidationError

from e2i.catalog.action import Action, Outputs, Params
from e2i.catalog.artifacts import read_artifacts
from e2i.catalog.context import Look, StepContext
from e2i.catalog.registry import Registry, tool_name
from e2i.documents import OutputValues, ParamValues
from e2i.errors import BadInput, E2IError, StepError, ToolUnavailable
from e2i.spec.validation import mistakes
from e2i.store import disk
from e2i.workers.executor import Failure

MESSAGE_LIMIT = 4_000
OUTPUT_LIMIT = 16 << 20
"""Maximum length of the JSON of a step's outputs, in characters."""
DEPTH_LIMIT = 100
"""Maximum nesting depth of lists and mappings in a step's outputs."""


def act(uses: str, raw: ParamValues, context: StepContext | None, registry: Registry) -> OutputValues:
    """Run an action. Raises whatever the action raises, and BadInput for invalid parameters.

    ``context`` is None for an action that is declared ``inline``, which does not use it.
    """
    action, params = _read(uses, raw, registry)
    result = _result(registry.function(uses)(params, context))
    assert isinstance(result, action.outputs), f"{uses} must return {action.outputs.__name__}"
    return _plain(result, uses)


def missing(uses: str, raw: ParamValues, outputs: OutputValues, look: Look, registry: Registry) -> str | None:
    """Return what is missing of the effect of an action's earlier result; None when the effect exists.

    An effect that cannot be checked counts as missing: the action is idempotent and runs again. Raises ToolUnavailable.
    """
    try:
        action, params = _read(uses, raw, registry)
        found: str | None = _result(
            registry.effect_check(uses)(params, action.outputs.model_validate(read_artifacts(outputs)), look)
        )
    except ToolUnavailable:
        raise
    except E2IError as error:
        return error.message
    except Exception as error:  # noqa: BLE001 - of another version, or corrupt
        return f"it cannot be verified ({type(error).__name__}: {error})"[:500]
    return found


def _read(uses: str, raw: ParamValues, registry: Registry) -> tuple[Action, Params]:
    """Return the action, and its validated parameters. Raises BadInput."""
    found = registry.action(uses)
    if found is None:
        raise BadInput(f"unknown action {uses!r}", code="unknown-action")
    try:
        return found, registry.validate(uses, read_artifacts(raw))
    except ValidationError as error:
        detail = mistakes(error, raw)[0]
        raise BadInput(
            f"{uses}: parameter {'.'.join(map(str, detail['loc']))}: {detail['msg']}", code="bad-action-parameter"
        ) from error


def _result(made: Any) -> Any:
    """Return the action's result, awaited if it is a coroutine."""
    if not inspect.iscoroutine(made):
        return made
    import asyncio  # most actions do not need asyncio

    return asyncio.run(made)


def _plain(result: Outputs, uses: str) -> OutputValues:
    """Return the outputs as plain data. Raises StepError when they are too large or too deep to be stored."""
    try:
        text = result.model_dump_json()  # NaN, which JSON does not have, becomes null
        outputs = OutputValues(json.loads(text) if len(text) <= OUTPUT_LIMIT else {})
    except (RecursionError, ValueError) as error:  # pydantic raises a ValueError for very deep data
        if not isinstance(error, RecursionError) and "recursion" not in str(error) and "depth" not in str(error):
            raise
        raise _too_large(uses, f"more than {DEPTH_LIMIT} levels deep") from error
    if len(text) > OUTPUT_LIMIT:
        raise _too_large(uses, f"{len(text):,} characters of JSON, more than {OUTPUT_LIMIT:,}")
    if text.count("[") + text.count("{") > DEPTH_LIMIT and _depth(outputs) > DEPTH_LIMIT:
        raise _too_large(uses, f"more than {DEPTH_LIMIT} levels deep")
    return outputs


def _depth(value: Any) -> int:
    """Return the nesting depth of a value; counting stops slightly above the limit."""
    level, depth = [value], 0
    while level and depth <= DEPTH_LIMIT + 1:
        inner: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                inner.extend(item.values())
            elif isinstance(item, list):
                inner.extend(item)
        level = [item for item in inner if isinstance(item, (dict, list))]
        depth += 1
    return depth


def _too_large(uses: str, how: str) -> StepError:
    return StepError(
        f"the outputs of {uses} are {how}",
        code="output-too-large",
        hint="return a table, or write a file and return that",
    )


def failure(error: Exception, uses: str, registry: Registry, mask: Callable[[str], str] = str) -> Failure:
    """Return an action's exception as data. ``mask`` removes secrets before the text is shortened."""
    if isinstance(error, E2IError):
        details = getattr(error, "details", None)
        unavailable = isinstance(error, ToolUnavailable) and error.is_outage
        return Failure(error.code, mask(error.message)[:MESSAGE_LIMIT], error.hint, details, unavailable=unavailable)
    if isinstance(error, ModuleNotFoundError):
        return Failure("tool-missing", f"{uses}: {error}", _installing(tool_name(uses), registry))
    if isinstance(error, MemoryError):
        return Failure("out-of-memory", f"{uses} ran out of memory", "reduce the step's data or raise its memory")
    import tempfile  # the engine's process must not wait for an inline action

    if (trouble := disk.trouble(error, tempfile.gettempdir())) and trouble.code != "not-writable":
        return Failure(trouble.code, trouble.message, trouble.hint)
    text = f"{type(error).__name__}: {error}".strip()
    return Failure("action-failed", mask(text)[:MESSAGE_LIMIT], "see the step's log for the whole trace")


def _installing(name: str, registry: Registry) -> str:
    """Return how to install the libraries of a tool."""
    tool = registry.tool(name)
    if name in registry.plugins:
        return f"install the requirements of the plug-in {tool.distribution if tool else name}"
    return f'pip install "e2i[{tool.extra if tool and tool.extra else "all"}]"'
