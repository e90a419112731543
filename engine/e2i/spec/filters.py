"""The complete set of filters (``value | name``) and tests (``value is name``) of expressions.

In: a plain value, arguments, and the budget of the evaluation. Out: a plain value, or ``ExpressionError``. They match
Jinja's filters of the same name, with these differences: the wrong type of value is an error instead of an empty
result, a number is never true or false, a sequence is a list, and ``tojson`` produces plain JSON.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from e2i.documents import Values
from e2i.spec import operators
from e2i.spec.scalars import shorten
from e2i.spec.values import Budget, ExpressionError, as_json, as_text, integer, kind


class _Nothing:
    """The value of an unknown name. Only ``default`` and ``defined`` ever receive it."""


NOTHING: Final = _Nothing()


def default(budget: Budget, value: Any, fallback: Any = "", boolean: bool = False) -> Any:
    """Returns the value, or ``fallback`` when it does not exist (with ``boolean`` also when it is false or empty)."""
    return fallback if value is NOTHING or (boolean and not operators.truth(value)) else value


def length(budget: Budget, value: Any) -> int:
    """Returns the number of characters, items or keys."""
    if isinstance(value, str | list | tuple | Mapping):
        return len(value)
    raise _wrong("length", value)


def upper(budget: Budget, value: Any) -> str:
    return _text("upper", value, budget).upper()


def lower(budget: Budget, value: Any) -> str:
    return _text("lower", value, budget).lower()


def trim(budget: Budget, value: Any, chars: str | None = None) -> str:
    """Returns the text without leading and trailing white space (or ``chars``)."""
    return _text("trim", value, budget).strip(None if chars is None else _text("trim", chars, budget))


def replace(budget: Budget, value: Any, old: str, new: str) -> str:
    """Returns the text with every ``old`` replaced by ``new``."""
    text, old, new = (_text("replace", part, budget) for part in (value, old, new))
    budget.text(len(text) + text.count(old) * max(0, len(new) - len(old)))
    return text.replace(old, new)


def join(budget: Budget, value: Any, separator: str = "") -> str:
    """Returns the items of a list as one text."""
    items, between = _list("join", value, budget), _text("join", separator, budget)
    texts = [as_text(item, budget) for item in items]
    budget.text(sum(map(len, texts)) + len(between) * len(texts))
    return between.join(texts)


def string(budget: Budget, value: Any) -> str:
    """Returns the value as text, as it would appear inside text."""
    return as_text(value, budget)


def tojson(budget: Budget, value: Any) -> str:
    """Returns the value as JSON on one line."""
    return as_json(value, budget)


def first(budget: Budget, value: Any) -> Any:
    """Returns the first item of a list."""
    return _end("first", value, 0)


def last(budget: Budget, value: Any) -> Any:
    """Returns the last item of a list."""
    return _end("last", value, -1)


def keys(budget: Budget, value: Any) -> list[Any]:
    """Returns the keys of a mapping."""
    found = list(_mapping("keys", value, budget))
    budget.value(found)
    return found


def values(budget: Budget, value: Any) -> list[Any]:
    """Returns the values of a mapping."""
    return list(_mapping("values", value, budget).values())


def minimum(budget: Budget, value: Any) -> Any:
    """Returns the least of numbers, or of texts (upper and lower case are equal)."""
    return min(_comparable("min", _filled("min", value, budget)), key=_folded)


def maximum(budget: Budget, value: Any) -> Any:
    """Returns the greatest of numbers, or of texts (upper and lower case are equal)."""
    return max(_comparable("max", _filled("max", value, budget)), key=_folded)


def total(budget: Budget, value: Any) -> int | float:
    """Returns the sum of a list of numbers."""
    return operators.number(sum(_number("sum", item) for item in _list("sum", value, budget)))


def sort(budget: Budget, value: Any, reverse: bool = False, case_sensitive: bool = False) -> list[Any]:
    """Returns a list of numbers, or of texts, sorted."""
    items = _comparable("sort", _list("sort", value, budget))
    budget.spend(2 * len(items))
    return sorted(items, key=None if case_sensitive else _folded, reverse=operators.truth(reverse))


def unique(budget: Budget, value: Any, case_sensitive: bool = False) -> list[Any]:
    """Returns a list without duplicates."""
    items = _list("unique", value, budget)
    if not all(item is None or isinstance(item, str | int | float) for item in items):
        raise ExpressionError("unique works on a list of texts and numbers")
    seen: dict[Any, Any] = {}
    for item in items:
        seen.setdefault(item if case_sensitive else _folded(item), item)
    return list(seen.values())


def absolute(budget: Budget, value: Any) -> int | float:
    """Returns a number without its sign."""
    return operators.number(abs(_number("abs", value)))


def round_(budget: Budget, value: Any, precision: int = 0, method: str = "common") -> int | float:
    """Returns a number rounded to ``precision`` decimals. ``method`` is common, ceil or floor."""
    number = _number("round", value)
    if isinstance(precision, bool) or not isinstance(precision, int) or abs(precision) > 20:
        raise ExpressionError("the precision of round is a whole number of decimals, at most 20")
    try:
        match method:
            case "common":
                return operators.number(round(number, precision))
            case "ceil":
                return operators.number(math.ceil(number * 10**precision) / 10**precision)
            case "floor":
                return operators.number(math.floor(number * 10**precision) / 10**precision)
    except (ArithmeticError, ValueError) as error:
        raise ExpressionError(f"round cannot be computed: {error}") from error
    raise ExpressionError("the method of round is common, ceil or floor")


def int_(budget: Budget, value: Any, fallback: Any = NOTHING) -> Any:
    """Returns a number, or text with a number, as an integer (truncated, not rounded), or ``fallback``."""
    try:
        if isinstance(value, str):
            return integer(_integer_in(value))
        return integer(int(_number("int", value)))
    except (ValueError, OverflowError):
        return _otherwise("int", value, fallback)


def float_(budget: Budget, value: Any, fallback: Any = NOTHING) -> Any:
    """Returns a number, or text with a number, as a float, or ``fallback``."""
    try:
        return float(_numeral(value) if isinstance(value, str) else _number("float", value))
    except (ValueError, OverflowError):
        return _otherwise("float", value, fallback)


FILTERS: dict[str, Callable[..., Any]] = {
    "abs": absolute,
    "default": default,
    "first": first,
    "float": float_,
    "int": int_,
    "join": join,
    "keys": keys,
    "last": last,
    "length": length,
    "lower": lower,
    "max": maximum,
    "min": minimum,
    "replace": replace,
    "round": round_,
    "sort": sort,
    "string": string,
    "sum": total,
    "tojson": tojson,
    "trim": trim,
    "unique": unique,
    "upper": upper,
    "values": values,
}

TESTS: dict[str, Callable[[Any], bool]] = {
    "boolean": lambda value: isinstance(value, bool),
    "defined": lambda value: value is not NOTHING,
    "false": lambda value: value is False,
    "float": lambda value: isinstance(value, float),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "mapping": lambda value: isinstance(value, Mapping),
    "none": lambda value: value is None,
    "number": operators.is_number,
    "sequence": lambda value: isinstance(value, list | tuple),
    "string": lambda value: isinstance(value, str),
    "true": lambda value: value is True,
    "undefined": lambda value: value is NOTHING,
}

ASK_WHETHER_THERE = frozenset(("default", "defined", "undefined"))
"""The filter and the tests whose value may be missing."""


def _wrong(name: str, value: Any) -> ExpressionError:
    return ExpressionError(f"{name} does not work on {kind(value)}")


def _text(name: str, value: Any, budget: Budget) -> str:
    if not isinstance(value, str):
        raise _wrong(name, value)
    budget.text(len(value))
    return value


def _list(name: str, value: Any, budget: Budget) -> list[Any] | tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise _wrong(name, value)
    budget.value(value)
    return value


def _filled(name: str, value: Any, budget: Budget) -> list[Any] | tuple[Any, ...]:
    items = _list(name, value, budget)
    if not items:
        raise ExpressionError(f"{name} of an empty list")
    return items


def _mapping(name: str, value: Any, budget: Budget) -> Values:
    if not isinstance(value, Mapping):
        raise _wrong(name, value)
    budget.items(len(value))
    return value


def _number(name: str, value: Any) -> int | float:
    if not operators.is_number(value):
        raise _wrong(name, value)
    return operators.number(value)


def _end(name: str, value: Any, index: int) -> Any:
    if not isinstance(value, str | list | tuple):
        raise _wrong(name, value)
    if not value:
        raise ExpressionError(f"{name} of an empty {'text' if isinstance(value, str) else 'list'}")
    return value[index]


def _comparable(name: str, items: list[Any] | tuple[Any, ...]) -> list[Any] | tuple[Any, ...]:
    if all(isinstance(item, str) for item in items) or all(operators.is_number(item) for item in items):
        return items
    raise ExpressionError(f"{name} works on a list of numbers or a list of texts")


def _folded(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _integer_in(text: str) -> int:
    """Returns the integer in a text. A decimal number is truncated."""
    try:
        return int(_numeral(text))
    except ValueError:
        return int(float(_numeral(text)))


def _numeral(text: str) -> str:
    if len(text) > 400:
        raise ValueError("longer than any number that fits")
    return text


def _otherwise(name: str, value: Any, fallback: Any) -> Any:
    if fallback is NOTHING:
        given = f'"{shorten(value)}"' if isinstance(value, str) else kind(value)
        raise ExpressionError(f"{name} does not work on {given}", hint=f"pass a fallback: {name}(0)")
    return fallback
