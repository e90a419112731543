"""Parses the inside of a ``${{ … }}`` that is more than a plain reference into a checked ``Formula``, and evaluates it.

In: source text. Out: Jinja2's syntax tree, limited to an allow-list of nodes. A bounded evaluator of our own computes
its value: Jinja2 never compiles or runs anything. Imported only when a spec has such an expression.
"""

from __future__ import annotations

import inspect
import operator
import re
from typing import Any

from jinja2 import Environment, TemplateSyntaxError, nodes
from jinja2.filters import FILTERS as JINJA_FILTERS
from jinja2.parser import Parser
from jinja2.tests import TESTS as JINJA_TESTS
from msgspec import Struct
from msgspec.structs import replace

from e2i.spec import operators
from e2i.spec.filters import ASK_WHETHER_THERE, FILTERS, NOTHING, TESTS
from e2i.spec.references import Reference, Scope, root
from e2i.spec.scalars import INT_MAX, INT_MIN, character, forbidden, shorten
from e2i.spec.values import Budget, ExpressionError, MissingError

MAX_NODES = 500
"""Limit on the nodes of an expression's syntax tree."""
MAX_NESTING = 50
"""Limit on the depth of an expression's syntax tree."""


class Formula(Struct, frozen=True):
    """A checked expression and its references in text order."""

    source: str
    node: nodes.Expr
    references: tuple[Reference, ...]

    def evaluate(self, scope: Scope) -> Any:
        """Returns the value. Raises ExpressionError, also for a result that is too large."""
        budget = Budget()
        value = _Evaluator(scope, budget).value(self.node)
        budget.value(value, opaque=True)
        return value


def parse(source: str) -> Formula:
    """Parses a text into a formula. Raises ExpressionError."""
    try:
        parser = Parser(Environment(), source, state="variable")
        node = parser.parse_expression()
        if not parser.stream.eos:
            said = f'"{shorten(str(parser.stream.current.value))}" is unexpected here'
            raise _foreign(source) or ExpressionError(said, hint=_OPERATORS_HINT)
    except TemplateSyntaxError as error:
        said = (error.message or "").replace("end of template", "end of the expression")
        unread = ExpressionError(f"the expression cannot be read: {shorten(said, 200)}")
        raise _foreign(source) or unread from error
    except RecursionError as error:
        raise ExpressionError("the expression is nested too deeply") from error
    checker = _Checker(source)
    checker.check(node)
    return Formula(source, node, tuple(dict.fromkeys(checker.references)))


def _foreign(source: str) -> ExpressionError | None:
    """Returns the error of an operator of another language."""
    from e2i.spec import dialects

    found = dialects.foreign(source)
    return found and ExpressionError(f'"{found.sign}" is not an operator here', offset=found.offset, hint=found.hint)


def reference_of(node: nodes.Node, source: str = "") -> Reference | None:
    """Returns the reference for a chain of names and constant indices, or None."""
    path: list[str | int] = []
    while not isinstance(node, nodes.Name):
        match node:
            case nodes.Getattr():
                path.append(node.attr)
            case nodes.Getitem(arg=nodes.Const(value=str() | int() as key)) if not isinstance(key, bool):
                path.append(key)
            case _:
                return None
        node = node.node
    return Reference(root(node.name, source), tuple(reversed(path)))


class _Checker:
    """One walk over a syntax tree that refuses forbidden nodes and collects the references."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.references: list[Reference] = []
        self.seen = 0

    def check(self, node: nodes.Node, depth: int = 1, *, may_be_missing: bool = False) -> None:
        self.seen += 1
        if self.seen > MAX_NODES:
            raise ExpressionError(f"the expression has more than {MAX_NODES} nodes", hint="compute it in a step")
        if depth > MAX_NESTING:
            raise ExpressionError(f"the expression is nested more than {MAX_NESTING} levels deep")
        if isinstance(node, nodes.Const):
            self.constant(node.value)
            return
        if isinstance(node, nodes.Name | nodes.Getattr | nodes.Getitem) and (found := reference_of(node, self.source)):
            found.check(alone=False)
            self.references.append(replace(found, optional=may_be_missing))
            return
        self.form(node)
        if type(node) not in _ALLOWED:
            raise self.refused(node)
        asks = isinstance(node, nodes.Filter | nodes.Test) and node.name in ASK_WHETHER_THERE
        for index, child in enumerate(node.iter_child_nodes()):
            self.check(child, depth + 1, may_be_missing=asks and index == 0)

    def form(self, node: nodes.Node) -> None:
        """Checks a node without its children."""
        match node:
            case nodes.Dict():
                if not all(
                    isinstance(pair.key, nodes.Const) and isinstance(pair.key.value, str) for pair in node.items
                ):
                    raise ExpressionError("the keys of a mapping must be quoted text")
            case nodes.Filter():
                self.call(node, "filter", list(FILTERS))
            case nodes.Test():
                self.call(node, "test", list(TESTS))
            case nodes.CondExpr(expr2=None):
                raise ExpressionError('"if" needs an "else" in an expression')

    def constant(self, value: Any) -> None:
        if isinstance(value, int) and not INT_MIN <= value <= INT_MAX:
            raise ExpressionError("the integer does not fit in 64 bits")
        if isinstance(value, float) and abs(value) == float("inf"):
            raise ExpressionError("the number is too large for a float")
        if isinstance(value, str) and (offset := forbidden(value)) is not None:
            raise ExpressionError(f"{character(value[offset])} is not allowed in text")

    def call(self, node: nodes.Filter | nodes.Test, what: str, known: list[str]) -> None:
        if node.name not in known:
            found = re.search(rf"(?:\||\bis(?:\s+not)?)\s*({re.escape(node.name)})\b", self.source)
            is_jinjas = node.name in (JINJA_FILTERS if what == "filter" else JINJA_TESTS)
            raise MissingError(
                f'unknown {what} "{shorten(node.name)}"',
                node.name,
                () if is_jinjas else known,  # a name of Jinja's is not mistyped
                offset=found.start(1) if found else 0,
                hint=("not all of Jinja is supported; " if is_jinjas else "") + f"the {what}s are {', '.join(known)}",
            )
        if node.dyn_args is not None or node.dyn_kwargs is not None:
            raise ExpressionError('"*" and "**" are not supported in arguments')
        if isinstance(node, nodes.Test):
            if node.args or node.kwargs:
                raise ExpressionError(f'the test "{node.name}" takes no arguments')
            return
        try:
            named = {str(keyword.key): None for keyword in node.kwargs}
            inspect.signature(FILTERS[node.name]).bind(None, None, *node.args, **named)
        except TypeError as error:
            raise ExpressionError(f'the filter "{node.name}" does not take these arguments: {error}') from error

    def refused(self, node: nodes.Node) -> ExpressionError:
        if isinstance(node, nodes.Call):
            from e2i.spec import dialects

            hint = dialects.function(node.node.name) if isinstance(node.node, nodes.Name) else None
            usual = 'filters are used with "|": value | length'
            return ExpressionError("functions and methods cannot be called", hint=hint or usual)
        if isinstance(node, nodes.Slice):
            return ExpressionError("slices are not supported", hint="use one index, or the filters first and last")
        return ExpressionError(f"{type(node).__name__} is not supported in an expression")


class _Evaluator:
    """One evaluation. The tree's nesting bounds its recursion, the budget its work."""

    def __init__(self, scope: Scope, budget: Budget) -> None:
        self.scope = scope
        self.budget = budget

    def value(self, node: nodes.Node) -> Any:
        self.budget.spend(1)
        match node:
            case nodes.Const():
                return node.value
            case nodes.Name() | nodes.Getattr() | nodes.Getitem():
                return self.looked_up(node)
            case nodes.Compare():
                return self.compared(node)
            case nodes.List() | nodes.Tuple() | nodes.Dict():
                return self.collected(node)
            case nodes.And() | nodes.Or() | nodes.Not() | nodes.CondExpr():
                return self.chosen(node)
            case nodes.Filter() | nodes.Test():
                return self.applied(node)
            case nodes.UnaryExpr() | nodes.BinExpr() | nodes.Concat():
                return self.computed(node)
        raise _not_allowed(node)

    def collected(self, node: nodes.List | nodes.Tuple | nodes.Dict) -> Any:
        if isinstance(node, nodes.Dict):
            return {pair.key.value: self.value(pair.value) for pair in node.items if isinstance(pair.key, nodes.Const)}
        return [self.value(item) for item in node.items]

    def chosen(self, node: nodes.And | nodes.Or | nodes.Not | nodes.CondExpr) -> Any:
        """Returns the operand that decides. The others are not evaluated."""
        match node:
            case nodes.Not():
                return not operators.truth(self.value(node.node))
            case nodes.And() | nodes.Or():
                left = self.value(node.left)
                return self.value(node.right) if operators.truth(left) == isinstance(node, nodes.And) else left
            case nodes.CondExpr(expr2=nodes.Expr() as otherwise):
                return self.value(node.expr1 if operators.truth(self.value(node.test)) else otherwise)
        raise _not_allowed(node)

    def computed(self, node: nodes.UnaryExpr | nodes.BinExpr | nodes.Concat) -> Any:
        match node:
            case nodes.Neg():
                return operators.negative(self.value(node.node))
            case nodes.Pos():
                return operators.positive(self.value(node.node))
            case nodes.Concat():
                return operators.concatenate([self.value(part) for part in node.nodes], self.budget)
            case nodes.BinExpr() if type(node) in _BINARY:
                return _BINARY[type(node)](self.value(node.left), self.value(node.right), self.budget)
        raise _not_allowed(node)

    def applied(self, node: nodes.Filter | nodes.Test) -> Any:
        """Returns the result of a filter or a test. Some of them accept a value that does not exist."""
        assert node.node is not None, "a filter block passed the check"
        value = self.perhaps(node.node) if node.name in ASK_WHETHER_THERE else self.value(node.node)
        if isinstance(node, nodes.Test):
            return TESTS[node.name](value)
        named = {str(keyword.key): self.value(keyword.value) for keyword in node.kwargs}
        return FILTERS[node.name](self.budget, value, *map(self.value, node.args), **named)

    def perhaps(self, node: nodes.Node) -> Any:
        try:
            return self.value(node)
        except MissingError:
            return NOTHING

    def looked_up(self, node: nodes.Name | nodes.Getattr | nodes.Getitem) -> Any:
        reference = reference_of(node)
        if reference is not None:
            return reference.look_up(self.scope)
        assert not isinstance(node, nodes.Name)
        key = node.attr if isinstance(node, nodes.Getattr) else self.value(node.arg)
        return operators.look_up(self.value(node.node), key)

    def compared(self, node: nodes.Compare) -> bool:
        left = self.value(node.expr)
        for operand in node.ops:
            right = self.value(operand.expr)
            match operand.op:
                case "in":
                    holds = operators.contains(right, left, self.budget)
                case "notin":
                    holds = not operators.contains(right, left, self.budget)
                case op:
                    holds = operators.compare(_COMPARISONS[op], left, right, self.budget)
            if not holds:
                return False
            left = right
        return True


def _not_allowed(node: nodes.Node) -> AssertionError:
    return AssertionError(f"{type(node).__name__} passed the check")


_OPERATORS_HINT = "an expression is one value: names, text in quotes, numbers, operators and filters"
_COMPARISONS = {"eq": "==", "ne": "!=", "lt": "<", "lteq": "<=", "gt": ">", "gteq": ">="}
_BINARY: dict[type[nodes.Expr], operators.Binary] = {
    nodes.Add: operators.add,
    nodes.Sub: operators.arithmetic("-", operator.sub),
    nodes.Mul: operators.multiply,
    nodes.Div: operators.arithmetic("/", operator.truediv),
    nodes.FloorDiv: operators.arithmetic("//", operator.floordiv),
    nodes.Mod: operators.arithmetic("%", operator.mod),
    nodes.Pow: operators.power,
}
_ALLOWED: set[type[nodes.Node]] = _BINARY.keys() | {
    *(nodes.Name, nodes.Getattr, nodes.Getitem, nodes.List, nodes.Tuple, nodes.Dict, nodes.Pair),
    *(nodes.And, nodes.Or, nodes.Not, nodes.Compare, nodes.Operand, nodes.CondExpr, nodes.Concat),
    *(nodes.Neg, nodes.Pos, nodes.Filter, nodes.Test, nodes.Keyword),
}
