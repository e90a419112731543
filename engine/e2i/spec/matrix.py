"""A step's ``matrix`` goes in; its cells come out: every combination, less ``exclude``, plus ``include``.

An entry of ``exclude`` leaves out every combination that has all of its values. An entry of ``include`` adds its other
values to every combination that agrees with it on the matrix's own names; if none does, it is a cell of its own.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from types import NoneType
from typing import Any

from msgspec import Struct, field

from e2i.spec import suggest
from e2i.spec.models import IDENTIFIER

Path = tuple[str | int, ...]
MAX_CELLS = 1_000
RESERVED = ("include", "exclude")
"""Keys of a matrix that are no names of values."""


class BadMatrixError(ValueError):
    """A matrix cannot be taken apart; ``path`` leads to the fault from the matrix on."""

    def __init__(self, message: str, hint: str | None, path: Path) -> None:
        super().__init__(message)
        self.hint = hint
        self.path = path


class Cell(Struct):
    """One repetition of a step."""

    values: dict[str, Any]
    names: tuple[str, ...]
    """The names whose values tell it from the other cells, and by which cells of two steps are paired."""

    @property
    def label(self) -> str:
        return ",".join(_label(self.values[name]) for name in self.names)


class Cells(Struct, frozen=True):
    """The cells of a matrix, and the entries of ``exclude`` that leave nothing out."""

    cells: list[Cell]
    unused: list[Path] = field(default_factory=list)


def cells(matrix: Mapping[str, Any], fill_in: Callable[[str, Any], Any], *, is_open: Callable[[Any], bool]) -> Cells:
    """The cells, in the order of their combinations: names by the alphabet, the last one varying fastest.

    ``fill_in(name, written)`` gives the value of what stands under a name; ``is_open`` is true of a value that nobody
    knows yet. Raises BadMatrixError.
    """
    axes: dict[str, list[Any]] = {}
    for name in sorted(matrix):  # the order of keys never matters
        if name not in RESERVED:
            value = fill_in(name, matrix[name])
            values = [value] if is_open(value) else value
            if not isinstance(values, list) or not values:
                raise BadMatrixError(f'"{name}" must be a list of at least one value', None, (name,))
            axes[name] = values
    count = math.prod(map(len, axes.values())) if axes else 0
    if count > MAX_CELLS:
        raise BadMatrixError(f"it has {count:,} cells, more than {MAX_CELLS:,}", None, ())
    product = itertools.product(*axes.values()) if axes else ()
    found = [Cell(dict(zip(axes, combination, strict=True)), tuple(axes)) for combination in product]
    unused: list[Path] = []
    for index, entry in enumerate(_entries(matrix, "exclude", fill_in)):
        for name in entry:
            if name not in axes:
                hint = suggest.hint(name, axes)
                raise BadMatrixError(f'it has no name "{name}" to exclude by', hint, ("exclude", index, name))
        kept = [cell for cell in found if not _agrees(cell, entry, entry)]
        if len(kept) == len(found) and not any(is_open(value) for values in axes.values() for value in values):
            unused.append(("exclude", index))
        found = kept
    combinations = tuple(found)
    for entry in _entries(matrix, "include", fill_in):
        shared = [name for name in entry if name in axes]
        extended = [cell for cell in combinations if _agrees(cell, entry, shared)]
        for cell in extended:
            cell.values.update(entry)
        if not extended:
            found.append(Cell(dict(entry), tuple(sorted(entry))))
    if not found:
        raise BadMatrixError("no cell is left", "exclude fewer combinations", ("exclude",))
    if len(found) > MAX_CELLS:
        raise BadMatrixError(f"it has {len(found):,} cells, more than {MAX_CELLS:,}", None, ())
    return Cells(found, unused)


def key(value: Any) -> str:
    """A text that is equal for equal values and for no others: true is not 1."""
    return json.dumps(value, sort_keys=True, default=repr)


def _entries(matrix: Mapping[str, Any], which: str, fill_in: Callable[[str, Any], Any]) -> list[dict[str, Any]]:
    if which not in matrix:
        return []
    entries = fill_in(which, matrix[which])
    if not isinstance(entries, list) or not entries:
        raise BadMatrixError(f'"{which}" must be a list of mappings', None, (which,))
    for index, entry in enumerate(entries):
        if not isinstance(entry, dict) or not entry:
            hint = "such as {fold: 1}"
            raise BadMatrixError(f'each entry of "{which}" must be a mapping of names to values', hint, (which, index))
        for name in entry:
            if not re.match(IDENTIFIER, name) or name in RESERVED:
                raise BadMatrixError(f'"{name}" is not a name for a value', None, (which, index, name))
    return entries


def _agrees(cell: Cell, entry: Mapping[str, Any], names: Iterable[str]) -> bool:
    return all(key(cell.values[name]) == key(entry[name]) for name in names)


def _label(value: Any) -> str:
    if not isinstance(value, (str, int, float, list, dict, NoneType)):
        return "?"
    text = value if isinstance(value, str) else key(value)
    kept = "".join(char if char.isalnum() or char in "._-" else "_" for char in text)
    return kept[:40]
