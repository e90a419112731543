"""Plain data goes in; its JSON comes out, on one line, several times as fast as the standard library.

For what is written for every step: rows of the journal, lines of events. Not for what is digested: numbers may be
written in another form than ``json`` gives them, and NaN, which JSON does not have, becomes ``null``.
"""

from __future__ import annotations

import json
from typing import Any

from msgspec.json import Encoder
from msgspec.json import format as formatted


def dumps(value: Any, *, spaced: bool = False) -> str:
    """The text, which ``json.loads`` reads as what it would read of ``json.dumps``: NaN, infinities and keys that are
    floats aside. ``spaced``: with the spaces that it writes.

    Raises TypeError for what is not plain data.
    """
    try:
        text = _encode(value)
        return (formatted(text, indent=0) if spaced else text).decode()
    except (UnicodeEncodeError, OverflowError, TypeError):  # lone surrogates, very large integers, odd keys
        return (_encode_spaced if spaced else _encode_compact)(value)


_encode = Encoder().encode
_encode_spaced = json.JSONEncoder(ensure_ascii=False).encode
_encode_compact = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
