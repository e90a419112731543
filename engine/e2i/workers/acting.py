"""An action's name and raw parameters go in; its outputs come out as plain data, or what it raised as a ``Failure``."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from typing import Any

from pydantic import ValidationError

from e2i.catalog import registry
from e2i.catalog.action import Action, Outputs, Params
from e2i.catalog.artifacts import read_artifacts
from e2i.catalog.context import Look, StepContext
from e2i.errors import BadInput, E2IError, StepError, ToolUnavailable
from e2i.store import disk
from e2i.workers.executor import Failure

MESSAGE_LIMIT = 4_000
OUTPUT_LIMIT = 16 << 20
"""Characters of JSON that the outputs of a step may be."""
DEPTH_LIMIT = 100
"""Lists and mappings that may stand in each other in the outputs of a step."""


def act(uses: str, raw: dict[str, Any], context: StepContext | None) -> dict[str, Any]:
    """Carries an action out. Raises whatever the action raises, and BadInput for parameters that it does not take.

    ``context`` is None for an action that is declared ``inline``: it asks nothing of it.
    """
    action, params = _read(uses, raw)
    result = _result(registry.function(uses)(params, context))
    assert isinstance(result, action.outputs), f"{uses} must return {action.outputs.__name__}"
    return _plain(result, uses)


def missing(uses: str, raw: dict[str, Any], outputs: dict[str, Any], look: Look) -> str | None:
    """Returns what is missing of the effect that a result of the action had; None when the effect is there.

    What cannot be looked at counts as missing: the action, which is idempotent, then sees to it.
    Raises ToolUnavailable.
    """
    try:
        action, params = _read(uses, raw)
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


def _read(uses: str, raw: dict[str, Any]) -> tuple[Action, Params]:
    """The action, and its parameters as it declares them. Raises BadInput."""
    found = registry.action(uses)
    if found is None:
        raise BadInput(f"unknown action {uses!r}", code="unknown-action")
    try:
        return found, found.params.model_validate(read_artifacts(raw))
    except ValidationError as error:
        detail = error.errors(include_url=False, include_input=False)[0]
        raise BadInput(
            f"{uses}: parameter {'.'.join(map(str, detail['loc']))}: {detail['msg']}", code="bad-action-parameter"
        ) from error


def _result(made: Any) -> Any:
    """What an action gives, which may be a coroutine of it."""
    if not inspect.iscoroutine(made):
        return made
    import asyncio  # most actions do without it

    return asyncio.run(made)


def _plain(result: Outputs, uses: str) -> dict[str, Any]:
    """The outputs as plain data. Raises StepError when they are too large or too deep to be kept and handed on."""
    try:
        text = result.model_dump_json()  # NaN, which JSON does not have, becomes null
        outputs: dict[str, Any] = json.loads(text) if len(text) <= OUTPUT_LIMIT else {}
    except (RecursionError, ValueError) as error:  # what pydantic says of data that is very deep is a ValueError
        if not isinstance(error, RecursionError) and "recursion" not in str(error) and "depth" not in str(error):
            raise
        raise _too_large(uses, f"more than {DEPTH_LIMIT} levels deep") from error
    if len(text) > OUTPUT_LIMIT:
        raise _too_large(uses, f"{len(text):,} characters of JSON, more than {OUTPUT_LIMIT:,}")
    if text.count("[") + text.count("{") > DEPTH_LIMIT and _depth(outputs) > DEPTH_LIMIT:
        raise _too_large(uses, f"more than {DEPTH_LIMIT} levels deep")
    return outputs


def _depth(value: Any) -> int:
    """How many lists and mappings stand around the innermost value; counted up to a little more than the limit."""
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
        hint="give back a table, or write a file and keep that",
    )


def failure(error: Exception, uses: str, mask: Callable[[str], str] = str) -> Failure:
    """What an action raised, as data. ``mask`` takes secrets out, before a part of one could be cut off."""
    if isinstance(error, E2IError):
        details = getattr(error, "details", None)
        unavailable = isinstance(error, ToolUnavailable) and error.is_outage
        return Failure(error.code, mask(error.message)[:MESSAGE_LIMIT], error.hint, details, unavailable)
    if isinstance(error, ModuleNotFoundError):
        declared = registry.tool(uses.partition(".")[0])
        extra = declared.extra if declared and declared.extra else "all"
        return Failure("tool-missing", f"{uses}: {error}", f'pip install "e2i[{extra}]"')
    if isinstance(error, MemoryError):
        return Failure("out-of-memory", f"{uses} ran out of memory", "give the step less data or more memory")
    import tempfile  # what may be carried out in the engine's process should not make it wait

    if (trouble := disk.trouble(error, tempfile.gettempdir())) and trouble.code != "not-writable":
        return Failure(trouble.code, trouble.message, trouble.hint)
    text = f"{type(error).__name__}: {error}".strip()
    return Failure("action-failed", mask(text)[:MESSAGE_LIMIT], "the step's log has the whole trace")
