"""Complete, describe and check the test files of specs, ``NAME.test.yaml``.

In: a ``Knowledge`` whose text is that of a test file, and whose outline and state are those of its spec. Out:
``Item``s, Markdown, problems. Runs no case.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from msgspec.structs import replace

from e2i import api, regular
from e2i.catalog.columns import KnownTable
from e2i.catalog.value_schema import ValueSchema
from e2i.check import types
from e2i.lsp import catalog, hover, knowledge, members, outline
from e2i.lsp.completion import MOST
from e2i.lsp.cursor import Cursor
from e2i.lsp.items import Item
from e2i.lsp.knowledge import Knowledge
from e2i.spec.problems import Problem
from e2i.testing import files, suite
from e2i.testing.models import CaseFile


def is_cases(path: Path) -> bool:
    """Returns whether a file has the name of a test file."""
    return path.name.endswith(files.SUFFIXES)


def check(
    known: Knowledge, path: Path, workspace: api.Workspace, texts: Mapping[Path, str]
) -> tuple[Knowledge, tuple[Problem, ...]]:
    """Checks a test file with the unsaved texts of other files. Returns what is known of its spec, and the problems of
    the test file. Raises E2IError.
    """
    spec = _spec(known.text, path)
    problems = tuple(suite.problems_of(str(path), known.text, workspace, texts))
    if spec is None or not suite.is_inside(spec, path, workspace):
        return known, problems
    text = texts.get(spec)
    try:
        text = text if text is not None else regular.read(spec, regular.SPEC).decode("utf-8", "replace")
    except OSError:
        return known, problems
    state = knowledge.check(text, workspace.name(str(spec)), workspace, texts)
    now = replace(known, workspace=workspace, outline=outline.scan(text))
    return (now.with_state(state) if state.expanded is not None else now), problems


def complete(known: Knowledge, cursor: Cursor) -> tuple[list[Item], bool]:
    """Returns what may be written at the cursor, what fits best first, and whether that is all of it."""
    found = list(members.complete(known, cursor) if cursor.expression is not None else _items(known, cursor))
    items = [item for item in found if cursor.word.casefold() in item.label.casefold()]
    return items[:MOST], len(items) <= MOST


def describe(known: Knowledge, offset: int) -> str | None:
    """Returns the description of the word at an offset: a key, a step, an output with its columns, a parameter."""
    start, end = hover.word(known.text, offset)
    cursor = knowledge.cursor(known, end)
    if cursor is None:
        return None
    word = known.text[start:end]
    if cursor.expression is not None:
        return hover.reference(known, cursor)
    place = cursor.path[:-1] if cursor.is_key else cursor.path
    match _in_case(place):
        case ("params",) if cursor.is_key and word in known.params:
            detail, about = members.about_param(word, known.params[word])
            return f"`params.{word}`: {detail}\n\n{about}".rstrip()
        case ("given" | "run", *rest) if len(rest) < 2 and known.uses(word):
            return hover.step(known, word, known.uses(word))
        case ("expect", "verdicts" | "steps") if known.uses(word):
            return hover.step(known, word, known.uses(word))
        case ("given", str() as step):
            return hover.output(known, cursor, ("steps", step, word))
        case ("expect", "tables" | "snapshot" | "disjoint", *_) if "." in word:
            return hover.output(known, cursor, ("steps", *word.split(".")))
    schema = catalog.keys(catalog.options(_schema(), place)).get(word) if cursor.is_key else None
    return catalog.about_key(word, schema) if schema else None


def _items(known: Knowledge, cursor: Cursor) -> Iterator[Item]:
    place = cursor.path[:-1] if cursor.is_key else cursor.path
    match _in_case(place):
        case ("params",) if cursor.is_key:
            for name, declared in known.params.items():
                yield Item(name, "parameter", f"{name}: ", *members.about_param(name, declared), declared.required)
            return
        case ("given",) | ("expect", "verdicts" | "steps") if cursor.is_key:
            yield from _steps(known, ": ")
            return
        case ("given", str() as step) if cursor.is_key:
            yield from _outputs(known, step, "", ": ")
            return
        case ("run", *_):
            yield from _steps(known)
        case ("expect", "tables") if cursor.is_key:
            yield from _tables(known, ": ")
        case ("expect", "disjoint", _, "tables", *_):
            yield from _tables(known)
        case ("expect", "snapshot", *_):
            for step in known.outline.steps:
                yield from _outputs(known, step, f"{step}.")
        case ("expect", "tables", str() as name, "by", *_):
            yield from _columns(known, name)
    yield from _of_schema(cursor, place)


def _of_schema(cursor: Cursor, place: tuple[str | int, ...]) -> Iterator[Item]:
    """Yields the keys or the choices of the schema of test files."""
    options = catalog.options(_schema(), place)
    if cursor.is_key:
        above = cursor.value(place)
        beside = above if isinstance(above, dict) else {}
        for name, schema in catalog.keys(options).items():
            if name not in beside:
                yield Item(name, "key", f"{name}: ", documentation=catalog.about_key(name, schema))
        return
    for choice in catalog.choices(options):
        yield Item(choice, "value", choice)


def _steps(known: Knowledge, behind: str = "") -> Iterator[Item]:
    for name, entry in known.outline.steps.items():
        yield Item(name, "step", f"{name}{behind}", entry.uses)


def _outputs(known: Knowledge, step: str, before: str = "", behind: str = "") -> Iterator[Item]:
    outputs = known.outputs(step, None)
    for name in members.in_order(outputs):
        given = types.inside(outputs, name) or types.ANY
        shown = f"{before}{name}"
        yield Item(shown, "output", f"{shown}{behind}", types.describe(given), members.contents(given))


def _tables(known: Knowledge, behind: str = "") -> Iterator[Item]:
    for step in known.outline.steps:
        for item in _outputs(known, step, f"{step}.", behind):
            if "table" in item.detail:
                yield item


def _columns(known: Knowledge, name: str) -> Iterator[Item]:
    """Yields the columns of a table that is written as STEP.OUTPUT."""
    step, _, output = name.partition(".")
    for type_ in types.inside(known.outputs(step, None), output) or ():
        if isinstance(type_.known, KnownTable):
            for column, kind in type_.known.columns.items():
                yield Item(column, "column", column, kind or "")


def _in_case(place: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """Returns a path below a case or below the defaults of all cases; empty for another one."""
    match place:
        case ("cases", _, *rest):
            return tuple(rest)
        case ("defaults", *rest):
            return tuple(rest)
    return ()


def _spec(text: str, path: Path) -> Path | None:
    """Returns the spec that a test file names, also while the rest of it cannot be read."""
    found = _TESTS.search(text)
    return (path.parent / found["name"]).resolve() if found else None


@cache
def _schema() -> ValueSchema:
    return ValueSchema.of_model(CaseFile.model_json_schema())


_TESTS = re.compile(r"""^tests:\s*["']?(?P<name>[^\s"'#]+\.ya?ml)""", re.MULTILINE)
