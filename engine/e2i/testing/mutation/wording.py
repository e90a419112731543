"""Other numbers and other conditions. In: a value or the text of an expression. Out: values that differ a little."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

OTHER = {">=": ("<", ">"), "<=": (">", "<"), ">": ("<=", ">="), "<": (">=", "<="), "==": ("!=",), "!=": ("==",)}
"""For each comparison, its opposite and the one that differs at the bound."""
WORDS = {"and": "or", "or": "and"}
_COMPARISON = re.compile(r">=|<=|==|!=|>|<")
_WORD = re.compile(r"\b(and|or)\b")
_NUMBER = re.compile(r"(?<![\w.\]'\"])\d+(?:\.\d+)?(?![\w.'\"])")
_TEXT = re.compile(r"'[^']*'|\"[^\"]*\"")


def other_numbers(value: Any) -> Iterator[int | float]:
    """Yields a number that is a little larger, and one that is half of it. Nothing for what is no number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return
    if isinstance(value, int):
        yield value + 1
        if value > 3:
            yield value // 2
    else:
        yield round(value * 1.2, 10) if value else 0.1
        yield round(value / 2, 10) if value else -0.1


def conditions(text: str) -> Iterator[str]:
    """Yields the text with another comparison, another word between conditions, or another number."""
    inside = [match.span() for match in _TEXT.finditer(text)]

    def free(match: re.Match[str]) -> bool:
        return not any(start < match.end() and match.start() < end for start, end in inside)

    start, end = text.find("${{") + 3, text.rfind("}}")
    for match in filter(free, _COMPARISON.finditer(text, start, end)):
        for other in OTHER[match[0]]:
            yield text[: match.start()] + other + text[match.end() :]
    for match in filter(free, _WORD.finditer(text, start, end)):
        yield text[: match.start()] + WORDS[match[0]] + text[match.end() :]
    for match in filter(free, _NUMBER.finditer(text, start, end)):
        number = float(match[0]) if "." in match[0] else int(match[0])
        for other_number in list(other_numbers(number))[:1]:
            yield text[: match.start()] + str(other_number) + text[match.end() :]
