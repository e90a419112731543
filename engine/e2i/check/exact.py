"""Checks that values have exactly the type of a parameter, not merely a convertible one. In: parameters. Out: problems.

Pydantic accepts ``"20"`` for 20, ``true`` for 1 and ``"no"`` for false, which is right for the answers of tools. In a
spec it is a mistake, or becomes one: text has another fingerprint than a number.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from e2i.check import types
from e2i.check.types import Types
from e2i.spec import fixes
from e2i.spec.document import Document
from e2i.spec.expansion.nodes import Path
from e2i.spec.problems import Problem
from e2i.spec.scalars import show

SCALARS = {"string", "integer", "number", "boolean", "null"}


def problems(document: Document, base: Path, values: Any, takes: Types) -> Iterator[Problem]:
    """Yields a problem for each text, number or boolean among the ``values`` that does not have its expected type.

    ``base`` leads to the values in the document. ``takes`` is the expected type of the whole.
    """
    for path, value, taken in _scalars(values, (), takes):
        if {type_.name for type_ in taken} <= SCALARS and not types.accepts(types.of_value(_whole(value)), taken):
            full_path = (*base, *path)
            message = f'"{path[-1]}" accepts {types.describe(taken)}, not {show(value)}'
            fix = fixes.instead(full_path, _meant(value, taken)) if document.value(full_path) == value else ()
            yield document.problem("bad-action-parameter", full_path, message, fixes=fix)


def _scalars(value: Any, path: Path, takes: Types) -> Iterator[tuple[Path, Any, Types]]:
    """Yields texts, numbers and booleans with their expected types, except where any type is accepted."""
    if takes is types.ANY:
        return
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _scalars(item, (*path, key), types.inside(takes, key) or types.ANY)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _scalars(item, (*path, index), types.inside(takes, index) or types.ANY)
    elif isinstance(value, str | int | float):
        yield path, value, takes


def _whole(value: Any) -> Any:
    """``1e6`` is a float to YAML, and an integer to everybody else."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _meant(value: Any, taken: Types) -> Any:
    found = [meant for type_ in taken if (meant := fixes.meant(value, type_.name)) is not fixes.MISSING]
    return found[0] if len(found) == 1 else fixes.MISSING
