"""Check the arguments of a program's calls. In: a name and a value. Out: the value, or BadCall with a hint."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from e2i.errors import BadCall

LONGEST = 80
"""Characters of a value that a message shows."""


def text(name: str, value: Any, hint: str) -> str:
    """Return a text that is not blank."""
    if not isinstance(value, str) or not value.strip():
        raise _wrong(name, value, "a text that is not empty", hint)
    return value


def optional_text(name: str, value: Any, hint: str) -> str | None:
    """Return a text, or None."""
    if value is not None and not isinstance(value, str):
        raise _wrong(name, value, "a text or None", hint)
    return value


def mapping(name: str, value: Any, hint: str) -> Mapping[str, Any]:
    """Return a mapping."""
    if not isinstance(value, Mapping):
        raise _wrong(name, value, "a mapping", hint)
    return value


def mappings(name: str, value: Any, hint: str) -> list[Mapping[str, Any]]:
    """Return a list of mappings."""
    found: list[Any] = list(value) if _is_list(value) else [None]
    if not all(isinstance(item, Mapping) for item in found):
        raise _wrong(name, value, "a list of mappings", hint)
    return found


def items(name: str, value: Any, hint: str) -> list[Any]:
    """Return a list of anything, which is not empty."""
    if not _is_list(value) or not (found := list(value)):
        raise _wrong(name, value, "a list with items", hint)
    return found


def texts(name: str, value: Any, hint: str) -> list[str]:
    """Return a list of texts; one text alone is a list of one."""
    found = [value] if isinstance(value, str) else list(value) if _is_list(value) else []
    if not found or not all(isinstance(item, str) and item.strip() for item in found):
        raise _wrong(name, value, "a list of texts", hint)
    return found


def truth(name: str, value: Any) -> bool:
    """Return True or False."""
    if not isinstance(value, bool):
        raise _wrong(name, value, "True or False", f"pass {name}=True or {name}=False")
    return value


def shown(value: Any) -> str:
    """Return a simple value as a message shows it, and the type of any other."""
    if value is None or isinstance(value, bool | int | float | str | list | tuple | dict):
        plain = repr(value)
        return plain if len(plain) <= LONGEST else f"{plain[:LONGEST]}…"
    return f"of the type {type(value).__name__}"


def _is_list(value: Any) -> bool:
    """Return True for what has items of its own; the items of a frame or a mapping are its names."""
    return (
        isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping) and not hasattr(value, "columns")
    )


def _wrong(name: str, value: Any, wanted: str, hint: str) -> BadCall:
    return BadCall(f"`{name}` is {shown(value)}, not {wanted}", hint=hint)
