"""Close what a piece of YAML leaves open: quotes, brackets and braces.

In: text up to a position. Out: the characters that are missing, and the text without the braces of expressions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any


def masked(text: str) -> tuple[str, dict[str, str]]:
    """Returns the text with a word in place of each complete expression, whose braces are not YAML's, and the words."""
    words: dict[str, str] = {}

    def word(found: re.Match[str]) -> str:
        words[name := f"e2i__{len(words)}__e2i"] = found[0]
        return name

    return _EXPRESSION.sub(word, text), words


def unmasked(value: Any, words: Mapping[str, str]) -> Any:
    """Returns data with the expressions in place of their words."""
    if isinstance(value, dict):
        return {unmasked(key, words): unmasked(item, words) for key, item in value.items()}
    if isinstance(value, list):
        return [unmasked(item, words) for item in value]
    return _WORD.sub(lambda found: words.get(found[0], found[0]), value) if isinstance(value, str) else value


def closers(text: str) -> str:
    """Returns the quote, brackets and braces that close the text. Empty when nothing is open."""
    stack: list[str] = []
    quote = ""
    block: int | None = None
    for line in text.split("\n"):
        indent = len(line) - len(line.lstrip(" "))
        if block is not None and (not line.strip() or indent > block):
            continue
        block = None
        if not quote and not stack and _BLOCK.search(line):
            block = indent
            continue
        quote = _scan(line, quote, stack)
    return quote + "".join(reversed(stack))


def _scan(line: str, quote: str, stack: list[str]) -> str:
    """Follows one line: changes the stack of closing brackets, and returns the quote that is open at its end."""
    index, is_start = 0, not quote
    while index < len(line):
        if is_start and (name := _ANCHOR.match(line, index)):
            index = name.end()
            continue
        char = line[index]
        if quote:
            if line.startswith("\\" if quote == '"' else "''", index):
                index += 1
            elif char == quote:
                quote = ""
        elif char in "\"'" and is_start:
            quote = char
        elif char in "[{" and (is_start or stack):
            stack.append("]" if char == "[" else "}")
        elif stack and char == stack[-1]:
            stack.pop()
        elif char == "#" and (index == 0 or line[index - 1].isspace()):
            break
        begins_value = char in ":-" and line[index + 1 : index + 2] in ("", " ")
        is_start = char in ",[{" or begins_value or (char == " " and is_start)
        index += 1
    return quote


_WORD = re.compile(r"e2i__[0-9]+__e2i")
_EXPRESSION = re.compile(r"\$\{\{[^\n]*?\}\}")
_ANCHOR = re.compile(r"[&!][^\s,\[\]{}]* ")
"""A name or a tag before a value."""
_BLOCK = re.compile(r":\s+[|>][+-]?\d*\s*(#.*)?$")
