"""Rewrites a list of mappings in a text as one mapping, without touching other text: comments, quotes and order stay.

In: a document and the path of a list in block style. Out: the text of the mapping. None when the list is written
otherwise.
"""

from __future__ import annotations

import re
from typing import Any

from e2i.spec.document import Document
from e2i.spec.positions import Path


def as_mapping(document: Document, path: Path, wanted: Any) -> str | None:
    """Returns the text of a list as the wanted mapping.

    It is the mappings of all items together, or has one entry for each item, named by the item's ``id`` or ``name``.
    """
    items = document.value(path)
    if document.text is None or not isinstance(items, list) or not isinstance(wanted, dict):
        return None
    if not all(isinstance(item, dict) and item for item in items):
        return None
    key = next((key for key in ("id", "name") if [item.get(key) for item in items] == list(wanted)), None)
    parts = [_item(document, (*path, index), key) for index in range(len(items))]
    return None if None in parts else "".join(part for part in parts if part is not None)


def _item(document: Document, path: Path, key: str | None) -> str | None:
    """Returns the text of an item, from its dash to the start of the next item, without its dash."""
    text = document.text or ""
    span = document.span(path)
    if span is None or text[span[0]] == "{":
        return None
    line = text.rfind("\n", 0, span[0]) + 1
    dash = re.fullmatch(r"( *)(- +)", text[line : span[0]])
    if dash is None:
        return None
    width = len(dash[2])
    indent, end = dash[1], _end(document, path, span[1])
    first = "" if path[-1] == 0 else indent
    body = text[span[0] : end]
    if key is None:
        return first + re.sub(rf"(?<=\n) {{{len(indent) + width}}}", indent, body)
    entry = document.span((*path, key), key=True)
    if entry is None:
        return None
    start = text.rfind("\n", 0, entry[0]) + 1
    stop = text.find("\n", entry[0]) + 1 or end
    inside = indent + " " * width
    lines = inside + body if start > line else body[stop - span[0] :]
    if start > line:
        lines = lines.replace(text[start:stop], "", 1)
    newline = "\r\n" if "\r\n" in text else "\n"
    return f"{first}{document.value((*path, key))}:{newline}{lines}"


def _end(document: Document, path: Path, end: int) -> int:
    """Returns the start of the next item's line, or the end of the last item."""
    text = document.text or ""
    following = document.span((*path[:-1], int(path[-1]) + 1))
    return text.rfind("\n", 0, following[0]) + 1 if following else len(text[:end].rstrip())
