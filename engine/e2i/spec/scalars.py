"""Resolves plain YAML scalars by the YAML 1.2 core schema, and lists the characters that no text may contain.

In: text as written. Out: str, int, float, bool or None. ``ScalarError`` for a number that cannot be represented.
"""

from __future__ import annotations

import re

Scalar = str | int | float | bool | None

INT_MIN, INT_MAX = -(2**63), 2**63 - 1
"""Range of integers in a spec: 64 bits, as in JSON readers, Arrow and SQLite."""
LONGEST_KEY = 1_000
"""Limit on the characters of a key, which is in every path inside its value. PyYAML reads no key over 1,024."""


class ScalarError(ValueError):
    """A number that fits neither a 64-bit integer nor a float."""


def resolve(text: str) -> Scalar:
    """Returns the value of an unquoted scalar: ``no`` is text, ``1e3`` a float, ``0o17`` and ``0x1F`` integers, ``012``
    is 12.

    Raises ScalarError for an integer beyond 64 bits and for a float beyond double precision.
    """
    if text[:1] not in _FIRST:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if match := _INT.fullmatch(text):
        return _integer(text, match)
    if _FLOAT.fullmatch(text):
        return _float(text)
    return text


def forbidden(text: str) -> int | None:
    """Returns the offset of the first character that no text of a spec may contain, or None.

    Refused are control characters (only tab and line feed are allowed), lone surrogates, noncharacters, byte order
    marks and the controls that reorder text on a screen. Each can make a text look different from what it is.
    """
    match = _FORBIDDEN.search(text)
    return match.start() if match else None


def character(char: str) -> str:
    """Returns a character's name for a message: ``U+202E (right-to-left override)``."""
    code = ord(char)
    name = _NAMES.get(code) or ("lone surrogate" if 0xD800 <= code <= 0xDFFF else "control character")
    return f"U+{code:04X} ({name})"


def _integer(text: str, match: re.Match[str]) -> int:
    base = 16 if match["hex"] else 8 if match["oct"] else 10
    digits = (match["hex"] or match["oct"] or match["dec"]).lstrip("0") or "0"
    # The length comes first: int() of two million digits takes seconds.
    value = int(digits, base) if len(digits) <= 22 else INT_MAX + 1
    value = -value if match["sign"] == "-" else value
    if not INT_MIN <= value <= INT_MAX:
        raise ScalarError(f"the integer {shorten(text)} does not fit in 64 bits; quote it to make it text")
    return value


def _float(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ScalarError(f"the number {shorten(text)} is too large for a float")
    return value


def shorten(text: str, length: int = 40) -> str:
    """Returns the text, shortened for a message."""
    return text if len(text) <= length else text[: length - 1] + "…"


def show(value: object) -> str:
    """Returns a value as shown in messages: null, true and false as YAML writes them."""
    return _NAMED.get(value, "null") if value is None or isinstance(value, bool) else shorten(repr(value), 60)


_NAMED: dict[object, str] = {True: "true", False: "false"}


_WORDS: dict[str, Scalar] = {
    "": None,
    "~": None,
    **dict.fromkeys(("null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
    **{sign + word: float(sign + "inf") for sign in ("", "+", "-") for word in (".inf", ".Inf", ".INF")},
}
_FIRST = frozenset(["", *"~nNtTfF.+-0123456789"])
"""The first characters of values that are not text."""
_INT = re.compile(r"(?P<sign>[-+]?)(?P<dec>[0-9]+)|0o(?P<oct>[0-7]+)|0x(?P<hex>[0-9a-fA-F]+)")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_FORBIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff]"
)
_NAMES = {
    0x00: "NUL",
    0x0D: "carriage return",
    0x1B: "escape",
    0x85: "next line",
    0x061C: "Arabic letter mark",
    0x200E: "left-to-right mark",
    0x200F: "right-to-left mark",
    0x202A: "left-to-right embedding",
    0x202B: "right-to-left embedding",
    0x202C: "pop directional formatting",
    0x202D: "left-to-right override",
    0x202E: "right-to-left override",
    0x2066: "left-to-right isolate",
    0x2067: "right-to-left isolate",
    0x2068: "first strong isolate",
    0x2069: "pop directional isolate",
    0xFEFF: "byte order mark",
    0xFFFE: "noncharacter",
    0xFFFF: "noncharacter",
}
