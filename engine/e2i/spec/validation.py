"""Reads pydantic's validation errors: one for each mistake, at a path of the data, without pydantic's own names.

In: a ``ValidationError`` and the data. Out: its details. Where a value may have one of several forms, pydantic reports
the errors of each form. Only those of the form that was meant are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from e2i.documents import JsonObject

Path = tuple[str | int, ...]
Detail = JsonObject
"""An error of pydantic's. ``loc`` is a path of the data; of a missing key, it ends in that key."""
NO_FORM = "no_form"
"""The type of the error of a value that has none of several forms. ``kinds`` are the errors of each, ``said``
their messages."""
_MISMATCH = 100
"""Weight of an error of the value itself: it has another form. An error inside the value counts 1."""


def mistakes(error: ValidationError, data: Any, is_unsure: Callable[[Path, str], bool] | None = None) -> list[Detail]:
    """Returns the errors. ``is_unsure`` returns True for a path and a type of error that an unknown value may cause."""
    details = [_untagged(dict(detail)) for detail in error.errors(include_url=False)]
    return [detail for _, detail in _read([(detail, 0) for detail in details], data, (), is_unsure or _never)]


Weighed = tuple[int, Detail]


def _read(
    details: Iterable[tuple[Detail, int]], value: Any, path: Path, is_unsure: Callable[[Path, str], bool]
) -> list[Weighed]:
    """Returns the errors of the value at ``path``. Each comes with the number of elements of ``loc`` that led here."""
    own: list[Weighed] = []
    inner: dict[str | int, list[tuple[Detail, int]]] = {}
    forms: dict[str, list[tuple[Detail, int]]] = {}
    for detail, depth in details:
        rest = detail["loc"][depth:]
        if not rest or rest == ("[key]",):
            if not _follows(detail) and not is_unsure(path, detail["type"]):
                own.append((_MISMATCH, {**detail, "loc": (*path, *rest)}))
        elif _has(value, rest[0]) or (len(rest) == 1 and detail["type"] == "missing"):
            inner.setdefault(rest[0], []).append((detail, depth + 1))
        else:
            forms.setdefault(str(rest[0]), []).append((detail, depth + 1))
    found = own
    for key, held in inner.items():
        item = value[key] if _has(value, key) else None
        found += [(1, detail) for _, detail in _read(held, item, (*path, key), is_unsure)]
    if forms:
        found += _meant([_read(held, value, path, is_unsure) for held in forms.values()], value, path)
    return found


def _meant(forms: list[list[Weighed]], value: Any, path: Path) -> list[Weighed]:
    """Returns the errors of the form that was meant: the one with the fewest. None when one has no certain error."""
    best = min(forms, key=lambda found: sum(weight for weight, _ in found))
    if len(forms) > 1 and any(weight == _MISMATCH for weight, _ in best):
        wrong = [detail for found in forms for weight, detail in found if weight == _MISMATCH]
        kinds = [detail["type"] for detail in wrong]
        if len(set(kinds)) > 1:
            about = {"kinds": kinds, "said": [detail["msg"] for detail in wrong]}
            return [(_MISMATCH, {"type": NO_FORM, "loc": path, "input": value, "msg": "", "ctx": about})]
    return best


def _untagged(detail: Detail) -> Detail:
    """Returns the error of a value of several forms, named by a key in it, as an error of that key."""
    if not detail["type"].startswith("union_tag_"):
        return detail
    key = detail["ctx"]["discriminator"].strip("'")
    if detail["type"] == "union_tag_not_found":
        return {**detail, "type": "missing", "loc": (*detail["loc"], key)}
    allowed = detail["ctx"]["expected_tags"]
    return {
        "type": "literal_error",
        "loc": (*detail["loc"], key),
        "input": detail["input"].get(key) if isinstance(detail["input"], dict) else None,
        "msg": f"Input should be {' or '.join(allowed.rsplit(', ', 1))}",
        "ctx": {"expected": allowed},
    }


def _follows(detail: Detail) -> bool:
    """Returns True when a list is only too short because its items have errors of their own."""
    given = detail["input"]
    return (
        detail["type"] == "too_short"
        and isinstance(given, list | tuple | Mapping)
        and len(given) >= detail["ctx"]["min_length"]
    )


def _has(value: Any, key: str | int) -> bool:
    if isinstance(value, Mapping):
        return key in value
    return isinstance(value, list | tuple) and isinstance(key, int) and 0 <= key < len(value)


def _never(path: Path, kind: str) -> bool:
    return False
