"""Read type annotations as shapes of values. In: the syntax tree of a file. Out: ``Shapes``.

Nothing is imported or run: names are followed through the file's own import statements and classes. An annotation that
is not understood allows any value.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

from e2i.catalog.columns import Shape, Shapes
from e2i.catalog.shapes import ANY, NULL, simple

FRAMES = {
    "pandas.DataFrame": "pandas",
    "pandas.core.frame.DataFrame": "pandas",
    "polars.DataFrame": "polars",
    "polars.LazyFrame": "polars lazy",
    "pyarrow.Table": "pyarrow",
    "pyarrow.lib.Table": "pyarrow",
}
"""The classes of frames, and the libraries that they are of."""
SIMPLE = {"str": "string", "int": "integer", "float": "number", "bool": "boolean", "None": "null"}
MAPPINGS = ("dict", "typing.Dict", "typing.Mapping", "typing.MutableMapping", "collections.abc.Mapping",
            "collections.abc.MutableMapping")  # fmt: skip
LISTS = ("list", "typing.List", "typing.Sequence", "typing.Iterable", "collections.abc.Sequence",
         "collections.abc.Iterable", "set", "frozenset")  # fmt: skip
DEEPEST = 20
"""Limit on annotations inside each other."""
MOST = 10_000
"""Limit on annotations that are read for one function: classes may refer to each other many times."""


class Annotations:
    """The annotations of one file."""

    def __init__(self, tree: ast.Module) -> None:
        self._imported: dict[str, str] = {}
        for name, of in _imported(tree):  # those of the module come before those inside functions
            self._imported.setdefault(name, of)
        self._left = MOST
        self._classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}

    def shapes(self, annotation: ast.expr | None, depth: int = 0) -> Shapes:
        """Return the values that an annotation allows."""
        self._left -= 1
        if depth > DEEPEST or self._left < 0:
            return ANY
        match annotation:
            case ast.Constant(value=None):
                return NULL
            case ast.Constant(value=str(text)):
                return self.shapes(_parsed(text), depth + 1)
            case ast.BinOp(left=left, op=ast.BitOr(), right=right):
                return (*self.shapes(left, depth + 1), *self.shapes(right, depth + 1))
            case ast.Subscript(value=outer, slice=inner):
                arguments = inner.elts if isinstance(inner, ast.Tuple) else [inner]
                return self._generic(self.name(outer), arguments, depth + 1)
            case ast.Name() | ast.Attribute():
                return self._named(self.name(annotation), depth + 1)
        return ANY

    def fields(self, annotation: ast.expr | None) -> Shape | None:
        """Return the entries of a TypedDict, NamedTuple or dataclass of the file; None for any other annotation."""
        match annotation:
            case ast.Constant(value=str(text)):
                return self.fields(_parsed(text))
            case ast.Name(id=name) if name in self._classes:
                return self._entries(self._classes[name], 0)
        return None

    def name(self, node: ast.expr) -> str:
        """Return a dotted name with its first part as it was imported: ``pd.DataFrame`` is ``pandas.DataFrame``."""
        match node:
            case ast.Name(id=name):
                return self._imported.get(name, name)
            case ast.Attribute(value=value, attr=attribute):
                return f"{self.name(value)}.{attribute}"
        return ""

    def _named(self, name: str, depth: int) -> Shapes:
        if name in self._classes:
            return self._of_class(self._classes[name], depth)
        if name in FRAMES:
            return (Shape("table", library=FRAMES[name]),)
        if name in SIMPLE:
            return simple(SIMPLE[name])
        if name in MAPPINGS:
            return (Shape("mapping", rest=ANY),)
        if name in LISTS or name in ("tuple", "typing.Tuple"):
            return (Shape("list", rest=ANY),)
        return ANY

    def _generic(self, name: str, arguments: list[ast.expr], depth: int) -> Shapes:
        first, others = (arguments[0] if arguments else None), arguments[1:]
        if name in MAPPINGS and len(arguments) == 2:
            return (Shape("mapping", rest=self.shapes(others[0], depth)),)
        if name in LISTS:
            return (Shape("list", rest=self.shapes(first, depth)),)
        if name in ("tuple", "typing.Tuple"):
            if others and isinstance(others[-1], ast.Constant) and others[-1].value is Ellipsis:
                return (Shape("list", rest=self.shapes(first, depth)),)
            return (Shape("list", {index: self.shapes(item, depth) for index, item in enumerate(arguments)}),)
        if name in ("typing.Optional", "typing.Union"):
            found = tuple(shape for item in arguments for shape in self.shapes(item, depth))
            return (*found, *NULL) if name == "typing.Optional" else found
        if name in ("typing.Annotated", "typing.Required", "typing.NotRequired", "typing.Final"):
            return self.shapes(first, depth)
        if name == "typing.Literal":
            return _literal(arguments)
        return ANY

    def _of_class(self, node: ast.ClassDef, depth: int) -> Shapes:
        found = self._entries(node, depth)
        return ANY if found is None else (found,)

    def _entries(self, node: ast.ClassDef, depth: int) -> Shape | None:
        """Return the entries of a TypedDict, NamedTuple or dataclass; None for other classes and other bases."""
        bases = [self.name(base) for base in node.bases]
        is_dict, is_tuple = bases == ["typing.TypedDict"], bases == ["typing.NamedTuple"]
        decorators = [self.name(item.func if isinstance(item, ast.Call) else item) for item in node.decorator_list]
        if not is_dict and not is_tuple and (bases or "dataclasses.dataclass" not in decorators):
            return None
        entries = {
            item.target.id: item.annotation
            for item in node.body
            if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
        }
        total = not any(
            word.arg == "total" and isinstance(word.value, ast.Constant) and word.value.value is False
            for word in node.keywords
        )
        inside: Mapping[str | int, Shapes] = {key: self.shapes(item, depth + 1) for key, item in entries.items()}
        optional = {key for key, item in entries.items() if is_dict and not self._is_required(item, total)}
        return Shape("mapping", inside, optional=frozenset(optional))

    def _is_required(self, annotation: ast.expr, total: bool) -> bool:
        """Return whether an entry of a TypedDict must be there."""
        outer = self.name(annotation.value) if isinstance(annotation, ast.Subscript) else ""
        return outer == "typing.Required" or (total and outer != "typing.NotRequired")


def _imported(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield each imported name with what it stands for, also of imports for type checkers only."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                for alias in names:
                    yield (
                        alias.asname or alias.name.partition(".")[0],
                        alias.name if alias.asname else (alias.name.partition(".")[0]),
                    )
            case ast.ImportFrom(module=str(module), names=names, level=0):
                base = "typing" if module == "typing_extensions" else module
                yield from ((alias.asname or alias.name, f"{base}.{alias.name}") for alias in names)


def _parsed(text: str) -> ast.expr | None:
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _literal(arguments: list[ast.expr]) -> Shapes:
    """Return the values of ``Literal[…]``."""
    names = {str: "string", int: "integer", bool: "boolean", type(None): "null"}
    values: dict[str, list[str | int | bool | None]] = {}
    for item in arguments:
        if not isinstance(item, ast.Constant) or type(item.value) not in names:
            return ANY
        value = item.value
        assert value is None or isinstance(value, str | int)
        values.setdefault(names[type(value)], []).append(value)
    return tuple(Shape(name, values=tuple(found)) for name, found in values.items())
