"""Read the signature of a function in a Python file. In: the file's bytes. Out: a ``Signature``. Nothing is run."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import lru_cache

from msgspec import Struct

from e2i.catalog.columns import Shape, Shapes
from e2i.catalog.shapes import ANY, NULL
from e2i.tools.python.annotations import Annotations

DYNAMIC = ("globals", "locals", "vars", "exec", "eval", "setattr")
"""Built-in functions by which a file may define names that no statement shows."""


class Parameter(Struct, frozen=True):
    """A parameter that can be passed by name."""

    shapes: Shapes
    required: bool


class Signature(Struct, frozen=True):
    """A function as it is written."""

    parameters: Mapping[str, Parameter]
    by_position: tuple[str, ...]
    """Parameters without a default that can only be passed by position, which no step can do."""
    open: bool
    """Whether it takes further arguments by name, as ``**others``."""
    returned: Shapes
    entries: Shape | None
    """The entries of the TypedDict, NamedTuple or dataclass that it returns, as annotated."""


class NoFunctionError(Exception):
    """The file certainly defines no function of that name. ``known`` are the functions that it has."""

    def __init__(self, known: tuple[str, ...]) -> None:
        super().__init__()
        self.known = known


@lru_cache(maxsize=16)
def read(code: bytes, name: str) -> Signature | None:
    """Return the signature of a function; None where it cannot be read from the text alone, such as of a decorated one.

    Raises NoFunctionError, and SyntaxError for a file that is not Python.
    """
    try:
        return _read(ast.parse(code), name)
    except (ValueError, RecursionError, MemoryError):  # code that is nested too deep, or holds null bytes
        return None


def _read(tree: ast.Module, name: str) -> Signature | None:
    found = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    bound = list(_bound(tree))
    if name not in bound and "*" not in bound and not _is_dynamic(tree):
        raise NoFunctionError(tuple(dict.fromkeys(node.name for node in found)))
    of_name = [node for node in found if node.name == name]
    if len(of_name) != 1 or bound.count(name) != 1 or of_name[0].decorator_list or _is_dynamic(tree):
        return None
    return _signature(of_name[0], Annotations(tree))


def _signature(node: ast.FunctionDef | ast.AsyncFunctionDef, annotations: Annotations) -> Signature:
    given = node.args
    positional = [*given.posonlyargs, *given.args]
    required = {item.arg for item in positional[: len(positional) - len(given.defaults)]}
    required |= {item.arg for item, value in zip(given.kwonlyargs, given.kw_defaults, strict=True) if value is None}
    defaults = dict(zip((item.arg for item in reversed(positional)), reversed(given.defaults), strict=False))
    defaults |= {item.arg: value for item, value in zip(given.kwonlyargs, given.kw_defaults, strict=True) if value}
    parameters = {
        item.arg: Parameter(_allowed(item, defaults.get(item.arg), annotations), item.arg in required)
        for item in (*given.args, *given.kwonlyargs)
    }
    return Signature(
        parameters=parameters,
        by_position=tuple(item.arg for item in given.posonlyargs if item.arg in required),
        open=given.kwarg is not None,
        returned=annotations.shapes(node.returns) if node.returns else ANY,
        entries=annotations.fields(node.returns),
    )


def _allowed(item: ast.arg, default: ast.expr | None, annotations: Annotations) -> Shapes:
    """Return the values that a parameter takes. Its default is one of them: ``least: int = None`` takes null."""
    if item.annotation is None:
        return ANY
    is_null = isinstance(default, ast.Constant) and default.value is None
    return (*annotations.shapes(item.annotation), *(NULL if is_null else ()))


def _bound(tree: ast.Module) -> Iterator[str]:
    """Yield each name that the module's own statements bind; ``*`` for an import of everything."""
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop()
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
                continue  # names inside are its own
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                yield from (alias.asname or alias.name.partition(".")[0] for alias in names)
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
                yield name
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield name
            case ast.Lambda():
                continue
        waiting += ast.iter_child_nodes(node)


def _is_dynamic(tree: ast.Module) -> bool:
    """Return whether the file may define names in ways that its statements do not show."""
    return any(
        (isinstance(node, ast.Name) and node.id in DYNAMIC) or isinstance(node, ast.Global) for node in ast.walk(tree)
    )
