"""What a formula's value can be. In: a formula, and what its references can be. Out: ``Kinds``, and what cannot work.

One walk over Jinja2's tree, like the evaluator's in ``e2i.spec.formula``. Imported only when a spec holds a formula.
"""

from __future__ import annotations

from collections.abc import Callable

from jinja2 import nodes

from e2i.check import kinds
from e2i.check.kinds import ANY, BOOLEAN, INTEGER, NUMBER, NUMERIC, STRING, Kind, Kinds
from e2i.spec.formula import Formula, reference_of
from e2i.spec.references import Reference

Look = Callable[[Reference], Kinds]


def infer(formula: Formula, look: Look) -> tuple[Kinds, list[str]]:
    """What the formula's value can be, and each operator or filter in it that cannot work on what it is given."""
    walk = _Inference(look)
    return walk.kinds(formula.node), walk.faults


class _Inference:
    """One walk. A fault is reported once: what cannot work may be anything to what is around it."""

    def __init__(self, look: Look) -> None:
        self.look = look
        self.faults: list[str] = []

    def kinds(self, node: nodes.Node) -> Kinds:
        match node:
            case nodes.Const():
                return kinds.of_value(node.value)
            case nodes.Name() | nodes.Getattr() | nodes.Getitem():
                return self.looked_up(node)
            case nodes.List() | nodes.Tuple():
                return (Kind("list", dict(enumerate(map(self.kinds, node.items)))),)
            case nodes.Dict():
                return (Kind("mapping", {str(pair.key.as_const()): self.kinds(pair.value) for pair in node.items}),)
            case nodes.And() | nodes.Or():
                return kinds.union((self.kinds(node.left), self.kinds(node.right)))
            case nodes.CondExpr(expr2=nodes.Expr() as otherwise):
                self.kinds(node.test)
                return kinds.union((self.kinds(node.expr1), self.kinds(otherwise)))
            case nodes.Not() | nodes.Test():
                self.kinds(node.node)
                return BOOLEAN
            case nodes.Compare():
                return self.compared(node)
            case nodes.Neg() | nodes.Pos():
                return self.arithmetic(node.operator, self.kinds(node.node), INTEGER)
            case nodes.Concat():
                for part in node.nodes:
                    self.kinds(part)
                return STRING
            case nodes.BinExpr():
                return self.computed(node, self.kinds(node.left), self.kinds(node.right))
            case nodes.Filter(node=nodes.Expr() as operand):
                return self.filtered(node, self.kinds(operand))
        return ANY

    def looked_up(self, node: nodes.Name | nodes.Getattr | nodes.Getitem) -> Kinds:
        reference = reference_of(node)
        if reference is not None:
            return self.look(reference)
        assert not isinstance(node, nodes.Name)
        container = self.kinds(node.node)
        if isinstance(node, nodes.Getitem) and not isinstance(node.arg, nodes.Const):
            self.kinds(node.arg)
            return kinds.items(container)
        key = node.attr if isinstance(node, nodes.Getattr) else node.arg.as_const()
        return kinds.inside(container, key) or self.fault(f'{kinds.describe(container)} has no "{key}"')

    def compared(self, node: nodes.Compare) -> Kinds:
        left = self.kinds(node.expr)
        for operand in node.ops:
            right = self.kinds(operand.expr)
            if operand.op in ("in", "notin"):
                if not kinds.may_be(right, "string", "list", "mapping"):
                    self.fault(f'"in" does not work on {kinds.describe(left)} and {kinds.describe(right)}')
            elif operand.op not in ("eq", "ne") and not (_both(left, right, "number") or _both(left, right, "string")):
                sign = _ORDER[operand.op]
                self.fault(f'"{sign}" does not work on {kinds.describe(left)} and {kinds.describe(right)}')
            left = right
        return BOOLEAN

    def computed(self, node: nodes.BinExpr, left: Kinds, right: Kinds) -> Kinds:
        found: list[Kinds] = []
        for name, result in (("string", STRING), ("list", kinds.LIST)):
            if isinstance(node, nodes.Add) and _both(left, right, name):
                found.append(result)
            for several, times in ((left, right), (right, left)):
                if isinstance(node, nodes.Mul) and kinds.may_be(several, name) and kinds.may_be(times, "integer"):
                    found.append(result)
        if not found or _both(left, right, "number"):
            found.append(self.arithmetic(node.operator, left, right))
        return kinds.union(found)

    def arithmetic(self, sign: str, left: Kinds, right: Kinds) -> Kinds:
        if not _both(left, right, "number"):
            return self.fault(f'"{sign}" does not work on {kinds.describe(left)} and {kinds.describe(right)}')
        if sign == "/" or _only(left, "number") or _only(right, "number"):
            return NUMBER
        return INTEGER if sign != "**" and _only(left, "integer") and _only(right, "integer") else NUMERIC

    def filtered(self, node: nodes.Filter, given: Kinds) -> Kinds:
        arguments = [self.kinds(argument) for argument in (*node.args, *(pair.value for pair in node.kwargs))]
        if node.name == "default":
            return kinds.union((given, arguments[0] if arguments else STRING))
        takes, result = _FILTERS[node.name]
        if arguments and node.name in ("int", "float"):  # what is no number becomes the fallback
            return kinds.union((result(given), arguments[0]))
        if takes and not kinds.may_be(given, *takes):
            return self.fault(f"{node.name} does not work on {kinds.describe(given)}")
        return result(given)

    def fault(self, message: str) -> Kinds:
        self.faults.append(message)
        return ANY


def _both(left: Kinds, right: Kinds, name: str) -> bool:
    return kinds.may_be(left, name) and kinds.may_be(right, name)


def _only(given: Kinds, name: str) -> bool:
    return all(kind.name == name for kind in given)


def _number(given: Kinds) -> Kinds:
    """A number of the same kind."""
    return tuple(kind for kind in given if kind.name in ("integer", "number")) or NUMERIC


def _rounded(given: Kinds) -> Kinds:
    return NUMERIC


def _end(given: Kinds) -> Kinds:
    """The first or last of a list, or of a text."""
    texts = STRING if kinds.may_be(given, "string") else ()
    lists = tuple(kind for kind in given if kind.name in ("list", "any"))
    return kinds.union((texts, kinds.items(lists) if lists else ()))


def _list(given: Kinds) -> Kinds:
    return (Kind("list", rest=kinds.items(given)),)


def _always(result: Kinds) -> Callable[[Kinds], Kinds]:
    return lambda given: result


_ORDER = {"lt": "<", "lteq": "<=", "gt": ">", "gteq": ">="}
_TEXT = (("string",), _always(STRING))
_FILTERS: dict[str, tuple[tuple[str, ...], Callable[[Kinds], Kinds]]] = {
    "abs": (("number",), _number),
    "first": (("list", "string"), _end),
    "float": (("number", "string"), _always(NUMBER)),
    "int": (("number", "string"), _always(INTEGER)),
    "join": (("list",), _always(STRING)),
    "keys": (("mapping",), _always((Kind("list", rest=STRING),))),
    "last": (("list", "string"), _end),
    "length": (("string", "list", "mapping"), _always(INTEGER)),
    "lower": _TEXT,
    "max": (("list",), kinds.items),
    "min": (("list",), kinds.items),
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
"""Filter → the kinds that it works on (none: any), and what it gives. ``default`` is apart."""
