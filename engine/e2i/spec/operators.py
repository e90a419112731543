"""The operators of expressions, with limits: a result that is too large is refused before it is computed.

In: plain values and the budget of the evaluation. Out: a plain value, or ``ExpressionError``.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

from e2i.spec.scalars import INT_MAX, shorten
from e2i.spec.values import Budget, ExpressionError, MissingError, as_text, integer, kind, written

Binary = Callable[[Any, Any, Budget], Any]


def add(left: Any, right: Any, budget: Budget) -> Any:
    if isinstance(left, str) and isinstance(right, str):
        budget.text(len(left) + len(right))
        return left + right
    if isinstance(left, list) and isinstance(right, list):
        budget.items(len(left) + len(right))
        return left + right
    return arithmetic("+", operator.add)(left, right, budget)


def multiply(left: Any, right: Any, budget: Budget) -> Any:
    if isinstance(right, str | list) and _is_integer(left):
        left, right = right, left
    if isinstance(left, str) and _is_integer(right):
        budget.text(len(left) * max(right, 0))
        return left * right
    if isinstance(left, list) and _is_integer(right):
        budget.items(len(left) * max(right, 0))
        return left * right
    return arithmetic("*", operator.mul)(left, right, budget)


def power(left: Any, right: Any, budget: Budget) -> Any:
    # Integers fit in 64 bits, so any base but -1, 0 and 1 to a greater exponent does not; it is never computed.
    if _is_integer(left) and _is_integer(right) and abs(left) > 1 and right > 63:
        raise ExpressionError("the integer does not fit in 64 bits")
    return arithmetic("**", operator.pow)(left, right, budget)


def arithmetic(sign: str, function: Callable[[Any, Any], Any]) -> Binary:
    """Returns an operator on two numbers. true and false are not numbers here."""

    def apply(left: Any, right: Any, budget: Budget) -> Any:
        if not (is_number(left) and is_number(right)):
            raise ExpressionError(f'"{sign}" does not work on {kind(left)} and {kind(right)}')
        try:
            return number(function(_bounded(left), _bounded(right)))
        except ArithmeticError as error:
            raise ExpressionError(f'"{sign}" cannot be computed: {error}') from error

    return apply


def negative(value: Any) -> Any:
    if not is_number(value):
        raise ExpressionError(f'"-" does not work on {kind(value)}')
    return number(-value)


def positive(value: Any) -> Any:
    if not is_number(value):
        raise ExpressionError(f'"+" does not work on {kind(value)}')
    return value


def concatenate(values: list[Any], budget: Budget) -> str:
    """``~``: joins the values as text."""
    texts = [as_text(value, budget) for value in values]
    budget.text(sum(map(len, texts)))
    return "".join(texts)


def compare(sign: str, left: Any, right: Any, budget: Budget) -> bool:
    """Compares by one of ``== != < <= > >=``. Any values can be equal, but only two numbers or two texts have an
    order.
    """
    budget.value(left)
    budget.value(right)
    if sign in _EQUALITY:
        return bool(_EQUALITY[sign](left, right))
    if (is_number(left) and is_number(right)) or (isinstance(left, str) and isinstance(right, str)):
        return bool(_ORDER[sign](left, right))
    raise ExpressionError(f'"{sign}" does not work on {kind(left)} and {kind(right)}')


def contains(container: Any, item: Any, budget: Budget) -> bool:
    """``item in container``: an item of a list, a key of a mapping, a substring of a text."""
    if isinstance(container, str) and isinstance(item, str):
        budget.text(len(container))
        return item in container
    if isinstance(container, Mapping) and isinstance(item, str):
        return item in container
    if isinstance(container, list | tuple):
        budget.value(container)
        budget.value(item)
        return item in container
    raise ExpressionError(f'"in" does not work on {kind(item)} and {kind(container)}')


def look_up(container: Any, key: Any, chain: tuple[str | int, ...] = ()) -> Any:
    """``container.key`` or ``container[key]``: returns a value of a mapping or an item of a list, never an attribute.

    ``chain`` is the container as written, for messages. Raises MissingError.
    """
    if isinstance(container, Mapping) and isinstance(key, str):
        if key in container:
            return container[key]
        raise MissingError(f'{written(chain)} has no "{shorten(key)}"', key, container)
    if isinstance(container, list | tuple) and _is_integer(key):
        if -len(container) <= key < len(container):
            return container[key]
        raise MissingError(f"{written(chain)} has {len(container)} items, so no [{key}]")
    if isinstance(key, str) and not isinstance(container, list | tuple):
        raise MissingError(f'{written(chain)} is {kind(container)}, so it has no "{shorten(key)}"')
    hint = f"write {written(chain)} | length" if key in ("length", "size", "count") else None
    raise ExpressionError(f"{written(chain)} is {kind(container)} and cannot be indexed by {kind(key)}", hint=hint)


def truth(value: Any) -> bool:
    """Returns the value as a condition: false, null, 0 and anything empty are false."""
    if value is None or isinstance(value, bool | int | float | str | list | tuple | Mapping):
        return bool(value)
    return True


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def number(value: Any) -> int | float:
    """Returns the result of a computation if it is a real number and, as an integer, fits in 64 bits."""
    if isinstance(value, int):
        return integer(value)
    if isinstance(value, float) and not math.isnan(value):
        return value
    raise ExpressionError("the result is not a real number")


def _bounded(value: int | float) -> int | float:
    return integer(value) if isinstance(value, int) else value


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= INT_MAX


_EQUALITY: dict[str, Callable[[Any, Any], Any]] = {"==": operator.eq, "!=": operator.ne}
_ORDER: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
