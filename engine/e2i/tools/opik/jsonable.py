"""Convert what a program observes to bounded JSON. In: any values. Out: JSON values, within Opik's limits."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence, Set
from datetime import date
from typing import Any

LARGEST = 32_000
"""Maximum length of the JSON of a span's input, output or metadata, in characters. Longer JSON is cut and marked."""
DEEPEST = 12
LONGEST_TEXT = 8_000
"""Length from which the text of an object that JSON does not have is cut."""


def jsonable(value: Any, depth: int = 0) -> Any:
    """Returns the value as JSON: numbers of numpy as numbers, objects that JSON does not have as text."""
    match value:
        case None | bool() | int():
            return value
        case str():
            return storable(value)
        case float():
            return value if math.isfinite(value) else str(value)
        case date():
            return value.isoformat()
        case bytes() | bytearray():
            return f"({len(value)} bytes)"
        case Mapping() if depth < DEEPEST:
            return {storable(str(key)): jsonable(item, depth + 1) for key, item in list(value.items())}
        case Sequence() | Set() if depth < DEEPEST:
            return [jsonable(item, depth + 1) for item in list(value)]
    if (scalar := getattr(value, "item", None)) and getattr(value, "shape", None) == ():
        return jsonable(scalar(), DEEPEST)
    return described(value)


def storable(text: str) -> str:
    """Returns a text as UTF-8 can have it: half a character, such as of a wrongly decoded file name, is written out."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def described(value: Any) -> str:
    """Returns a short text for an object: class and shape of a table or an array, else its text."""
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple):
        return f"{type(value).__name__} {shape}"
    try:
        text = str(value)
    except Exception as error:  # noqa: BLE001 - the boundary to foreign objects, which must not break what is observed
        return f"{type(value).__name__} (without text: {type(error).__name__})"
    return storable(text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}… ({len(text)} characters)")


def bounded(value: dict[str, Any]) -> dict[str, Any]:
    """Returns the mapping; if its JSON is too long, each of its values as text with an equal share of the limit."""
    if len(json.dumps(value)) <= LARGEST:
        return value
    share = max(LARGEST // len(value), 40)
    kept: dict[str, Any] = {}
    for name, item in list(value.items())[: LARGEST // 40]:
        text = json.dumps(item)
        kept[name[:200]] = item if len(text) <= share else f"{text[:share]}… ({len(text)} characters)"
    return kept
