"""Infers the type of a formula. In: a formula, and the types of its references. Out: ``Types``, and type errors.

One walk over Jinja2's tree, like the evaluator's in ``e2i.spec.formula``. Imported only when a spec has a formula.
"""

from __future__ import annotations

from collections.abc import Callable

from jinja2 import nodes

from e2i.check import types
from e2i.check.types import ANY, BOOLEAN, INTEGER, NUMBER, NUMERIC, STRING, Type, Types
from e2i.spec.formula import Formula, reference_of
from e2i.spec.references import Reference

Look = Callable[[Reference], Types]


def infer(formula: Formula, look: Look) -> tuple[Types, list[str]]:
    """Returns the type of the formula, and an error for each operator or filter that does not accept its operands."""
    walk = _Inference(look)
    return walk.types(formula.node), walk.errors


class _Inference:
    """One walk. An error is reported once: the result of an invalid operation has any type."""

    def __init__(self, look: Look) -> None:
        self.look = look
        self.errors: list[str] = []

    def types(self, node: nodes.Node) -> Types:
        match node:
            case nodes.Const():
                return types.of_value(node.value)
            case nodes.Name() | nodes.Getattr() | nodes.Getitem():
                return self.looked_up(node)
            case nodes.Compare():
                return self.compared(node)
            case nodes.List() | nodes.Tuple() | nodes.Dict():
                return self.collected(node)
            case nodes.And() | nodes.Or() | nodes.Not() | nodes.Test() | nodes.CondExpr():
                return self.chosen(node)
            case nodes.Neg() | nodes.Pos():
                return self.arithmetic(node.operator, self.types(node.node), INTEGER)
            case nodes.Concat():
                for part in node.nodes:
                    self.types(part)
                return STRING
            case nodes.BinExpr():
                return self.computed(node, self.types(node.left), self.types(node.right))
            case nodes.Filter(node=nodes.Expr() as operand):
                return self.filtered(node, self.types(operand))
        return ANY

    def collected(self, node: nodes.List | nodes.Tuple | nodes.Dict) -> Types:
        if isinstance(node, nodes.Dict):
            return (Type("mapping", {str(pair.key.as_const()): self.types(pair.value) for pair in node.items}),)
        return (Type("list", dict(enumerate(map(self.types, node.items)))),)

    def chosen(self, node: nodes.And | nodes.Or | nodes.Not | nodes.Test | nodes.CondExpr) -> Types:
        match node:
            case nodes.And() | nodes.Or():
                return types.union((self.types(node.left), self.types(node.right)))
            case nodes.CondExpr(expr2=nodes.Expr() as otherwise):
                self.types(node.test)
                return types.union((self.types(node.expr1), self.types(otherwise)))
            case nodes.Not() | nodes.Test():
                self.types(node.node)
                return BOOLEAN
        return ANY

    def looked_up(self, node: nodes.Name | nodes.Getattr | nodes.Getitem) -> Types:
        reference = reference_of(node)
        if reference is not None:
            return self.look(reference)
        assert not isinstance(node, nodes.Name)
        container = self.types(node.node)
        if isinstance(node, nodes.Getitem) and not isinstance(node.arg, nodes.Const):
            self.types(node.arg)
            return types.items(container)
        key = node.attr if isinstance(node, nodes.Getattr) else node.arg.as_const()
        return types.inside(container, key) or self.refuse(f'{types.describe(container)} has no "{key}"')

    def compared(self, node: nodes.Compare) -> Types:
        left = self.types(node.expr)
        for operand in node.ops:
            right = self.types(operand.expr)
            if operand.op in ("in", "notin"):
                if not types.can_be(right, "string", "list", "mapping"):
                    self.refuse(f'"in" does not work on {types.describe(left)} and {types.describe(right)}')
            elif operand.op not in ("eq", "ne") and not (_both(left, right, "number") or _both(left, right, "string")):
                sign = _ORDER[operand.op]
                self.refuse(f'"{sign}" does not work on {types.describe(left)} and {types.describe(right)}')
            left = right
        return BOOLEAN

    def computed(self, node: nodes.BinExpr, left: Types, right: Types) -> Types:
        found: list[Types] = []
        for name, result in (("string", STRING), ("list", types.LIST)):
            if isinstance(node, nodes.Add) and _both(left, right, name):
                found.append(result)
            for several, times in ((left, right), (right, left)):
                if isinstance(node, nodes.Mul) and types.can_be(several, name) and types.can_be(times, "integer"):
                    found.append(result)
        if not found or _both(left, right, "number"):
            found.append(self.arithmetic(node.operator, left, right))
        return types.union(found)

    def arithmetic(self, sign: str, left: Types, right: Types) -> Types:
        if not _both(left, right, "number"):
            return self.refuse(f'"{sign}" does not work on {types.describe(left)} and {types.describe(right)}')
        if sign == "/" or _only(left, "number") or _only(right, "number"):
            return NUMBER
        return INTEGER if sign != "**" and _only(left, "integer") and _only(right, "integer") else NUMERIC

    def filtered(self, node: nodes.Filter, given: Types) -> Types:
        arguments = [self.types(argument) for argument in (*node.args, *(pair.value for pair in node.kwargs))]
        if node.name == "default":
            return types.union((given, arguments[0] if arguments else STRING))
        takes, result = _FILTERS[node.name]
        if arguments and node.name in ("int", "float"):  # a value that is not a number becomes the fallback
            return types.union((result(given), arguments[0]))
        if takes and not types.can_be(given, *takes):
            return self.refuse(f"{node.name} does not work on {types.describe(given)}")
        return result(given)

    def refuse(self, message: str) -> Types:
        self.errors.append(message)
        return ANY


def _both(left: Types, right: Types, name: str) -> bool:
    return types.can_be(left, name) and types.can_be(right, name)


def _only(given: Types, name: str) -> bool:
    return all(type_.name == name for type_ in given)


def _number(given: Types) -> Types:
    """Returns a number type of the same kind."""
    return tuple(type_ for type_ in given if type_.name in ("integer", "number")) or NUMERIC


def _rounded(given: Types) -> Types:
    return NUMERIC


def _end(given: Types) -> Types:
    """Returns the type of the first or last item of a list, or of a text."""
    texts = STRING if types.can_be(given, "string") else ()
    lists = tuple(type_ for type_ in given if type_.name in ("list", "any"))
    return types.union((texts, types.items(lists) if lists else ()))


def _list(given: Types) -> Types:
    return (Type("list", rest=types.items(given)),)


def _always(result: Types) -> Callable[[Types], Types]:
    return lambda given: result


_ORDER = {"lt": "<", "lteq": "<=", "gt": ">", "gteq": ">="}
_TEXT = (("string",), _always(STRING))
_FILTERS: dict[str, tuple[tuple[str, ...], Callable[[Types], Types]]] = {
    "abs": (("number",), _number),
    "first": (("list", "string"), _end),
    "float": (("number", "string"), _always(NUMBER)),
    "int": (("number", "string"), _always(INTEGER)),
    "join": (("list",), _always(STRING)),
    "keys": (("mapping",), _always((Type("list", rest=STRING),))),
    "last": (("list", "string"), _end),
    "length": (("string", "list", "mapping"), _always(INTEGER)),
    "lower": _TEXT,
    "max": (("list",), types.items),
    "min": (("list",), types.items),
    "replace": _TEXT,
    "round": (("number",), _rounded),
    "sort": (("list",), _list),
    "string": ((), _always(STRING)),
    "sum": (("list",), _always(NUMERIC)),
    "tojson": ((), _always(STRING)),
    "trim": _TEXT,
    "unique": (("list",), _list),
    "upper": _TEXT,
    "values": (("mapping",), _list),
}
"""Filter → the types that it accepts (none: any), and the type it returns. ``default`` is handled separately."""
