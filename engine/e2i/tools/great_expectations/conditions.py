"""Read the row condition of an expectation as data. In: text, or Great Expectations' own form. Out: comparisons.

Great Expectations gives the text of a condition to ``DataFrame.query``, which executes it. So a text is only accepted
when it consists of comparisons of a column with a value, joined by ``and`` and ``or``; it is then rebuilt from them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal, TypeAlias, cast

from msgspec import Struct

Operator = Literal["==", "!=", "<", "<=", ">", ">=", "IN", "NOT_IN"]
Value: TypeAlias = str | int | float | bool
OPERATORS: tuple[Operator, ...] = ("==", "!=", "<", "<=", ">", ">=", "IN", "NOT_IN")
MOST = 100
"""Comparisons in one condition, which is the library's own limit."""
LONGEST = 20_000
"""Maximum length of the text of a condition, in characters."""
DEEPEST = 20
"""Maximum depth of parentheses in the text of a condition."""
WHOLE = range(-(2**63), 2**64)
"""Whole numbers that a column can have: those of 64 bits, with or without a sign."""
PARSERS = ("pandas", "great_expectations", "great_expectations__experimental__")
"""Values of ``condition_parser`` whose conditions are read here. The third is an older name of the second."""
FORMS = 'write comparisons such as `col("age") >= 18 and region == "EU"`, `x in [1, 2]` or `x.notnull()`'

TOKEN = re.compile(
    r"""\s*(?:
        col\(\s*(?P<col>"[^"]*"|'[^']*')\s*\)
      | `(?P<quoted>[^`\n]+)`
      | (?P<test>\.\s*(?:isnull|isna|notnull|notna)\(\s*\))
      | (?P<number>[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)(?![\w.])
      | (?P<text>"[^"\\\n]*"|'[^'\\\n]*')
      | (?P<operator>==|!=|<=|>=|<|>)
      | (?P<mark>[()\[\],&|])
      | (?P<word>[^\W\d]\w*)
    )""",
    re.VERBOSE | re.IGNORECASE,
)


class Compare(Struct, frozen=True):
    """A comparison of a column with a value, or with several for IN and NOT_IN."""

    column: str
    operator: Operator
    value: Value | tuple[Value, ...]


class IsNull(Struct, frozen=True):
    """A column that has no value, or that has one."""

    column: str
    is_null: bool


class Every(Struct, frozen=True):
    """Conditions that must all hold."""

    parts: tuple[Condition, ...]


class Any_(Struct, frozen=True):  # noqa: N801 - `Any` is typing's
    """Conditions of which one must hold."""

    parts: tuple[Condition, ...]


Condition: TypeAlias = Compare | IsNull | Every | Any_


class NoConditionError(ValueError):
    """A condition is not made of comparisons alone, so that evaluating it could execute code."""


class ConditionLimitError(NoConditionError):
    """A condition is made of comparisons, but is too large, or has a value that no column can be compared with."""


def read(given: object) -> Condition:
    """Return a condition. Raises NoConditionError for anything but comparisons of columns with values.

    Raises ConditionLimitError, a kind of it, for too large ones and for values that cannot be compared.
    """
    condition = _Parser(given).whole() if isinstance(given, str) else _structured(given, 0)
    if sum(1 for _ in columns(condition)) > MOST:
        raise ConditionLimitError(f"it has more than {MOST} comparisons; split the expectation into several")
    return condition


def columns(condition: Condition) -> Iterator[str]:
    """Yield the column of each comparison."""
    match condition:
        case Compare(column=column) | IsNull(column=column):
            yield column
        case Every(parts=parts) | Any_(parts=parts):
            for part in parts:
                yield from columns(part)


def library_form(condition: Condition) -> Any:
    """Return the condition as an object of Great Expectations."""
    from great_expectations.expectations import row_conditions as gx

    match condition:
        case Compare(column, operator, value):
            given = list(value) if isinstance(value, tuple) else value
            return gx.ComparisonCondition(column=gx.Column(column), operator=gx.Operator(operator), parameter=given)
        case IsNull(column, is_null):
            return gx.NullityCondition(column=gx.Column(column), is_null=is_null)
        case Every(parts):
            return gx.AndCondition(conditions=[library_form(part) for part in parts])
        case Any_(parts):
            return gx.OrCondition(conditions=[library_form(part) for part in parts])


class _Parser:
    """Recursive descent over the tokens of a text."""

    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, str]] = []
        self._depth = 0
        at = 0
        if len(text) > LONGEST:
            raise ConditionLimitError(f"it has {len(text):,} characters; write at most {LONGEST:,}")
        text = text.strip()
        while at < len(text):
            found = TOKEN.match(text, at)
            if found is None or found.lastgroup is None:
                raise NoConditionError(f"{text[at : at + 40]!r} is no comparison; {FORMS}")
            self._tokens.append((found.lastgroup, found[found.lastgroup]))
            at = found.end()
        self._at = 0

    def whole(self) -> Condition:
        found = self._either()
        if self._at < len(self._tokens):
            raise self._unexpected()
        return found

    def _either(self) -> Condition:
        parts = [self._both()]
        while self._take("|", "or"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else Any_(_spread(Any_, parts))

    def _both(self) -> Condition:
        parts = [self._one()]
        while self._take("&", "and"):
            parts.append(self._one())
        if len(parts) == 1:
            return parts[0]
        if any(isinstance(part, Any_) for part in parts):
            raise NoConditionError("an `or` inside an `and`: write `a and b or a and c`")
        return Every(_spread(Every, parts))

    def _one(self) -> Condition:
        if self._take("("):
            self._depth += 1
            if self._depth > DEEPEST:
                raise ConditionLimitError(f"its parentheses are more than {DEEPEST} deep; remove those not needed")
            found = self._either()
            self._need(")")
            self._depth -= 1
            return found
        column = self._column()
        kind, token = self._next()
        if kind == "test":
            return IsNull(column, token.strip(". ").lower().startswith("isn"))
        if kind == "operator":
            return Compare(column, cast("Operator", token), self._value())
        if kind == "word" and token.lower() == "in":
            return Compare(column, "IN", self._values())
        if kind == "word" and token.lower() == "not" and self._take("in"):
            return Compare(column, "NOT_IN", self._values())
        raise self._unexpected(back=1)

    def _column(self) -> str:
        kind, token = self._next()
        if kind == "col":
            return _column(token[1:-1])
        if kind == "quoted" or (kind == "word" and token.lower() not in ("and", "or", "not", "in", "true", "false")):
            return _column(token)
        raise self._unexpected(back=1)

    def _value(self) -> Value:
        kind, token = self._next()
        if kind == "text":
            return token[1:-1]
        if kind == "number":
            return _finite(float(token)) if set(token.lower()) & {".", "e"} else _whole(token)
        if kind == "word" and token in ("True", "False", "true", "false"):
            return token.lower() == "true"
        raise self._unexpected(back=1)

    def _values(self) -> tuple[Value, ...]:
        closing = ")" if self._take("(") else "]"
        if closing == "]":
            self._need("[")
        found = [self._value()]
        while self._take(","):
            found.append(self._value())
        self._need(closing)
        return _alike(found)

    def _next(self) -> tuple[str, str]:
        if self._at == len(self._tokens):
            raise NoConditionError(f"it ends too early; {FORMS}")
        self._at += 1
        return self._tokens[self._at - 1]

    def _take(self, *wanted: str) -> bool:
        if self._at < len(self._tokens):
            kind, token = self._tokens[self._at]
            if kind in ("mark", "word") and token.lower() in wanted:
                self._at += 1
                return True
        return False

    def _need(self, mark: str) -> None:
        if not self._take(mark):
            raise self._unexpected()

    def _unexpected(self, back: int = 0) -> NoConditionError:
        rest = self._tokens[self._at - back :]
        return NoConditionError(f"{rest[0][1][:40]!r} is not expected here; {FORMS}" if rest else f"it ends; {FORMS}")


def _structured(given: object, depth: int) -> Condition:
    """Return a condition in the form in which Great Expectations stores it."""
    if not isinstance(given, Mapping) or depth > 3:
        raise NoConditionError(FORMS)
    kind = given.get("type")
    if kind == "pass_through" and isinstance(given.get("pass_through_filter"), str):
        return _Parser(given["pass_through_filter"]).whole()
    if kind in ("and", "or") and isinstance(parts := given.get("conditions"), list) and parts:
        inner = tuple(_structured(part, depth + 1) for part in parts)
        if kind == "or":
            return Any_(_spread(Any_, inner))
        if any(isinstance(part, Any_) for part in inner):
            raise NoConditionError("an `or` inside an `and`")
        return Every(_spread(Every, inner))
    named = given.get("column")
    name = named.get("name") if isinstance(named, Mapping) else named
    if kind == "nullity" and isinstance(name, str) and isinstance(given.get("is_null"), bool):
        return IsNull(_column(name), given["is_null"])
    operator, value = given.get("operator"), given.get("parameter")
    if kind == "comparison" and isinstance(name, str) and operator in OPERATORS:
        several = operator in ("IN", "NOT_IN")
        if several and isinstance(value, list | tuple) and value:
            return Compare(_column(name), operator, _alike([_scalar(one) for one in value]))
        if not several:
            return Compare(_column(name), operator, _scalar(value))
    raise NoConditionError(FORMS)


def _spread(kind: type[Every | Any_], parts: Any) -> tuple[Condition, ...]:
    """Return the parts, with the parts of a condition of the same kind in its place."""
    found: list[Condition] = []
    for part in parts:
        found += part.parts if isinstance(part, kind) else [part]
    return tuple(found)


def _column(name: str) -> str:
    """Return the name of a column that the library can quote."""
    if not name or "`" in name or "\n" in name or "#" in name or len(name) > 255:
        raise NoConditionError(f"{name[:40]!r} cannot be the column of a condition")
    return name


def _scalar(value: object) -> Value:
    if isinstance(value, float):
        return _finite(value)
    if isinstance(value, int) and value not in WHOLE:
        raise _too_large()
    if isinstance(value, str | int | bool):
        return value
    raise NoConditionError(f"{value!r:.40} is neither a text, a number nor a truth value")


def _whole(token: str) -> int:
    """Return the whole number of a text, which may have more digits than Python converts."""
    digits = token.lstrip("+-").lstrip("0") or "0"
    if len(digits) > len(str(WHOLE.stop)):
        raise _too_large()
    number = -int(digits) if token.startswith("-") else int(digits)
    if number not in WHOLE:
        raise _too_large()
    return number


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ConditionLimitError("compare with a finite number")
    return value


def _alike(values: list[Value]) -> tuple[Value, ...]:
    """Return the values of a list. Raises for a mixture, which no column has, and truth values: the library's rule."""
    texts = sum(isinstance(value, str) for value in values)
    if any(isinstance(value, bool) for value in values):
        raise ConditionLimitError("a list has texts or numbers, not truth values; compare with `== True`")
    if texts not in (0, len(values)):
        raise ConditionLimitError("a list has texts and numbers; write all in quotes, or all without")
    return tuple(values)


def _too_large() -> ConditionLimitError:
    return ConditionLimitError("a whole number has at most 64 bits, as in a column; write a larger one as 1e30")
