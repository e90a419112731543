"""References in expressions, such as ``steps.load.table`` or ``matrix.fold``.

In: the keys of a name, and later the scope. Out: ``Reference``, and its value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from e2i.documents import ParamValues, Values
from e2i.spec import operators
from e2i.spec.scalars import shorten
from e2i.spec.values import ExpressionError, MissingError, Secret, written

ROOTS = ("params", "steps", "matrix", "env", "secrets", "run")
"""The names in scope."""

_NAMED_ONE_BY_ONE = ("steps", "env", "secrets")
"""Roots that are never used as a whole: the step, variable or secret must be known before the run."""


class Scope(Struct, frozen=True):
    """The values that expressions can read, as plain data under their roots. A root that is None cannot be used."""

    params: ParamValues | None = None
    steps: Values | None = None
    matrix: Values | None = None
    env: Mapping[str, str] | None = None
    run: Mapping[str, str] | None = None


class Reference(Struct, frozen=True):
    """``root`` and the keys and indices after it. ``optional``: it is under ``default`` or ``is defined``."""

    root: str
    path: tuple[str | int, ...] = ()
    optional: bool = False

    @property
    def parts(self) -> tuple[str | int, ...]:
        """``("steps", "load", "table")``."""
        return (self.root, *self.path)

    def __str__(self) -> str:
        return written(self.parts)

    def check(self, *, alone: bool) -> None:
        """Raises ExpressionError if an expression may not contain this reference. ``alone``: it is the whole value."""
        if self.root in _NAMED_ONE_BY_ONE and not (self.path and isinstance(self.path[0], str)):
            hint = f"use one of its names: {self.root}.NAME"
            raise ExpressionError(f'"{self.root}" cannot be used as a whole', hint=hint)
        if self.root == "secrets" and not (alone and len(self.path) == 1):
            raise ExpressionError(
                "a secret must be a value of its own, not part of a text or of a computation",
                hint='write only "${{ secrets.NAME }}"',
            )

    def look_up(self, scope: Scope) -> Any:
        """Returns the value. Only keys of mappings and indices of lists are followed, never attributes of objects.

        A secret is returned as a ``Secret``: no scope contains it. Raises MissingError with the missing name.
        """
        if self.root == "secrets":
            return Secret(str(self.path[0]))
        value = getattr(scope, self.root)
        if value is None:
            raise MissingError(f'"{self.root}" cannot be used here')
        for index, key in enumerate(self.path):
            value = operators.look_up(value, key, self.parts[: index + 1])
        return value


NOTHING = ("null", "nil", "undefined")
"""Names for ``none`` in other languages."""


def root(name: str, source: str = "") -> str:
    """Returns the name, if it is one of those in scope. Raises MissingError."""
    if name in ROOTS:
        return name
    found = re.search(rf"\b{re.escape(name)}\b", source)
    if name in NOTHING:
        raise ExpressionError(f'unknown name "{name}"', offset=found.start() if found else 0, hint="write none")
    raise MissingError(f'unknown name "{shorten(name)}"', name, ROOTS).moved(found.start() if found else 0)
