"""Reads the list of a folder's files in a shared store. In: JSON of others. Out: names that are safe to unpack."""

from __future__ import annotations

import json
import re

from e2i.store.digests import folder_digest

HEXADECIMAL = re.compile("[0-9a-f]{64}")


def read(content: bytes, digest: str) -> list[tuple[str, str]] | None:
    """Returns a folder's files from its list; None when the list does not match the digest, or has unsafe names."""
    try:
        files = [(str(name), str(one)) for name, one in json.loads(content)]
    except (ValueError, TypeError, RecursionError):
        return None
    if folder_digest(files) != digest or not all(_is_safe(name) and HEXADECIMAL.fullmatch(one) for name, one in files):
        return None
    folded = {name.casefold() for name, _ in files}
    return files if len(folded) == len(files) else None


def _is_safe(name: str) -> bool:
    """Returns whether a relative name stays below its folder, wherever it is unpacked."""
    parts = name.split("/")
    ordinary = all(part and len(part.encode()) <= 255 and not part.endswith((".", " ")) for part in parts)
    return ordinary and len(name) <= 1_000 and name.isprintable() and "\\" not in name and ":" not in name
