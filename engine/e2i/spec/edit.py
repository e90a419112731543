"""Applies RFC 6902 operations to a document by changing as little of its text as possible.

In: a ``Document`` and operations. Out: ``Edit``s, or the new text.

All other text stays the same, byte for byte: comments, quotes, block or flow style, line ends. The new text is read
back, and must contain exactly the result of the operations.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Sequence
from typing import Any, assert_never

from msgspec import Struct

from e2i.spec import document as documents
from e2i.spec import unlist
from e2i.spec.document import Document
from e2i.spec.operations import Add, Move, Operation, Remove, Replace
from e2i.spec.positions import Path
from e2i.spec.scalars import ScalarError
from e2i.spec.writing import written


class Edit(Struct, frozen=True):
    """A replacement of the characters from ``start`` to ``end`` by ``text``."""

    start: int
    end: int
    text: str


class CannotEditError(ValueError):
    """An operation cannot be done by a few changes of the text."""


def patch(document: Document, operations: Sequence[Operation]) -> str | None:
    """Returns the document's text after operations that do not overlap, or None when they cannot be applied to it."""
    try:
        changed = apply(document.text or "", edits(document, operations))
        wanted = _patched(document, operations)
    except (CannotEditError, ScalarError):
        return None
    found, _ = documents.read(changed, document.file)
    return changed if found is not None and found.data == wanted else None


def edits(document: Document, operations: Iterable[Operation]) -> list[Edit]:
    """Returns the changes of the text, in text order. Raises CannotEditError."""
    if document.text is None:
        raise CannotEditError("the document has no text")
    writer = _Writer(document, document.text)
    found = [edit for operation in operations for edit in writer.edits(operation)]
    return sorted(found, key=lambda edit: (edit.start, edit.end))


def apply(text: str, changes: Sequence[Edit]) -> str:
    """Returns the text with the changes applied. Raises CannotEditError when two of them overlap."""
    parts: list[str] = []
    done = 0
    for edit in changes:
        if edit.start < done:
            raise CannotEditError("two changes overlap")
        parts += [text[done : edit.start], edit.text]
        done = edit.end
    return "".join([*parts, text[done:]])


class _Writer:
    """Turns operations into edits of one text."""

    def __init__(self, document: Document, text: str) -> None:
        self.document = document
        self.text = text

    def edits(self, operation: Operation) -> list[Edit]:
        path = _path(self.document, operation.path)
        if not path:
            raise CannotEditError("the whole document cannot be replaced")
        match operation:
            case Replace():
                return [self.replace(path, operation.value)]
            case Remove():
                return [self.remove(path)]
            case Add():
                return [self.add(path, operation.value)]
            case Move():
                source = _path(self.document, operation.source)
                if source[:-1] == path[:-1]:
                    return [self.rename(source, str(path[-1]))]
                return [self.remove(source), self.add(path, self.document.value(source))]
        assert_never(operation)

    def replace(self, path: Path, value: Any) -> Edit:
        start, end = self.extent(path)
        old, raw = self.document.value(path), self.text[start:end]
        if start == end:  # an implicit null, right after its colon
            return Edit(start, end, " " + written(value, flow=self.is_flow(path[:-1])))
        if raw.startswith("-") and (kept := unlist.as_mapping(self.document, path, value)) is not None:
            return Edit(start, end, kept)
        if isinstance(old, str) and isinstance(value, str) and (kept := _reworded(raw, old, value)) is not None:
            return Edit(start, end, kept)
        return Edit(start, end, written(value, like=raw, flow=self.is_flow(path[:-1])))

    def rename(self, path: Path, name: str) -> Edit:
        span = self.document.span(path, key=True)
        if span is None:
            raise CannotEditError("the key to rename is not in the text")
        return Edit(*span, written(name, like=self.text[span[0] : span[1]]))

    def add(self, path: Path, value: Any) -> Edit:
        """Adds an entry at the end of its mapping, or at the top level at the start, where ``version: 1`` belongs."""
        parent = path[:-1]
        around = self.document.value(parent)
        if isinstance(around, list) and path[-1] == "-":
            return self.append(parent, len(around), value)
        if not isinstance(around, dict):
            raise CannotEditError("entries can only be added to mappings and to the end of lists")
        if self.document.has(path):
            return self.replace(path, value)
        start, _ = self.extent(parent)
        entry = f"{written(str(path[-1]))}: {written(value, flow=self.is_flow(parent))}"
        if not around:
            return Edit(start + 1, start + 1, entry)
        _, end = self.entry((*parent, next(reversed(around))))
        if self.text[start] == "{":
            return Edit(end, end, f", {entry}")
        indent = " " * (start - self.line_start(start))
        if parent == ():
            return Edit(start, start, entry + self.newline() + indent)
        return self.line_below(end, indent + entry)

    def append(self, path: Path, count: int, value: Any) -> Edit:
        start, _ = self.extent(path)
        if not count:
            return Edit(start + 1, start + 1, written(value))
        item, end = self.extent((*path, count - 1))
        if self.text[start] == "[":
            return Edit(end, end, f", {written(value)}")
        before = self.text[self.line_start(item) : item]
        if not _ITEM.fullmatch(before):
            raise CannotEditError("the last item does not start its line")
        return self.line_below(end, before + written(value, flow=False))

    def line_below(self, offset: int, line: str) -> Edit:
        """Inserts a line after the one that contains ``offset``."""
        behind = self.next_line(offset)
        is_closed = self.text[:behind].endswith(("\n", "\r"))
        return Edit(behind, behind, line + self.newline() if is_closed else self.newline() + line)

    def remove(self, path: Path) -> Edit:
        parent = self.document.value(path[:-1])
        if not isinstance(parent, dict | list) or not self.document.has(path):
            raise CannotEditError("the entry to remove is not in the text")
        if len(parent) == 1:
            return Edit(*self.extent(path[:-1]), "{}" if isinstance(parent, dict) else "[]")
        keys: list[Any] = list(parent) if isinstance(parent, dict) else list(range(len(parent)))
        index = keys.index(path[-1])
        start, end = self.entry(path)
        if not self.is_flow(path[:-1]):
            line = self.line_start(start)
            indent = _INDENT if isinstance(parent, dict) else _ITEM
            if indent.fullmatch(self.text, line, start):
                return Edit(line, self.next_line(end), "")
        if index + 1 < len(keys):
            return Edit(start, self.entry((*path[:-1], keys[index + 1]))[0], "")
        return Edit(self.entry((*path[:-1], keys[index - 1]))[1], end, "")

    def entry(self, path: Path) -> tuple[int, int]:
        """Returns the span from the start of an entry's key, or of a list's item, to the end of its value."""
        start, end = self.extent(path)
        key = self.document.span(path, key=True)
        return (key[0] if key else start, end)

    def extent(self, path: Path) -> tuple[int, int]:
        """Returns the span of a value without its anchor, and without the blank lines and comments after it."""
        span = self.document.span(path)
        if span is None:
            raise CannotEditError("the value is not in the text")
        start, end = span
        if anchor := _ANCHOR.match(self.text, start, end):
            start = anchor.end()
        value = self.document.value(path)
        if isinstance(value, dict | list) and value and self.text[start] not in "{[*":
            last = next(reversed(value)) if isinstance(value, dict) else len(value) - 1
            end = self.extent((*path, last))[1]
        elif isinstance(value, str) and self.text[start : start + 1] in ("|", ">"):
            end = start + len(self.text[start:end].rstrip())
        return start, end

    def is_flow(self, path: Path) -> bool:
        """Returns True when the collection at ``path`` is in braces or brackets, or inside another one that is."""
        start, _ = self.extent(path)
        return self.text[start : start + 1] in ("{", "[")

    def line_start(self, offset: int) -> int:
        return max(self.text.rfind("\n", 0, offset), self.text.rfind("\r", 0, offset)) + 1

    def next_line(self, offset: int) -> int:
        found = _LINE_END.search(self.text, offset)
        return found.end() if found else len(self.text)

    def newline(self) -> str:
        found = _LINE_END.search(self.text)
        return found[0] if found else "\n"


def _reworded(raw: str, old: str, new: str) -> str | None:
    """Returns the text as written with only the differing word changed, or None when that is not possible."""
    if raw == old or raw[1:-1] == old:
        return None  # plain or quoted text on one line is rewritten, in its quotes
    start = 0
    while start < min(len(old), len(new)) and old[start] == new[start]:
        start += 1
    end = 0
    while end < min(len(old), len(new)) - start and old[-1 - end] == new[-1 - end]:
        end += 1
    while start and _WORD.match(old[start - 1]):
        start -= 1
    while end and _WORD.match(old[-end]):
        end -= 1
    wrong, right = old[start : len(old) - end], new[start : len(new) - end]
    if not wrong or len(found := re.findall(rf"(?<!\w){re.escape(wrong)}(?!\w)", raw)) != 1:
        return None
    return raw.replace(found[0], right) if raw.count(found[0]) == 1 and right.replace(".", "").isidentifier() else None


def _path(document: Document, pointer: str) -> Path:
    """Returns the path in this document for a JSON pointer."""
    path: Path = ()
    for token in pointer.split("/")[1:]:
        key = token.replace("~1", "/").replace("~0", "~")
        is_list = isinstance(document.value(path), list)
        path = (*path, int(key) if is_list and key.isdecimal() else key)
    return path


def _patched(document: Document, operations: Iterable[Operation]) -> Any:
    """Returns the document's data after the operations. Values shared by aliases stay shared, as in the text."""
    data = copy.deepcopy(document.data)
    for operation in operations:
        path = _path(document, operation.path)
        match operation:
            case Remove():
                _take(data, path)
            case Move():
                _put(data, path, _take(data, _path(document, operation.source)))
            case Add() | Replace():
                _put(data, path, copy.deepcopy(operation.value))
    return data


def _put(data: Any, path: Path, value: Any) -> None:
    if path[-1] == "-":
        _parent(data, path).append(value)
    else:
        _parent(data, path)[path[-1]] = value


def _parent(data: Any, path: Path) -> Any:
    for key in path[:-1]:
        data = data[key]
    return data


def _take(data: Any, path: Path) -> Any:
    return _parent(data, path).pop(path[-1])


_ANCHOR = re.compile(r"&\S+\s+")
_INDENT = re.compile(r" *")
_ITEM = re.compile(r" *- +")
_LINE_END = re.compile(r"\r\n|\n|\r")
_WORD = re.compile(r"\w")
