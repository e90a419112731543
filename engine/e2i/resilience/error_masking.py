"""Mask what exceptions say. In: an exception and a masking function. Out: the same exception without credentials."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

MOST = 20
"""Number of exceptions in a chain that are masked."""
DEEPEST = 8
"""Levels of data within an exception that are masked."""
SYSTEM = ("strerror", "filename", "filename2")
"""Texts of an ``OSError``, which are not among its attributes."""


def mask_error(error: BaseException, mask: Callable[[str], str]) -> None:
    """Masks the arguments, the notes and the attributes of an exception, and of those that it was raised from.

    Its type and its identity stay, so that a caller catches it as before.
    """
    waiting: list[BaseException | None] = [error]
    seen = set[int]()
    while waiting and len(seen) < MOST:
        found = waiting.pop()
        if found is None or id(found) in seen:
            continue
        seen.add(id(found))
        _mask(found, mask)
        waiting += [found.__context__, found.__cause__]
        if isinstance(found, BaseExceptionGroup):
            waiting += found.exceptions


def _mask(error: BaseException, mask: Callable[[str], str]) -> None:
    if (arguments := _masked(error.args, mask)) != error.args:
        error.args = arguments
    for name, value in list(vars(error).items()):
        masked = _masked(value, mask)
        if masked is not value:
            vars(error)[name] = masked
    if isinstance(error, OSError):
        for name in SYSTEM:
            value = getattr(error, name, None)
            if isinstance(value, str) and (text := mask(value)) != value:
                with suppress(AttributeError):
                    setattr(error, name, text)


def _masked(value: Any, mask: Callable[[str], str], level: int = 0) -> Any:
    """Returns plain data without credentials; ``value`` itself when there are none, or when it is no plain data."""
    if level > DEEPEST:
        return value
    changed: Any = value
    match value:
        case str():
            changed = mask(value)
        case bytes():
            text = value.decode("utf-8", "surrogateescape")
            changed = mask(text).encode("utf-8", "surrogateescape")
        case Mapping():
            changed = {_masked(key, mask, level + 1): _masked(item, mask, level + 1) for key, item in value.items()}
        case list() | tuple() if type(value) in (list, tuple):
            changed = type(value)(_masked(item, mask, level + 1) for item in value)
    return value if changed == value else changed
