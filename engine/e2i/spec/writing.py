"""Writes plain data as YAML on one line, in the style of the text that it replaces.

In: a value, and the text that it replaces. Out: text that reads back as that value.
"""

from __future__ import annotations

import json
import re
from typing import Any

from e2i.spec import scalars


def written(value: Any, *, like: str = "", flow: bool = True) -> str:
    """Returns the value as YAML. ``like`` is the old text, whose quotes are kept. ``flow``: it is in braces or
    brackets.
    """
    match value:
        case str():
            return _text(value, like[:1], flow)
        case dict():
            items = (f"{_text(str(key), '', True)}: {written(item)}" for key, item in value.items())
            return "{" + ", ".join(items) + "}"
        case list() | tuple():
            return "[" + ", ".join(written(item) for item in value) + "]"
        case float() if value != value:
            return ".nan"
        case float() if value in (float("inf"), float("-inf")):
            return ".inf" if value > 0 else "-.inf"
    return json.dumps(value)


def quoted(text: str) -> str:
    """Returns text in the quotes that need the fewest escapes: double, unless it contains some or a backslash."""
    if ('"' in text or "\\" in text) and text.isprintable():
        return "'" + text.replace("'", "''") + "'"
    return json.dumps(text, ensure_ascii=False)


def _text(text: str, quote: str, flow: bool) -> str:
    if quote == "'" and text.isprintable():
        return "'" + text.replace("'", "''") + "'"
    if quote == '"' or not _is_plain(text, flow):
        return json.dumps(text, ensure_ascii=False) if quote == '"' else quoted(text)
    return text


def _is_plain(text: str, flow: bool) -> bool:
    """Returns True when a text certainly needs no quotes. Some texts that need none are quoted too."""
    if not _PLAIN_START.match(text) or _NEVER_PLAIN.search(text) or not text.isprintable():
        return False
    if flow and _NOT_IN_FLOW.search(text):
        return False
    try:
        return isinstance(scalars.resolve(text), str)
    except scalars.ScalarError:  # it looks like a number that is too large
        return False


_PLAIN_START = re.compile(r"[^\W]|[/.$]")
_NEVER_PLAIN = re.compile(r": |:$| #|\s$")
_NOT_IN_FLOW = re.compile(r"[,\[\]{}]")
