"""Complete keys and values of a spec: actions, parameters, choices, references, columns, files.

In: ``Knowledge`` and a ``Cursor``. Out: ``Item``s. What a parameter accepts is asked of the checker.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import chain, count, islice
from typing import Any

from e2i.catalog import marks
from e2i.catalog.columns import Given, KnownTable
from e2i.catalog.value_schema import ValueSchema
from e2i.check import choices, types
from e2i.lsp import catalog, members
from e2i.lsp.cursor import PLACEHOLDER, SECTIONS, Cursor
from e2i.lsp.items import Item
from e2i.lsp.knowledge import Knowledge
from e2i.scaffold import step
from e2i.spec.included import is_included
from e2i.spec.writing import written

MOST = 120
"""Most proposals of one answer. When more is typed, the editor asks again."""
MOST_REFERENCES = 50
"""Most whole references among them: those to the newest steps."""
TEXTS_OF_QUERIES = ("query", "sql")
"""Parameters with a query, in whose text the columns of the given tables are proposed."""


def complete(knowledge: Knowledge, cursor: Cursor) -> tuple[list[Item], bool]:
    """Returns what may be written at the cursor, what fits best first, and whether that is all of it."""
    if cursor.expression is not None:
        found = iter(members.complete(knowledge, cursor))
    elif cursor.is_key:
        found = _keys(knowledge, cursor)
    else:
        found = _values(knowledge, cursor)
    word = cursor.word.casefold()
    items = sorted((item for item in found if word in item.label.casefold()), key=lambda item: not item.is_first)
    return items[:MOST], len(items) <= MOST


def _keys(knowledge: Knowledge, cursor: Cursor) -> Iterator[Item]:
    path = cursor.path[:-1]
    present = cursor.value(path)
    beside = set(present) - {PLACEHOLDER} if isinstance(present, dict) else set()
    if not path:
        beside |= set(knowledge.outline.lines)
    match path:
        case (str() as section,) if section in SECTIONS:
            yield from _steps(knowledge, cursor)
        case (str() as section, _, "with") if section in SECTIONS:
            yield from _parameters(knowledge, cursor, beside)
        case (str() as section, _, "with", *_) if section in SECTIONS:
            yield from _inner_keys(knowledge, cursor, beside)
        case _:
            for name, schema in catalog.keys(catalog.options(catalog.spec_schema(), path)).items():
                if name not in beside:
                    yield Item(name, "key", f"{name}: ", documentation=catalog.about_key(name, schema))


def _steps(knowledge: Knowledge, cursor: Cursor) -> Iterator[Item]:
    """Yields the step of each action, wired to the newest outputs that fit."""
    offered = knowledge.offers or step.Offers()
    taken = knowledge.outline.steps
    for uses, summary in knowledge.catalog.summaries.items():
        action = knowledge.catalog.registry.action(uses)
        name = _IDENTIFIER.sub("_", uses.rpartition(".")[2])
        name = next(one for one in chain([name], (f"{name}_{number}" for number in count(2))) if one not in taken)
        described = knowledge.catalog.action(uses)
        if action is not None and described is not None:
            text = step.skeleton(uses, action, described.params.values(), offered).text(name, cursor.indent)
            yield Item(uses, "snippet", text.lstrip(), "new step", summary)


def _parameters(knowledge: Knowledge, cursor: Cursor, beside: set[str]) -> Iterator[Item]:
    assert cursor.step is not None
    uses = _uses(knowledge, cursor)
    if is_included(uses):
        inner = knowledge.included(uses)
        for name, declared in (inner.loaded.spec.params if inner else {}).items():
            if name not in beside:
                yield Item(name, "parameter", f"{name}: ", *members.about_param(name, declared), declared.required)
        return
    described = knowledge.catalog.action(uses)
    for name, field in (described.params if described else {}).items():
        if name not in beside:
            yield Item(name, "parameter", f"{name}: ", field.summary, catalog.about(field), field.required)


def _inner_keys(knowledge: Knowledge, cursor: Cursor, beside: set[str]) -> Iterator[Item]:
    """Yields keys inside a parameter: those of its form, or names such as columns."""
    for name, schema in catalog.keys(_options(knowledge, cursor, cursor.path[3:-1])).items():
        if name not in beside:
            yield Item(name, "key", f"{name}: ", documentation=catalog.about_key(name, schema))
    for name, about in _names(knowledge, cursor).items():
        if name not in beside:
            yield Item(name, "column", f"{written(name)}: ", documentation=about)


def _values(knowledge: Knowledge, cursor: Cursor) -> Iterator[Item]:
    path = cursor.path
    match path:
        case (str() as section, _, "uses") if section in SECTIONS:
            for uses, summary in knowledge.catalog.summaries.items():
                yield Item(uses, "action", uses, documentation=summary)
            yield from _included(knowledge)
        case (str() as section, _, "needs", *_) if section in SECTIONS:
            own = cursor.step[1] if cursor.step else ""
            for name, entry in knowledge.outline.steps.items():
                if name != own:
                    yield Item(name, "step", name, entry.uses)
        case (str() as section, _, "with", _, *_) if section in SECTIONS:
            yield from _arguments(knowledge, cursor)
        case (str() as section, _, "with") if section in SECTIONS:
            yield from _parameters(knowledge, cursor, set())
        case ("outputs", *_):
            yield from islice(_references(knowledge, cursor, None), MOST_REFERENCES)
        case _:
            found = catalog.options(catalog.spec_schema(), path)
            for value in catalog.choices(found):
                yield Item(value, "value", value)
            for name, schema in catalog.keys(found).items():
                yield Item(name, "key", f"{name}: ", documentation=catalog.about_key(name, schema))


def _arguments(knowledge: Knowledge, cursor: Cursor) -> Iterator[Item]:
    """Yields values of a parameter."""
    options = _options(knowledge, cursor, cursor.path[3:])
    if cursor.in_text is None:
        for value in catalog.choices(options):
            yield Item(value, "value", value)
        if wanted := members.wanted(knowledge, cursor):
            yield from islice(_references(knowledge, cursor, wanted), MOST_REFERENCES)
        if isinstance(cursor.path[-1], int):  # an item of a list may be a mapping
            for name, schema in catalog.keys(options).items():
                yield Item(name, "key", f"{name}: ", documentation=catalog.about_key(name, schema))
        yield from _files(knowledge, cursor)
    for name, about in _names(knowledge, cursor).items():
        yield Item(name, "column", name if cursor.in_text else written(name), documentation=about)


def _references(knowledge: Knowledge, cursor: Cursor, taken: types.Types | None) -> Iterator[Item]:
    """Yields whole expressions, the newest step first: outputs that a parameter takes; without one, all outputs."""
    at = knowledge.at(cursor.step)
    for name in reversed(list(knowledge.outline.steps)):
        if cursor.step and name == cursor.step[1]:
            continue
        outputs = knowledge.outputs(name, at)
        for member in members.fitting(outputs, taken) if taken else members.in_order(outputs):
            reference = f"${{{{ steps.{name}.{member} }}}}"
            if cursor.word not in reference:
                continue
            about = members.briefly(types.inside(outputs, member) or ())
            yield Item(reference, "output", quoted(reference, cursor), documentation=about, is_first=True)


def quoted(reference: str, cursor: Cursor) -> str:
    """Returns an expression as it must be written at the cursor: in quotes inside brackets."""
    return f'"{reference}"' if cursor.is_flow else reference


def _names(knowledge: Knowledge, cursor: Cursor) -> Mapping[str, str]:
    """Returns the names that the action accepts at the cursor, such as columns, each with a description."""
    found = given(knowledge, cursor)
    if found is None or knowledge.environment is None:
        return {}
    uses = _uses(knowledge, cursor)
    tables = choices.tables(found)
    if cursor.path[3] in TEXTS_OF_QUERIES and isinstance(cursor.value(cursor.path), str):
        return {name: members.column({where: table}, name) for where, table in tables.items() for name in table.columns}
    names = choices.names(knowledge.environment, uses, found, PLACEHOLDER, knowledge.files)
    return {name: members.column(tables, name) for name in names}


def given(knowledge: Knowledge, cursor: Cursor) -> Given | None:
    """Returns the parameters of the step at the cursor, with what is known of artifacts."""
    if knowledge.expanded is None or knowledge.environment is None:
        return None
    at = knowledge.at(cursor.step)
    return choices.given(
        knowledge.expanded, knowledge.environment, _uses(knowledge, cursor), knowledge.written(cursor), at
    )


def tables(knowledge: Knowledge, cursor: Cursor) -> dict[str, KnownTable]:
    """Returns the tables that the step at the cursor takes."""
    found = given(knowledge, cursor)
    return choices.tables(found) if found is not None else {}


def _uses(knowledge: Knowledge, cursor: Cursor) -> str:
    """Returns the action of the step at the cursor, as it is written now."""
    assert cursor.step is not None
    now = cursor.value((*cursor.step, "uses"))
    return now if isinstance(now, str) else knowledge.uses(cursor.step[1])


def _options(knowledge: Knowledge, cursor: Cursor, path: tuple[str | int, ...]) -> list[ValueSchema]:
    described = knowledge.catalog.action(_uses(knowledge, cursor))
    return catalog.options(described.schema, path) if described else []


def _included(knowledge: Knowledge) -> Iterator[Item]:
    """Yields the specs beside this one."""
    folder, _, own = knowledge.file.rpartition("/")
    for name in knowledge.files.names(folder or "."):
        if name.endswith((".yaml", ".yml")) and not name.endswith((".test.yaml", ".test.yml")) and name != own:
            yield Item(f"./{name}", "file", f"./{name}", "include a spec")


def _files(knowledge: Knowledge, cursor: Cursor) -> Iterator[Item]:
    """Yields the files of the workspace that a parameter may name."""
    action = knowledge.catalog.registry.action(_uses(knowledge, cursor))
    if action is None:
        return
    path: tuple[Any, ...] = tuple(None if isinstance(key, int) else key for key in cursor.path[3:])
    for steps, mark in marks.of(action.params):
        if steps == path and isinstance(mark, marks.WorkspaceFile):
            folder, _, _ = cursor.word.rpartition("/")
            shown, _, suffix = mark.pattern.partition("{}")
            for name in knowledge.files.names(f"{shown}{folder}".rstrip("/") or "."):
                if name.endswith(suffix):
                    inserted = f"{folder}/{name}" if folder else name
                    yield Item(inserted.removesuffix(suffix), "file", inserted.removesuffix(suffix))


_IDENTIFIER = re.compile(r"\W")
