"""Writes data in the one form that is digested: sorted keys, no spaces.

In: plain data and structs. Out: text, and its digest.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from typing import Any

from msgspec import UNSET, Struct, msgpack
from msgspec.json import Encoder

from e2i.documents import JsonObject


def canonical(value: Any) -> bytes:
    """Returns one text for equal data."""
    try:
        text = _encode(value)
        # NaN and infinities, which JSON does not have, would be written as null.
        if b"null" not in text or not _NOT_FINITE.search(_pack(value)) or _is_finite(value):
            return text
    except (UnicodeEncodeError, OverflowError, TypeError):  # lone surrogates, very large integers, odd keys
        pass
    return _encode_slowly(value).encode()


def digest(value: Any) -> str:
    """Returns ``sha256:…`` of the canonical text."""
    return f"sha256:{hashlib.sha256(canonical(value)).hexdigest()}"


def fields(struct: Struct) -> JsonObject:
    """Returns the fields of a struct that are written, under their names in JSON."""
    names = zip(struct.__struct_encode_fields__, struct.__struct_fields__, strict=True)
    return {name: value for name, field in names if (value := getattr(struct, field)) is not UNSET}


def _is_finite(value: Any) -> bool:
    """Returns True when no number is NaN or infinite."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, Struct):
        value = fields(value)
    if isinstance(value, Mapping):
        return all(map(_is_finite, value.values()))
    return not isinstance(value, list | tuple | set | frozenset) or all(map(_is_finite, value))


def _plain(value: Any) -> Any:
    if isinstance(value, Struct):
        return fields(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (tuple, set, frozenset)):
        return sorted(value) if isinstance(value, (set, frozenset)) else list(value)
    raise TypeError(f"{type(value).__name__} is not plain data")


_NOT_FINITE = re.compile(rb"\xcb[\x7f\xff][\xf0-\xff]")
"""A number in MessagePack that may be NaN or infinite: one search instead of a loop over a million values."""
_pack = msgpack.Encoder(enc_hook=_plain).encode
_encode = Encoder(enc_hook=_plain, order="sorted").encode
_encode_slowly = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_plain).encode
