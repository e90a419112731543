"""Describe what is at a position: an action, a parameter, a key, an output with its type and columns, a column.

In: ``Knowledge`` and an offset. Out: Markdown, or None.
"""

from __future__ import annotations

import re

from e2i.check import types
from e2i.lsp import catalog, completion, members
from e2i.lsp import knowledge as documents
from e2i.lsp.cursor import LONGEST_LINE, SECTIONS, Cursor
from e2i.lsp.knowledge import Knowledge
from e2i.spec.included import is_included


def at(knowledge: Knowledge, offset: int) -> str | None:
    """Returns the description of the word at an offset."""
    start, end = word(knowledge.text, offset)
    cursor = documents.cursor(knowledge, end)
    if cursor is None:
        return None
    if cursor.expression is not None:
        return reference(knowledge, cursor)
    name = knowledge.text[start:end]
    return _key(knowledge, cursor, name) if cursor.is_key else _value(knowledge, cursor)


def word(text: str, offset: int) -> tuple[int, int]:
    """Returns the start and end of the word at an offset. Dots belong to the names of actions and files."""
    is_name = _IN_EXPRESSION.search(text[max(text.rfind("\n", 0, offset) + 1, offset - LONGEST_LINE) : offset])
    pattern = _NAME if is_name else _WORD
    before, behind = pattern.search(text[:offset][-200:][::-1]), pattern.match(text[offset : offset + 200])
    left = len(before[0]) if before and before.start() == 0 else 0
    return offset - left, offset + (len(behind[0]) if behind else 0)


def reference(knowledge: Knowledge, cursor: Cursor) -> str | None:
    names = members.chain(cursor.expression or "")
    match names:
        case ("params", name) if name in knowledge.params:
            detail, about = members.about_param(name, knowledge.params[name])
            return f"`params.{name}`: {detail}\n\n{about}".rstrip()
        case ("steps", name) if uses := knowledge.uses(name):
            return step(knowledge, name, uses)
        case ("steps", name, *rest) if rest:
            return output(knowledge, cursor, names)
        case (root,) if root in members.ROOTS:
            return members.ROOTS[root]
    return None


def output(knowledge: Knowledge, cursor: Cursor, names: tuple[str, ...]) -> str | None:
    """Returns an output of a step, ``("steps", ID, NAME)``, or what is inside it, with its type and columns."""
    found = members.of_reference(knowledge, cursor, names)
    if found is None:
        return None
    action = knowledge.catalog.action(knowledge.uses(names[1]))
    field = action.outputs.get(names[2]) if action and len(names) == 3 else None
    described = [f"`{'.'.join(names)}`: {types.describe(found)}", field.description if field else ""]
    return "\n\n".join(filter(None, [*described, members.contents(found)]))


def _key(knowledge: Knowledge, cursor: Cursor, name: str) -> str | None:
    path = cursor.path[:-1]
    match path:
        case (str() as section,) if section in SECTIONS:
            return step(knowledge, name, knowledge.uses(name))
        case ("params",) if name in knowledge.params:
            detail, about = members.about_param(name, knowledge.params[name])
            return f"`params.{name}`: {detail}\n\n{about}".rstrip()
        case (str() as section, str() as own, "with", *inner) if section in SECTIONS:
            described = knowledge.catalog.action(knowledge.uses(own))
            if described and not inner and name in described.params:
                return catalog.about(described.params[name])
            if described and (schema := catalog.keys(catalog.options(described.schema, tuple(inner))).get(name)):
                return catalog.about_key(name, schema)
            return members.column(completion.tables(knowledge, cursor), name) or None
    schema = catalog.keys(catalog.options(catalog.spec_schema(), path)).get(name)
    return catalog.about_key(name, schema) if schema else None


def _value(knowledge: Knowledge, cursor: Cursor) -> str | None:
    match cursor.path:
        case (str() as section, _, "uses") if section in SECTIONS:
            return _action(knowledge, cursor.word)
        case (str() as section, _, "needs", *_) if section in SECTIONS and knowledge.outline.step(cursor.word):
            return step(knowledge, cursor.word, knowledge.uses(cursor.word))
        case (str() as section, _, "with", *_) if section in SECTIONS:
            return members.column(completion.tables(knowledge, cursor), cursor.word) or None
    return None


def _action(knowledge: Knowledge, uses: str) -> str | None:
    if is_included(uses):
        inner = knowledge.included(uses)
        return None if inner is None else f"`{inner.loaded.spec.name}`\n\n{inner.loaded.spec.description}".rstrip()
    described = knowledge.catalog.action(uses)
    if described is None:
        return None
    return f"```text\n{described.signature}\n```\n\n{described.summary}"


def step(knowledge: Knowledge, name: str, uses: str) -> str | None:
    """Returns a step with the types of its outputs."""
    if not uses:
        return None
    outputs = knowledge.outputs(name, None)
    described = knowledge.catalog.action(uses)
    lines = [f"step `{name}`: `{uses}`", described.summary if described else ""]
    listed = []
    for member in members.in_order(outputs):
        found = types.inside(outputs, member) or types.ANY
        columns = members.contents(found).partition("\n")[0]
        listed.append(f"- `{member}`: {types.describe(found)}{f', {columns}' if columns else ''}".rstrip(":"))
    return "\n\n".join(filter(None, [*lines, "\n".join(listed)]))


_IN_EXPRESSION = re.compile(r"\$\{\{(?!.*\}\})")
_NAME = re.compile(r"\w*")
_WORD = re.compile(r"[\w./-]*")
