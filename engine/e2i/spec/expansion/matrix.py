"""Expands a step's ``matrix`` into its combinations: the product, less ``exclude``, plus ``include``.

An entry of ``exclude`` removes every combination that has all of its values. An entry of ``include`` adds its other
values to every combination that agrees with the entry on the matrix's own names. If none does, the entry becomes a
combination of its own.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from types import NoneType
from typing import Any

from msgspec import Struct, field

from e2i.documents import JsonObject
from e2i.spec import suggest
from e2i.spec.models import IDENTIFIER

Path = tuple[str | int, ...]
Written = Mapping[str, list[Any] | str]
"""A matrix as written: a list, or an expression for one, by name."""
MAX_COMBINATIONS = 1_000
MAX_VALUES = 100_000
"""Limit on the values in all matrix combinations together."""
RESERVED = ("include", "exclude")
"""Keys of a matrix that are not names of values."""


class BadMatrixError(ValueError):
    """A matrix cannot be expanded. ``path`` leads from the matrix to the error."""

    def __init__(self, message: str, hint: str | None, path: Path) -> None:
        super().__init__(message)
        self.hint = hint
        self.path = path


class Combination(Struct):
    """One combination of a matrix, for which the step runs once; or an entry of ``include`` or ``exclude``."""

    values: JsonObject
    names: tuple[str, ...]
    """Names whose values distinguish it from the other combinations, and by which combinations of two steps are
    paired.
    """

    @property
    def label(self) -> str:
        return ",".join(_label(self.values[name]) for name in self.names)

    def pairing(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Returns the key by which a combination with these names is looked up."""
        return tuple(key(self.values[name]) for name in names)


class Combinations(Struct, frozen=True):
    """The matrix combinations, and the entries of ``exclude`` that match nothing."""

    combinations: list[Combination]
    unused: list[Path] = field(default_factory=list)


def expand(matrix: Written, fill_in: Callable[[str, Any], Any], *, is_open: Callable[[Any], bool]) -> Combinations:
    """Returns the combinations in order: names alphabetically, the last one varying fastest.

    ``fill_in(name, written)`` returns the value written for a name. ``is_open`` returns True for a value that is not
    known yet. Raises BadMatrixError.
    """
    _require_few(1, len(matrix.keys() - set(RESERVED)))  # each name has at least one value
    axes: dict[str, list[Any]] = {}
    for name in sorted(matrix):  # the order of keys never matters
        if name not in RESERVED:
            value = fill_in(name, matrix[name])
            values = [value] if is_open(value) else value
            if not isinstance(values, list) or not values:
                raise BadMatrixError(f'"{name}" must be a list of at least one value', None, (name,))
            axes[name] = values
    count = 1 if axes else 0
    for values in axes.values():
        count *= len(values)
        _require_few(count, count * len(axes))
    exclude, include = (_entries(matrix, which, fill_in) for which in ("exclude", "include"))
    combinations = _Combinations(axes, count)
    closed = not any(is_open(value) for values in axes.values() for value in values)
    unused: list[Path] = []
    for index, entry in enumerate(exclude):
        for name in entry.values:
            if name not in axes:
                hint = suggest.hint(name, axes)
                raise BadMatrixError(f'it has no name "{name}" to exclude by', hint, ("exclude", index, name))
        if not combinations.leave_out(entry) and closed:
            unused.append(("exclude", index))
    agreeing = [combinations.agreeing(entry) for entry in include]
    added = [entry for entry, members in zip(include, agreeing, strict=True) if not members]
    extending = [(entry, members) for entry, members in zip(include, agreeing, strict=True) if members]
    total = combinations.left.bit_count() + len(added)
    if not total:
        raise BadMatrixError("no combination is left", "exclude fewer combinations", ("exclude",))
    reached = _reached(extending)
    size = combinations.left.bit_count() * len(axes) + sum(len(entry.values) for entry in added)
    _require_few(total, size + sum(members.bit_count() for name, members in reached.items() if name not in axes))
    product = itertools.product(*axes.values()) if axes else ()
    every = [Combination(dict(zip(axes, combination, strict=True)), tuple(axes)) for combination in product]
    _extend(every, extending, reached)
    found = [every[index] for index in _bits(combinations.left)]
    return Combinations([*found, *added], unused)


class _Combinations:
    """The matrix combinations as bits of integers, so that an entry is compared with all of them at once."""

    def __init__(self, axes: Mapping[str, list[Any]], count: int) -> None:
        self.left = (1 << count) - 1
        """Combinations that no entry of ``exclude`` has removed."""
        self._members: dict[str, dict[str, int]] = {}
        period = count
        for name, values in axes.items():
            repeated, period = period, period // len(values)
            # A run of `period` bits for each value, repeated every `repeated` bits.
            stripe = ((1 << period) - 1) * sum(1 << start for start in range(0, count, repeated))
            members: dict[str, int] = {}
            for index, value in enumerate(values):
                text = key(value)
                members[text] = members.get(text, 0) | stripe << index * period
            self._members[name] = members

    def agreeing(self, entry: Combination) -> int:
        """Returns the remaining combinations that have the entry's values for the matrix's own names."""
        found = self.left
        for name, value in entry.values.items():
            if name in self._members:
                found &= self._members[name].get(key(value), 0)
        return found

    def leave_out(self, entry: Combination) -> bool:
        """Removes the matching combinations. Returns False when none matches."""
        found = self.agreeing(entry)
        self.left &= ~found
        return found != 0


def _require_few(combinations: int, values: int) -> None:
    if combinations > MAX_COMBINATIONS:
        raise BadMatrixError(f"it has {combinations:,} combinations, more than {MAX_COMBINATIONS:,}", None, ())
    if values > MAX_VALUES:
        raise BadMatrixError(f"its combinations hold {values:,} values together, more than {MAX_VALUES:,}", None, ())


_Extending = list[tuple[Combination, int]]
"""Entries of ``include``, each with the combinations that it extends."""


def _reached(extending: _Extending) -> dict[str, int]:
    """Returns the names that entries add, in the order of the entries, each with the combinations that get a value."""
    reached: dict[str, int] = {}
    for entry, members in extending:
        for name in entry.values:
            reached[name] = reached.get(name, 0) | members
    return reached


def _extend(every: list[Combination], extending: _Extending, reached: Mapping[str, int]) -> None:
    """Adds to each combination the values of the entries that extend it. For one name, the later value is used."""
    for name, members in reached.items():
        for index in _bits(members):
            every[index].values.setdefault(name)  # so that names have the order in which they are written
    waiting = dict(reached)
    for entry, members in reversed(extending):
        for name, value in entry.values.items():
            for index in _bits(members & waiting[name]):
                every[index].values[name] = value
            waiting[name] &= ~members


def _bits(number: int) -> Iterator[int]:
    """Yields the positions of the ones, from the lowest."""
    while number:
        lowest = number & -number
        yield lowest.bit_length() - 1
        number ^= lowest


def key(value: Any) -> str:
    """Returns a text that is equal only for equal values: true is not 1."""
    return json.dumps(value, sort_keys=True, default=repr)


def _entries(matrix: Written, which: str, fill_in: Callable[[str, Any], Any]) -> list[Combination]:
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
    return [Combination(dict(entry), tuple(sorted(entry))) for entry in entries]


def _label(value: Any) -> str:
    if not isinstance(value, (str, int, float, list, dict, NoneType)):
        return "?"
    text = value if isinstance(value, str) else key(value)
    kept = "".join(char if char.isalnum() or char in "._-" else "_" for char in text)
    return kept[:40]
