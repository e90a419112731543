"""Find the values of a step's parameters that are only known in a run, and their types.

In: parameters, as far as they are known. Out: each ``Pending`` and each secret with its path; the types of one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from e2i.check import types
from e2i.check.type_environment import TypeEnvironment
from e2i.check.types import Types
from e2i.spec import expressions
from e2i.spec.expansion.expanded import At
from e2i.spec.expansion.nodes import Path, Pending
from e2i.spec.expressions import Expression
from e2i.spec.values import Secret


def walk(value: Any, path: Path = ()) -> Iterator[tuple[Path, Pending | Secret]]:
    """Yields each location in the parameters whose value is only known in a run."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from walk(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from walk(item, (*path, index))
    elif isinstance(value, (Pending, Secret)):
        yield path, value


def types_of(
    environment: TypeEnvironment, at: At, pending: Pending | Secret
) -> tuple[Types, list[tuple[Expression, str]]]:
    """Returns the types of such a value, and the type errors of its expressions."""
    if isinstance(pending, Secret):
        return types.STRING, []
    if not pending.text:  # a failing expression is reported separately
        return types.ANY, []
    return environment.of_template(expressions.parse(pending.text), at)
