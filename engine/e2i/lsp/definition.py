"""Find where a name is defined: a step, a parameter, an output of an included spec, a file of the workspace.

In: ``Knowledge`` and an offset. Out: ``Target``, or None. Only files of the workspace are named.
"""

from __future__ import annotations

import posixpath
from pathlib import Path

from msgspec import Struct

from e2i.lsp import hover, members
from e2i.lsp import knowledge as documents
from e2i.lsp.cursor import SECTIONS, Cursor
from e2i.lsp.knowledge import Knowledge
from e2i.lsp.outline import Entry, scan
from e2i.spec.included import is_included


class Target(Struct, frozen=True):
    """A position. ``path`` is None for the document itself; line and column count from 0."""

    path: Path | None
    line: int = 0
    column: int = 0


def at(knowledge: Knowledge, offset: int) -> Target | None:
    """Returns the definition of what is at an offset."""
    start, end = hover.word(knowledge.text, offset)
    cursor = documents.cursor(knowledge, end)
    if cursor is None:
        return None
    name = knowledge.text[start:end]
    if cursor.expression is not None:
        return _of_reference(knowledge, members.chain(cursor.expression))
    match cursor.path:
        case (str() as section, _, "uses") if section in SECTIONS:
            return _included(knowledge, name)
        case (str() as section, _, "needs", *_) if section in SECTIONS:
            return _entry(knowledge.outline.step(name))
        case (str() as section, str() as step, "with", _) if section in SECTIONS and cursor.is_key:
            return _included(knowledge, knowledge.uses(step), "params", name)
        case (str() as section, _, "with", *_) if section in SECTIONS and not cursor.is_key:
            return _file(knowledge, cursor, name)
    return None


def _of_reference(knowledge: Knowledge, names: tuple[str, ...]) -> Target | None:
    match names:
        case ("params", name, *_):
            return _entry(knowledge.outline.names("params").get(name))
        case ("steps", name, output, *_):
            inner = _included(knowledge, knowledge.uses(name), "outputs", output)
            return inner or _entry(knowledge.outline.step(name))
        case ("steps", name):
            return _entry(knowledge.outline.step(name))
    return None


def _entry(found: Entry | None) -> Target | None:
    return None if found is None else Target(None, found.line, found.column)


def _included(knowledge: Knowledge, uses: str, section: str = "", name: str = "") -> Target | None:
    """Returns an included spec, or the location of a name in it."""
    if not is_included(uses):
        return None
    file = posixpath.normpath(posixpath.join(posixpath.dirname(knowledge.file), uses))
    path = knowledge.workspace.files.own(file)
    if path is None or not section:
        return None if path is None else Target(path)
    inner = knowledge.included(uses)
    entry = scan(inner.document.text or "").names(section).get(name) if inner else None
    return Target(path, entry.line, entry.column) if entry else Target(path)


def _file(knowledge: Knowledge, cursor: Cursor, name: str) -> Target | None:
    """Returns the file of the workspace that a parameter names."""
    from e2i.catalog import marks

    assert cursor.step is not None
    action = knowledge.catalog.registry.action(knowledge.uses(cursor.step[1]))
    path = tuple(None if isinstance(key, int) else key for key in cursor.path[3:])
    for steps, mark in marks.of(action.params) if action else ():
        if steps == path and isinstance(mark, marks.WorkspaceFile):
            found = knowledge.workspace.files.own(mark.path(name))
            return None if found is None else Target(found)
    return None
