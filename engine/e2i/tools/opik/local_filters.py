"""Filter documents by Opik's query language. In: documents and filters. Out: whether a document matches.

The filters have the form in which the SDK parses a ``filter_string``: field, operator, key and value. A document must
match all of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

TEXT: dict[str, Callable[[str, str], bool]] = {
    "=": lambda held, asked: held == asked,
    "!=": lambda held, asked: held != asked,
    "contains": lambda held, asked: asked.lower() in held.lower(),
    "not_contains": lambda held, asked: asked.lower() not in held.lower(),
    "starts_with": lambda held, asked: held.lower().startswith(asked.lower()),
    "ends_with": lambda held, asked: held.lower().endswith(asked.lower()),
    ">": lambda held, asked: held > asked,
    "<": lambda held, asked: held < asked,
    ">=": lambda held, asked: held >= asked,
    "<=": lambda held, asked: held <= asked,
}
ORDER: dict[str, Callable[[float, float], bool]] = {
    "=": lambda held, asked: held == asked,
    "!=": lambda held, asked: held != asked,
    ">": lambda held, asked: held > asked,
    "<": lambda held, asked: held < asked,
    ">=": lambda held, asked: held >= asked,
    "<=": lambda held, asked: held <= asked,
}
TIMES = ("start_time", "end_time", "created_at", "last_updated_at")


class BadFilter(ValueError):
    """A filter that cannot be applied: an unknown operator, or a value of the wrong type."""


def matches(document: Mapping[str, Any], filters: Sequence[Mapping[str, Any]]) -> bool:
    """Return True when the document meets every filter. Raises BadFilter."""
    return all(_holds(document, item) for item in filters)


def _holds(document: Mapping[str, Any], item: Mapping[str, Any]) -> bool:
    field, operator, asked = str(item.get("field")), str(item.get("operator")), item.get("value")
    held = _held(document, field, item.get("key"))
    if operator in ("is_empty", "is_not_empty"):
        return (held is None) == (operator == "is_empty")
    if operator in ("in", "not_in"):
        choices = [choice.strip().strip('"') for choice in str(asked).split(",")]
        return (str(held) in choices) == (operator == "in")
    if held is None:
        return operator in ("!=", "not_contains")
    if isinstance(held, list):
        return (str(asked) in held) == (operator == "contains")
    try:
        if field in TIMES:
            return ORDER[operator](_seconds(str(held)), _seconds(str(asked)))
        if isinstance(held, (int, float)) and not isinstance(held, bool) and operator in ORDER:
            return ORDER[operator](float(held), float(str(asked)))
        return TEXT[operator](held if isinstance(held, str) else json.dumps(held), str(asked))
    except KeyError:
        raise BadFilter(f"unknown operator {operator!r} for {field!r}") from None
    except ValueError as error:
        raise BadFilter(f"{asked!r} cannot be compared with {field!r}: {error}") from error


def _held(document: Mapping[str, Any], field: str, key: Any) -> Any:
    """Return the value of a field, a key in a field (dots are nesting), a score, or ``usage.total_tokens``."""
    if field == "feedback_scores":
        return next((score["value"] for score in document.get(field) or [] if score["name"] == key), None)
    value: Any = document
    for name in [*field.split("."), *(str(key).split(".") if key else [])]:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _seconds(text: str) -> float:
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
