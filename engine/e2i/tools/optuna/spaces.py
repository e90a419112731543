"""Read a program's search space. In: tuples, lists and mappings. Out: one ``Dimension`` for each parameter.

``[a, b]`` is categorical, ``(1, 9)`` int, ``(0.1, 0.9)`` float, ``{"low":, "high":, "log": True}`` float, and
``{"type": "int", "low":, "high":, "step":}`` as in a spec.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from e2i.errors import StepError
from e2i.estimators.space import Choices, Dimension, FloatRange, IntRange

_DIMENSION: TypeAdapter[Dimension] = TypeAdapter(Dimension)
_FORMS = 'write [a, b] to choose, (1, 9) for integers, (0.1, 0.9) or {"low": 1e-3, "high": 1, "log": True} for numbers'


def read(space: Mapping[str, Any]) -> dict[str, Dimension]:
    """Return the range of each parameter. Raises StepError that names the parameter and says what to write."""
    if not isinstance(space, Mapping) or not space:
        raise StepError(
            "`search_space` must map at least one parameter to its range", code="bad-space", hint=f"such as {_FORMS}"
        )
    return {str(name): _dimension(str(name), form) for name, form in space.items()}


def _dimension(name: str, form: Any) -> Dimension:
    match form:
        case IntRange() | FloatRange() | Choices():
            return form
        case list():
            return _validated(name, {"type": "categorical", "choices": [_choice(name, value) for value in form]})
        case tuple():
            return _between(name, form)
        case Mapping():
            return _mapping(name, {key: _plain(value) for key, value in form.items()})
        case _:
            raise _wrong(name, f"{form!r} is not a range")


def _between(name: str, ends: tuple[Any, ...]) -> Dimension:
    """Return the range of a tuple: integers if both ends are."""
    if len(ends) != 2:
        raise _wrong(name, f"a tuple is a range of two ends, and this one has {len(ends)} values; a list is a choice")
    low, high = map(_plain, ends)
    if isinstance(low, bool) or not isinstance(low, int | float) or isinstance(high, bool | str):
        raise _wrong(name, f"the ends of a range are numbers, not {ends!r}; a list is a choice")
    kind = "int" if isinstance(low, int) and isinstance(high, int) else "float"
    return _validated(name, {"type": kind, "low": low, "high": high})


def _mapping(name: str, form: dict[str, Any]) -> Dimension:
    if "type" in form:
        return _validated(name, form)
    if "choices" in form:
        return _validated(name, {"type": "categorical", **form})
    ends = [form.get("low"), form.get("high"), form.get("step", 1)]
    whole = all(isinstance(end, int) and not isinstance(end, bool) for end in ends) and not form.get("log")
    return _validated(name, {"type": "int" if whole else "float", **form})


def _validated(name: str, form: Mapping[str, Any]) -> Dimension:
    try:
        return _DIMENSION.validate_python(form)
    except ValidationError as error:
        found = error.errors()[0]
        where = ".".join(str(part) for part in found["loc"][1:])
        message = str(found["msg"]).removeprefix("Value error, ")
        raise _wrong(name, f"{where}: {message}" if where else message) from error


def _choice(name: str, value: Any) -> Any:
    """Return a choice that a study can keep: None, a truth value, a number or a text."""
    value = _plain(value)
    if value is not None and not isinstance(value, bool | int | float | str):
        raise _wrong(name, f"a study keeps None, booleans, numbers and texts as choices, not a {type(value).__name__}")
    return value


def _plain(value: Any) -> Any:
    """Return a number of numpy as one of Python."""
    return value.item() if hasattr(value, "item") and getattr(value, "ndim", 1) == 0 else value


def _wrong(name: str, what: str) -> StepError:
    return StepError(f"the search space of {name!r}: {what}", code="bad-space", hint=_FORMS)
