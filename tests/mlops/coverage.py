"""Which method of the Python interface is tested in which mode. In: the tests of this folder. Out: a table for the docs.

A test covers a method that it calls, itself or in a function of its module. Its modes are the parameters and the
servers of the fixtures that it uses. ``python tests/mlops/coverage.py`` writes the table into docs/python.md.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import e2i.mlops

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "python.md"
MARKS = ("<!-- methods -->\n", "<!-- end of methods -->\n")
FILES = {
    "MLflowConnector": "test_mlflow.py",
    "OpikConnector": "test_opik.py",
    "GEValidator": "test_great_expectations.py",
    "FeastClient": "test_feast.py",
    "OptunaTuner": "test_optuna.py",
    "SHAPExplainer": "test_shap.py",
    "BentoMLService": "test_bentoml.py",
}
SERVERS = {
    "mlflow_server": "server over HTTP",
    "server": "server over HTTP",
    "postgres": "PostgreSQL",
    "redis": "Redis",
    "s3": "S3",
    "postgresql": "PostgreSQL",
    "shipped": "processes",
    "endpoint": "processes",
    "cloud": "BentoCloud (stand-in)",
}
"""Fixture or parameter of a fixture → the mode that it stands for; any other parameter is its own name."""
EMBEDDED = ("embedded", "frame", "arrow", "file", "folder", "sqlite", "existing")
"""Parameters of fixtures that need no server."""
EXTRA = {"MLflowConnector": "Run", "OpikConnector": "Span"}
"""Classes of what a method of the connector returns, whose methods belong to the interface too."""
INTERNAL = {
    "document",
    "fail",
    "open",
    "described",
    "record",
    "put",
    "ensure",
    "flush",
    "remote_id",
    "leave",
    "aleave",
    "download",
}


def methods() -> Iterator[tuple[str, str]]:
    """Yield each class of the interface, or what it returns, with the name of each public method."""
    for name in FILES:
        cls = getattr(e2i.mlops, name)
        kinds = [(name, cls)]
        if name in EXTRA:
            module = inspect.getmodule(cls)
            kinds.append((EXTRA[name], getattr(module, EXTRA[name])))
        for shown, kind in kinds:
            for method, value in vars(kind).items():
                if not method.startswith("_") and callable(value) and method not in INTERNAL:
                    yield shown, method


def table() -> str:
    """Return the table of methods, modes and the number of tests."""
    owners = {**{name: name for name in FILES}, **{extra: name for name, extra in EXTRA.items()}}
    rows = ["| method | modes | tests |", "| --- | --- | --- |"]
    for shown, method in methods():
        tests = Module(HERE / FILES[owners[shown]]).covering(method)
        modes = sorted({mode for found in tests.values() for mode in found})
        rows.append(f"| `{shown}.{method}` | {', '.join(modes)} | {len(tests)} |")
    return "\n".join(rows) + "\n"


class Module:
    """The tests of one file."""

    def __init__(self, path: Path) -> None:
        body = ast.parse(path.read_text("utf-8")).body
        self.servers = {name: mode for name, mode in SERVERS.items() if name != "server" or path.name == "test_opik.py"}
        self.functions = {node.name: node for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        self.texts = {
            target.id: node.value.value
            for node in body
            if isinstance(node, ast.Assign)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
            for target in node.targets
            if isinstance(target, ast.Name)
        }  # programs that tests run in a process of their own

    def covering(self, method: str) -> dict[str, set[str]]:
        """Return the tests that call a method, each with its modes."""
        return {
            name: self.modes(name)
            for name in self.functions
            if name.startswith("test_") and any(method in self.calls(other) for other in self.reached(name))
        }

    def calls(self, function: str) -> set[str]:
        """Return the names of the methods that a function calls, or passes on, or has a program call."""
        node = self.functions[function]
        found = {item.attr for item in ast.walk(node) if isinstance(item, ast.Attribute)}
        for item in ast.walk(node):
            if isinstance(item, ast.Name) and item.id in self.texts:
                found |= set(re.findall(r"\.(\w+)\(", self.texts[item.id]))
            if isinstance(item, ast.Constant) and isinstance(item.value, str):
                found |= set(re.findall(r"\.(\w+)\(", item.value))
        return found

    def reached(self, function: str) -> set[str]:
        """Return the function, the functions of the module that it names, and the fixtures that it uses."""
        seen: set[str] = set()
        todo = [function]
        while todo:
            name = todo.pop()
            if name in seen:
                continue
            seen.add(name)
            node = self.functions[name]
            named = {item.id for item in ast.walk(node) if isinstance(item, ast.Name)}
            todo += [other for other in named | {arg.arg for arg in node.args.args} if other in self.functions]
        return seen

    def modes(self, function: str) -> set[str]:
        """Return the modes in which a test runs."""
        found: set[str] = set()
        for name in self.reached(function):
            node = self.functions[name]
            wanted = {arg.arg for arg in node.args.args} | set(fixtures_of(node))
            found |= {self.servers[each] for each in wanted if each in self.servers}
            for decorator in node.decorator_list:
                for item in ast.walk(decorator):
                    if isinstance(item, ast.Constant) and isinstance(item.value, str):
                        found |= {self.servers[item.value]} if item.value in self.servers else set()
                        found |= {"embedded"} if item.value in EMBEDDED else set()
        return found or {"embedded"}


def fixtures_of(node: ast.AST) -> Iterator[str]:
    """Yield the fixtures that a function asks for by their names."""
    for item in ast.walk(node):
        if isinstance(item, ast.Call) and isinstance(item.func, ast.Attribute) and item.func.attr == "getfixturevalue":
            yield from (given.value for given in item.args if isinstance(given, ast.Constant))


def filled(page: str) -> str:
    """Return the page with the present table."""
    before, _, rest = page.partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    return before + MARKS[0] + table() + MARKS[1] + after


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text("utf-8")), "utf-8")
