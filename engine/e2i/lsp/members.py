"""Complete and resolve references in expressions: steps, outputs and their members, parameters, the matrix.

In: ``Knowledge`` and a ``Cursor`` in an expression. Out: ``Item``s, or the path and types of a reference.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from e2i.catalog.artifacts import ARTIFACTS
from e2i.catalog.columns import KnownModel, KnownTable
from e2i.check import types
from e2i.check.types import Types
from e2i.lsp.cursor import Cursor
from e2i.lsp.items import Item
from e2i.lsp.knowledge import Knowledge
from e2i.spec import filters, suggest
from e2i.spec.expansion.expanded import RUN_FACTS
from e2i.spec.models import ParamSpec
from e2i.spec.writing import written

ROOTS = {
    "steps": "Outputs of other steps",
    "params": "Parameters of the pipeline",
    "matrix": "Values of the step's matrix combination",
    "env": "Variables that the settings let specs read",
    "secrets": "Secrets that the settings let specs use",
    "run": "Facts of the run",
}
MOST_COLUMNS = 40
"""Most columns that a description lists."""


def complete(knowledge: Knowledge, cursor: Cursor) -> list[Item]:
    """Returns what may follow in the expression before the cursor."""
    text = cursor.expression or ""
    if _FILTER.search(text):
        return [Item(name, "filter", name, detail=_first_line(call)) for name, call in filters.FILTERS.items()]
    return list(_after(knowledge, cursor, chain(text)[:-1]))


def chain(text: str) -> tuple[str, ...]:
    """Returns the names of the reference that a text ends with: ``("steps", "load", "")`` of ``a + steps.load.``."""
    found = _CHAIN.search(text)
    return tuple(_KEYS.sub(r".\1", found[0]).split(".")) if found else ("",)


def _after(knowledge: Knowledge, cursor: Cursor, names: tuple[str, ...]) -> Iterator[Item]:
    match names:
        case ():
            yield from (Item(name, "variable", name, detail=about) for name, about in ROOTS.items())
        case ("steps",):
            yield from _steps(knowledge, cursor)
        case ("params",):
            for name in knowledge.outline.names("params") or knowledge.params:
                declared = knowledge.params.get(name)
                yield Item(name, "variable", name, *(about_param(name, declared) if declared else ()))
        case ("matrix",):
            matrix = cursor.value((*cursor.step, "matrix")) if cursor.step else None
            yield from (Item(str(name), "variable", str(name)) for name in matrix or () if name not in _CELLS)
        case ("env",):
            yield from (Item(name, "variable", name) for name in sorted(knowledge.workspace.settings.env))
        case ("secrets",):
            yield from (Item(name, "variable", name) for name in sorted(knowledge.workspace.settings.secrets))
        case ("run",):
            yield from (Item(name, "variable", name) for name in RUN_FACTS)
        case ("steps", name, *rest):
            yield from _members(knowledge, cursor, name, tuple(rest))


def _steps(knowledge: Knowledge, cursor: Cursor) -> Iterator[Item]:
    at, taken = knowledge.at(cursor.step), wanted(knowledge, cursor)
    for name, entry in knowledge.outline.steps.items():
        if cursor.step and name == cursor.step[1]:
            continue
        fits = taken is not None and next(fitting(knowledge.outputs(name, at), taken), None) is not None
        yield Item(name, "step", name, detail=entry.uses, is_first=fits)


def _members(knowledge: Knowledge, cursor: Cursor, name: str, rest: tuple[str, ...]) -> Iterator[Item]:
    given: Types | None = knowledge.outputs(name, knowledge.at(cursor.step))
    for key in rest:
        given = types.inside(given, int(key) if key.isdecimal() else key) if given else None
    action = None if rest else knowledge.catalog.action(knowledge.uses(name))
    taken = wanted(knowledge, cursor)
    for member in in_order(given or ()):
        found = types.inside(given or (), member) or types.ANY
        field = action.outputs.get(member) if action else None
        documentation = "\n\n".join(filter(None, (field.description if field else "", contents(found))))
        fits = taken is not None and types.accepts(found, taken)
        yield Item(member, "output", member, types.describe(found), documentation, is_first=fits)


def of_reference(knowledge: Knowledge, cursor: Cursor, names: tuple[str, ...]) -> Types | None:
    """Returns the types of ``steps.NAME`` and what is inside it; None when that is not known."""
    given: Types | None = knowledge.outputs(names[1], knowledge.at(cursor.step))
    for key in names[2:]:
        given = types.inside(given, int(key) if key.isdecimal() else key) if given else None
    return given


def wanted(knowledge: Knowledge, cursor: Cursor) -> Types | None:
    """Returns the types that the parameter at the cursor takes, if they are artifacts."""
    if cursor.step is None or cursor.path[2:3] != ("with",) or len(cursor.path) < 4:
        return None
    action = knowledge.catalog.registry.action(knowledge.uses(cursor.step[1]))
    if action is None:
        return None
    taken = types.at((types.of_model(action.params),), cursor.path[3:])
    is_artifact = any(type_.name in ARTIFACTS for type_ in taken)
    return tuple(type_ for type_ in taken if type_.name in ARTIFACTS) if is_artifact else None


def fitting(outputs: Types, taken: Types) -> Iterator[str]:
    """Yields the outputs of a step that a parameter takes."""
    for member in in_order(outputs):
        found = types.inside(outputs, member)
        if found and any(type_.name in ARTIFACTS for type_ in found) and types.accepts(found, taken):
            yield member


def in_order(given: Types) -> list[str]:
    """Returns the known names inside a value, in the order in which they are declared."""
    return list(dict.fromkeys(key for type_ in given for key in type_.inside if isinstance(key, str)))


def about_param(name: str, declared: ParamSpec) -> tuple[str, str]:
    """Returns the type of a declared parameter, and its description as Markdown."""
    detail = f"{declared.type} = {written(declared.default)}" if not declared.required else f"{declared.type}, required"
    limits = {"choices": declared.choices, "min": declared.min, "max": declared.max, "pattern": declared.pattern}
    shown = ", ".join(f"{key}: `{written(value)}`" for key, value in limits.items() if value is not None)
    return detail, "\n\n".join(filter(None, (declared.description, shown)))


def contents(given: Types) -> str:
    """Returns what is known of tables and models before a run, as Markdown: columns with their types, the target."""
    parts: list[str] = []
    for type_ in given:
        known = type_.known
        if isinstance(known, KnownTable):
            shown = [f"- `{name}`{f': {kind}' if kind else ''}" for name, kind in known.columns.items()]
            more = [f"- … and {len(shown) - MOST_COLUMNS:,} more"] if len(shown) > MOST_COLUMNS else []
            parts.append("\n".join([f"{len(known.columns):,} columns:", *shown[:MOST_COLUMNS], *more]))
        elif isinstance(known, KnownModel) and isinstance(known.target, str):
            parts.append(f"predicts `{known.target}`")
    return "\n\n".join(parts)


def briefly(given: Types) -> str:
    """Returns the names of a table's columns on one line, where many tables are listed."""
    known = next((type_.known for type_ in given if isinstance(type_.known, KnownTable)), None)
    return "" if known is None else suggest.few(list(known.columns))


def column(tables: dict[str, KnownTable], name: str) -> str:
    """Returns the type of a column in the first table that has it, as Markdown; empty when none has."""
    for where, table in tables.items():
        if name in table.columns:
            kind, origin = table.columns[name], table.origin
            return f"`{name}`{f': {kind}' if kind else ''}, column of `{where}`{f', from {origin}' if origin else ''}"
    return ""


def _first_line(call: object) -> str:
    return (call.__doc__ or "").partition("\n")[0]


_CELLS = ("include", "exclude")
_FILTER = re.compile(r"\|\s*\w*$")
_CHAIN = re.compile(r"""[A-Za-z_]\w*(?:\.\w*|\[(?:\d+|'[^']*'|"[^"]*")\])*$""")
_KEYS = re.compile(r"""\[['"]?([^'"\]]*)['"]?\]""")
