"""Finds a character of a value in the YAML that it was written as. In: the scalar as written, its value. Out: offset.

YAML changes only white space (by folding and by indentation), quotes and escapes. So the characters that are no white
space follow each other as they do in the value, and counting them leads to the same character.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_ESCAPED = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|\r?\n[ \t]*|.)|.", re.DOTALL)
_ANCHOR = re.compile(r"^&\S+\s+")
_QUOTED = re.compile(r"''|.", re.DOTALL)
_WHITE = frozenset("nrt \t\r\n")
"""White space, and the letters that are escapes for it."""


def offset(written: str, value: str, at: int) -> int | None:
    """Returns the offset in ``written`` of the character at ``at`` in ``value``; None when they do not correspond."""
    start = len(written) - len(_ANCHOR.sub("", written, count=1))
    found = [start + place for place in _characters(written[start:])]
    solid = "".join(value.split())
    if len(found) != len(solid):
        return None
    before = len("".join(value[:at].split()))
    return found[before] if before < len(found) else found[-1] + 1 if found else None


def _characters(written: str) -> Iterator[int]:
    """Yields the offset of each character that is no white space, in a scalar of any style."""
    style = written[:1]
    if style in ("|", ">"):
        head = written.find("\n")
        yield from (place for place in range(head + 1, len(written)) if head >= 0 and not written[place].isspace())
    elif style == '"':
        for match in _ESCAPED.finditer(written, 1, _end(written, '"')):
            if not _is_white(match):
                yield match.start()
    elif style == "'":
        for match in _QUOTED.finditer(written, 1, _end(written, "'")):
            if not match.group().isspace():
                yield match.start()
    else:
        yield from (place for place, character in enumerate(written) if not character.isspace())


def _is_white(match: re.Match[str]) -> bool:
    text = match.group()
    if not text.startswith("\\"):
        return text.isspace()
    code = match[1] or match[2] or match[3]
    if code is not None:
        return chr(int(code, 16)).isspace()
    return text[1] in _WHITE or text[1] in "vfNL_P" or text[1:].isspace()


def _end(written: str, quote: str) -> int:
    end = written.rfind(quote)
    return end if end > 0 else len(written)
