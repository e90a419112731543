"""Reads a query into DuckDB's own syntax tree. In: SQL. Out: statements as JSON, or an error with its position."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from e2i.spec.suggest import few

Node = Mapping[str, Any]
_QUALIFIED = re.compile(r'"(.+)" does not have a column named "(.+)"')
MOST_CHARACTERS = 32_768
"""Length of a query. Its check takes time and memory in proportion."""


class Query(Struct, frozen=True):
    """A query as it is written, with the values of its parameters.

    ``is_generated``: it numbers the rows of its tables, whose order is theirs.
    """

    text: str
    params: Mapping[str, Any] = {}
    is_generated: bool = False


class Finding(Struct, frozen=True):
    """An error in a query: what it is, and the character of the query where it is (None: the query as a whole).

    ``name`` is an unknown name, and ``known`` are the names that it could have been.
    """

    code: str
    message: str
    offset: int | None = None
    hint: str | None = None
    name: str = ""
    known: Sequence[str] = ()


TOO_DEEP = Finding("query-refused", "the query is nested too deep", hint="split it into several steps")


def parsed(connection: Any, query: str) -> tuple[list[Node], list[Finding]]:
    """Returns the statements of a query. Only a SELECT has a tree: anything else is an error."""
    if len(query) > MOST_CHARACTERS:
        message = f"the query is longer than {MOST_CHARACTERS:,} characters"
        return [], [Finding("query-refused", message, hint="split it into several steps")]
    try:
        document = json.loads(connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [query]).fetchone()[0])
    except RecursionError:
        return [], [TOO_DEEP]
    if not document["error"]:
        return document["statements"], []
    if document["error_type"] == "not implemented":
        message = "only a SELECT is possible here, and a PIVOT that lists its values after IN"
        return [], [Finding("query-refused", message, hint="a query reads its tables and changes nothing")]
    return [], [error(document, query)]


def error(document: Node, query: str) -> Finding:
    """Returns DuckDB's description of an error as a finding."""
    position = document.get("position", "")
    offset = characters(query, int(position)) if str(position).isdigit() else None
    lines = [line.strip() for line in str(document["error_message"]).splitlines()]
    message = lines[0].removesuffix("!").removesuffix(".")
    name = str(document.get("name", ""))
    if qualified := _QUALIFIED.search(lines[0]):
        name = qualified[2]
        found = query.find(name, offset or 0)
        message = f'the query names a column "{name}" that "{qualified[1]}" does not have'
        return Finding("unknown-column", message, found if found >= 0 else offset, None, name)
    if document.get("error_subtype") == "COLUMN_NOT_FOUND":
        message = f'the query names a column "{name}" that its tables do not have'
        return Finding("unknown-column", message, offset, None, name, _candidates(document))
    accepted = [line for line in lines[1:] if "->" in line]
    hint = f"accepted: {few(accepted)}" if 0 < len(accepted) <= 4 else None
    return Finding("bad-query", f"the query is invalid: {message}", offset, hint)


def nodes(value: Any) -> Iterator[Node]:
    """Yields every node below a value, itself included, each before its children."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            yield item
            waiting.extend(reversed([child for child in item.values() if isinstance(child, dict | list)]))
        elif isinstance(item, list):
            waiting.extend(reversed([child for child in item if isinstance(child, dict | list)]))


def offset(node: Node, query: str) -> int | None:
    """Returns the character of the query where a node begins; None when the tree does not tell."""
    location = node.get("query_location", -1)
    return characters(query, location) if 0 <= location <= len(query) * 4 else None


def characters(query: str, position: int) -> int:
    """Returns the number of characters in the first bytes of a query."""
    return position if query.isascii() else len(query.encode()[:position].decode(errors="ignore"))


def function_name(node: Node) -> str | None:
    """Returns the name of a function without a schema; None for one with a schema."""
    path = (node.get("qualified_name") or {}).get("path") or [node.get("function_name", "")]
    return str(path[0]).lower() if len(path) == 1 else None


def quoted(name: str) -> str:
    """Returns a name as SQL that cannot be read as anything else."""
    return '"' + name.replace('"', '""') + '"'


def _candidates(document: Node) -> tuple[str, ...]:
    """Returns the names that DuckDB proposes, without their tables."""
    given = str(document.get("candidates", ""))
    names = (part.strip().strip('"') for part in given.split(","))
    return tuple(dict.fromkeys(name.rpartition(".")[2].strip('"') for name in names if name))


def bound_name(node: Node) -> str:
    """Returns the name of a function in a bound plan."""
    return str((node.get("qname") or {}).get("path", [""])[-1])
