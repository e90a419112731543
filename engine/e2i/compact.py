"""Writes plain data and structs as JSON on one line, and reads it into types, several times as fast as the
standard library.

For data written for every step: rows of the run store, lines of events. Not for data that is digested: numbers may be
written in another form than by ``json``, and NaN, which JSON does not have, becomes ``null``.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from msgspec import to_builtins
from msgspec.json import Decoder, Encoder
from msgspec.json import format as formatted

from e2i.documents import made, read

T = TypeVar("T")


def dumps(value: Any, *, spaced: bool = False) -> str:
    """Returns JSON text that ``json.loads`` reads like the output of ``json.dumps``, except for NaN, infinities and
    keys that are floats. ``spaced``: with the spaces of ``json.dumps``.

    Raises TypeError for data that is not plain.
    """
    try:
        text = _encode(value)
        return (formatted(text, indent=0) if spaced else text).decode()
    except (UnicodeEncodeError, OverflowError, TypeError):  # lone surrogates, very large integers, odd keys
        return (_encode_spaced if spaced else _encode_compact)(value)


def loads(text: str | bytes, kind: type[T]) -> T:
    """Returns what ``json.loads`` reads, as a value of that type: a struct, or ``dict[str, Any]``.

    Raises ValueError or TypeError for another text or another type.
    """
    try:
        found: T = _decoder(kind).decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError):  # NaN and lone surrogates, which only ``json`` reads
        return read(json.loads(text), kind)
    return found


_decoder: Callable[[Any], Decoder[Any]] = functools.cache(functools.partial(Decoder, dec_hook=made))
_encode = Encoder().encode
_encode_spaced = json.JSONEncoder(ensure_ascii=False, default=to_builtins).encode
_encode_compact = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=to_builtins).encode
