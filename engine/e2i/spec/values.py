"""Values inside expressions: how they become text, and how large they may be.

In: plain data (None, bool, int, float, str, list, mapping). Out: text. ``ExpressionError`` for a value that is too
large, too deep or of the wrong type.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from e2i.spec import suggest
from e2i.spec.scalars import INT_MAX, INT_MIN

MAX_CHARACTERS = 1_000_000
"""Limit on the characters of text that an expression may produce."""
MAX_ITEMS = 100_000
"""Limit on the values that an expression may produce, nested ones counted."""
MAX_DEPTH = 64
"""Limit on the nesting of a value in an expression."""
MAX_WORK = 500_000
"""Limit on the work of evaluating one expression: one unit for each item read and for each 16 characters."""


class ExpressionError(ValueError):
    """An expression cannot be read or evaluated. ``offset`` counts characters from the start of the text."""

    def __init__(self, message: str, *, offset: int = 0, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset
        self._hint = hint

    @property
    def hint(self) -> str | None:
        """How to fix it."""
        return self._hint

    def moved(self, by: int) -> ExpressionError:
        """Returns this error for a text in which the expression starts ``by`` characters later."""
        self.offset += by
        return self


class MissingError(ExpressionError):
    """A name does not exist. ``default`` and ``is defined`` catch this error. ``known`` are the existing names."""

    def __init__(
        self, message: str, key: str = "", known: Iterable[str] = (), *, offset: int = 0, hint: str | None = None
    ) -> None:
        super().__init__(message, offset=offset, hint=hint)
        self.key = key
        self.known = known

    @property
    def hint(self) -> str | None:
        # Computed on demand: comparing with 10,000 step ids takes a while, and a caught error needs no hint.
        return suggest.hint(self.key, self.known) or self._hint


class Secret(Struct, frozen=True):
    """A placeholder for a secret until the step that uses it requests the value. Always printed as ``***``."""

    name: str

    def __str__(self) -> str:
        return "***"

    def __repr__(self) -> str:
        return f"Secret({self.name!r})"


def size(value: Any, most: int) -> int:
    """Returns the number of values in a value, including itself. Counting stops above ``most``."""
    waiting = [value]
    for item in waiting:
        if isinstance(item, dict | list):
            waiting.extend(item.values() if isinstance(item, dict) else item)
            if len(waiting) > most:
                break
    return len(waiting)


class Budget:
    """The remaining budget for evaluating one expression. Everything is charged before it is done."""

    def __init__(self, work: int = MAX_WORK) -> None:
        self.work = work

    def spend(self, steps: int) -> None:
        self.work -= steps
        if self.work < 0:
            raise ExpressionError("the expression takes too much work", hint="compute it in a step")

    def text(self, characters: int) -> None:
        """Charges for text of that length."""
        if characters > MAX_CHARACTERS:
            raise ExpressionError(f"the expression produces more than {MAX_CHARACTERS:,} characters of text")
        self.spend(1 + characters // 16)

    def items(self, count: int) -> None:
        """Charges for a list or mapping of that many items."""
        if count > MAX_ITEMS:
            raise _too_many()
        self.spend(1 + count)

    def value(self, value: Any, *, opaque: bool = False) -> None:
        """Charges for a whole value, and for shared values each time they occur.

        Anything but plain data is refused unless ``opaque``, which is for values that are only passed on.
        """
        characters = items = 0
        level: list[Any] = [value]
        for _ in range(MAX_DEPTH + 1):
            items += len(level)
            below: list[Any] = []
            for item in level:
                if isinstance(item, str):
                    characters += len(item)
                elif isinstance(item, Mapping | list | tuple):
                    if items + len(below) + len(item) > MAX_ITEMS:
                        raise _too_many()
                    if isinstance(item, Mapping):
                        characters += sum(len(key) for key in item if isinstance(key, str))
                        item = item.values()
                    below.extend(item)
                elif not (opaque or item is None or isinstance(item, bool | int | float)):
                    raise ExpressionError(f"an expression cannot work on {kind(item)}")
            if not below:
                self.spend(items)
                self.text(characters)
                return
            level = below
        raise ExpressionError(f"the value is nested more than {MAX_DEPTH} levels deep")


def as_text(value: Any, budget: Budget) -> str:
    """Returns a value as text, as YAML writes it (``true``, ``null``, ``0.5``). Lists and mappings are JSON."""
    match value:
        case str():
            budget.text(len(value))
            return value
        case None | True | False:
            return _WORDS[value]
        case int():
            # Digits beyond 64 bits can only come from a step's output; str() of very long ones is slow.
            return str(integer(value))
        case float():
            return repr(value) if math.isfinite(value) else _WORDS_OF_FLOATS.get(value, ".nan")
        case Mapping() | list() | tuple():
            return as_json(value, budget)
    raise ExpressionError(f"{kind(value)} cannot be part of a text")


def as_json(value: Any, budget: Budget) -> str:
    """Returns a plain value as JSON on one line."""
    budget.value(value)
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (ValueError, TypeError) as error:
        raise ExpressionError(f"the value cannot be written as JSON: {error}") from error


def integer(value: int) -> int:
    """Returns the integer, if it fits in 64 bits."""
    if INT_MIN <= value <= INT_MAX:
        return value
    raise ExpressionError("the integer does not fit in 64 bits")


def kind(value: Any) -> str:
    """Returns a value's type, for a message."""
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list() | tuple():
            return "a list"
        case Mapping():
            return "a mapping"
        case Secret():
            return "a secret"
    return f"a {type(value).__name__}"


def written(parts: tuple[str | int, ...]) -> str:
    """Returns names and indices as an expression writes them: ``steps.load['my-key'][0]``."""
    if not parts:
        return "the value"
    return str(parts[0]) + "".join(
        f"[{part}]" if isinstance(part, int) else f".{part}" if part.isidentifier() else f"['{part}']"
        for part in parts[1:]
    )


def _too_many() -> ExpressionError:
    return ExpressionError(f"the expression produces more than {MAX_ITEMS:,} values")


_WORDS = {None: "null", True: "true", False: "false"}
_WORDS_OF_FLOATS = {math.inf: ".inf", -math.inf: "-.inf"}
