"""No module needs itself: imports, also those inside functions, go round in no circle. Benchmarks find what they import."""

from __future__ import annotations

import ast
import importlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path

import networkx as nx
import pytest

from project import ENGINE

ROOT = Path(__file__).parents[1]


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


@pytest.mark.parametrize("file", sorted((ROOT / "benchmarks").glob("*.py")), ids=lambda file: file.name)
def test_what_a_benchmark_takes_from_the_program_is_there(file: Path) -> None:
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == "e2i":
            module = importlib.import_module(node.module)
            for name in node.names:
                assert hasattr(module, name.name) or importlib.util.find_spec(f"{node.module}.{name.name}"), name.name
