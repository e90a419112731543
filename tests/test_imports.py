"""No module needs itself: imports, also those inside functions, go round in no circle."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import networkx as nx

from project import ENGINE


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ENGINE).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(path): path for path in ENGINE.rglob("*.py")}
PUBLIC = "e2i"
"""The package itself imports its public functions when they are asked for."""


def imported(node: ast.AST) -> Iterator[str]:
    """Yields the modules that code imports, but those that only a type checker reads."""
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.If(test=ast.Name("TYPE_CHECKING")):
                continue
            case ast.ImportFrom(module=str(module), names=names):
                yield from (whole if (whole := f"{module}.{alias.name}") in MODULES else module for alias in names)
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
        yield from imported(child)


def test_no_module_is_imported_by_what_it_imports() -> None:
    graph = nx.DiGraph(
        (name, other)
        for name, path in MODULES.items()
        for other in imported(ast.parse(path.read_text("utf-8")))
        if other in MODULES and PUBLIC not in (name, other)
    )
    circles = [sorted(found) for found in nx.strongly_connected_components(graph) if len(found) > 1]
    # The commands' schemas are one description in three files.
    assert [found for found in circles if not all(name.endswith("_schemas") for name in found)] == []
