"""Writes parameters into a query as literals. In: a syntax tree and values. Out: SQL, and where its parts came from.

A value is written as text in quotes or as a cast number, never as SQL. So a query has the same types before the run and
in it, whatever the values are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from e2i.catalog.columns import settled
from e2i.queries import syntax
from e2i.queries.syntax import Finding, Node, Query


class Written(Struct, frozen=True):
    """A query with its parameters. ``places``: offset, length before, and length after, of each parameter."""

    text: str
    places: Sequence[tuple[int, int, int]] = ()

    def back(self, finding: Finding) -> Finding:
        """Returns a finding of this text as one of the query that it was written from."""
        if finding.offset is None:
            return finding
        at = finding.offset
        for start, before, after in self.places:
            shifted = start + after
            if at < start:
                break
            at = start if at < shifted else at - after + before
        return replace(finding, offset=at)


def written(tree: Node, query: Query) -> tuple[Written | None, list[Finding]]:
    """Returns the query with its parameters, and findings of names. None while a value is not known."""
    used = sorted(_place(node, query.text) for node in syntax.nodes(tree) if node.get("class") == "PARAMETER")
    findings = list(_wrong(used, query.params))
    if findings or not settled(query.params):
        return None, findings
    parts: list[str] = []
    places: list[tuple[int, int, int]] = []
    end = 0
    for start, length, name in used:
        parts += [query.text[end:start], literal(query.params[name])]
        places.append((start, length, len(parts[-1])))
        end = start + length
    return Written("".join([*parts, query.text[end:]]), places), []


def literal(value: Any) -> str:
    """Returns a plain value as SQL."""
    match value:
        case None:
            return "NULL"
        case bool():
            return "true" if value else "false"
        case int():
            return f"CAST({value} AS BIGINT)"
        case float():
            return f"CAST({value!r} AS DOUBLE)"
        case str():
            return "'" + value.replace("'", "''") + "'"
        case list() | tuple():
            return f"[{', '.join(map(literal, value))}]"
    raise TypeError(f"{type(value).__name__} is no parameter of a query")


def _place(node: Node, query: str) -> tuple[int, int, str]:
    name = str(node["identifier"])
    return syntax.offset(node, query) or 0, len(name) + 1, name


def _wrong(used: Iterable[tuple[int, int, str]], params: Collection[str]) -> Iterable[Finding]:
    names: set[str] = set()
    for start, _, name in used:
        names.add(name)
        if name.isdigit():
            yield Finding("bad-query", "parameters have names: write $name", start)
        elif name not in params:
            hint = None if params else f"add it: `params: {{{name}: …}}`"
            yield Finding("bad-query", f'there is no parameter "{name}" in `params`', start, hint, name, tuple(params))
    if unused := sorted(set(params) - names):
        yield Finding("bad-query", f"the query does not use the parameter ${unused[0]}", hint="remove it from `params`")
