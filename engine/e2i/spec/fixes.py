"""Builds safe fixes as RFC 6902 operations. An error without a safe fix has no operations.

In: the path of the error and the intended value, or a value and the type that it should have.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable
from typing import Any

from e2i.spec import durations, scalars, sizes, suggest, words
from e2i.spec.operations import Add, Move, Remove, Replace
from e2i.spec.problems import Fixes, pointer

Path = tuple[str | int, ...]
MISSING: Any = object()
"""No value: ``meant`` found none."""


def replaced(path: Path, value: Any) -> Fixes:
    """Replaces the value at ``path``."""
    return (Replace(path=pointer(path), value=value),)


def renamed(path: Path, known: Iterable[str], beside: Collection[str] = ()) -> Fixes:
    """Renames the key at ``path`` to the one of ``known`` that it must have meant, unless that key already exists."""
    name = suggest.certain(str(path[-1]), known)
    return moved(path, (*path[:-1], name)) if name and name not in beside else ()


def instead(path: Path, value: Any) -> Fixes:
    """Replaces the value at ``path``, unless the new value is MISSING."""
    return () if value is MISSING else replaced(path, value)


def moved(path: Path, to: Path) -> Fixes:
    """Moves the entry at ``path``."""
    return (Move(source=pointer(path), path=pointer(to)),)


def unwrapped(path: Path, names: Iterable[str]) -> Fixes:
    """Moves the entries of the mapping at ``path`` to where the mapping is, and removes the mapping."""
    return tuple(op for name in names for op in moved((*path, name), (*path[:-1], name))) + removed(path)


def added(path: Path, value: Any) -> Fixes:
    """Adds an entry at ``path``. ``-`` is the end of a list."""
    return (Add(path=pointer(path), value=value),)


def removed(path: Path) -> Fixes:
    """Removes the entry at ``path``."""
    return (Remove(path=pointer(path)),)


def named(path: Path, name: str, known: Iterable[str]) -> Fixes:
    """Replaces the name at ``path`` by the one of ``known`` that it must have meant."""
    certain = suggest.certain(name, known)
    return replaced(path, certain) if certain else ()


def reworded(path: Path, text: Any, around: str, wrong: str, right: str | None) -> Fixes:
    """Renames ``wrong``, the name after ``around`` (``steps.load.``), to ``right`` in an expression.

    All occurrences in the text are renamed. If the expression has another form, the name must occur only once.
    """
    if not right or not isinstance(text, str):
        return ()
    dotted = rf"(?<![\w.\]]){re.escape(around)}{re.escape(wrong)}(?!\w)"
    changed = re.sub(dotted, lambda _: around + right, text, flags=re.ASCII)
    if changed == text and len(re.findall(word := rf"(?<!\w){re.escape(wrong)}(?!\w)", text)) == 1:
        changed = re.sub(word, lambda _: right, text)
    return replaced(path, changed) if changed != text else ()


def meant(value: Any, kind: str) -> Any:
    """Returns the value that was meant where a ``boolean``, ``integer``, ``number``, ``string`` or ``list`` belongs.

    ``"20"`` is a quoted 20, ``yes`` is true in YAML 1.1, and one value is a list of it, and a list of one is the value.
    Otherwise MISSING.
    """
    match kind, value:
        case "boolean", [bool() as only]:
            return only
        case "integer", [int() as only] if not isinstance(only, bool):
            return only
        case "number", [int() | float() as only] if not isinstance(only, bool):
            return only
        case "string" | "path", [str() as only]:
            return only
        case "boolean", str():
            return _BOOLEANS.get(value.casefold(), MISSING)
        case "integer", str() | float():
            number = _number(value)
            return int(number) if number is not MISSING and number == int(number) else MISSING
        case "number", str():
            return _number(value)
        case "string" | "path", int() if not isinstance(value, bool):
            return str(value)
        case "list", str() | int() | float():
            return [value]
    return MISSING


def duration(value: Any) -> str | None:
    """Returns the duration meant by ``10 min`` or ``1 hour``, or by a number of seconds. None when it is not clear."""
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return f"{value}s"
    if not isinstance(value, str):
        return None
    text = _UNIT_WORD.sub(lambda word: _UNITS.get(word[0].casefold(), word[0]), "".join(value.split()))
    try:
        durations.parse(text)
    except ValueError:
        return None
    return text


def size(value: Any) -> str | None:
    """Returns the amount of memory meant by ``2 gb`` or ``512 Mb``. None for a number without its unit, and for ``2G``,
    which may be 2GB or 2GiB.
    """
    if not isinstance(value, str):
        return None
    text = "".join(value.split())
    exact = {unit.casefold(): unit for unit in sizes.UNITS}
    text = re.sub(r"[a-zA-Z]+$", lambda unit: exact.get(unit[0].casefold(), unit[0]), text)
    try:
        sizes.parse(text)
    except ValueError:
        return None
    return text


def choice(value: Any, expected: str) -> Any:
    """Returns the one of pydantic's ``expected`` values (``'a', 'b' or 1``) that ``value`` must have meant, or
    MISSING.
    """
    names = choices(expected)
    if isinstance(value, str) and (name := words.choice(value, names) or suggest.certain(value, names)):
        return name
    found = meant(value, "integer")
    return found if found is not MISSING and str(found) in re.split(r", | or ", expected) else MISSING


def choices(expected: str) -> list[str]:
    """Returns the texts among pydantic's ``expected`` values."""
    return re.findall(r"'([^']*)'", expected)


def _number(value: str | float) -> Any:
    """Returns the number in quotes, as YAML would have read it."""
    try:
        found = scalars.resolve(value.strip()) if isinstance(value, str) else value
    except scalars.ScalarError:
        return MISSING
    if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found):
        return MISSING
    return found


_BOOLEANS = {
    **dict.fromkeys(("true", "yes", "on", "y"), True),
    **dict.fromkeys(("false", "no", "off", "n"), False),
}
_UNITS = {
    **dict.fromkeys(("millisecond", "milliseconds", "msec", "msecs", "millis"), "ms"),
    **dict.fromkeys(("s", "second", "seconds", "sec", "secs"), "s"),
    **dict.fromkeys(("minute", "minutes", "min", "mins"), "m"),
    **dict.fromkeys(("h", "hour", "hours", "hr", "hrs"), "h"),
    **dict.fromkeys(("d", "day", "days"), "d"),
}
_UNIT_WORD = re.compile(r"[A-Za-z]+")
