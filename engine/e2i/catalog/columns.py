"""What is known of artifacts before anything runs, and how an action passes it on.

In: a step's parameters, ``Known…`` in place of artifacts. Out: a ``Flow``: what is known of its outputs, and faults.

An action whose declaration says ``columns=True`` has a function of its name in ``e2i.tools.<tool>.columns``::

    def split(given: Given, files: Files) -> Flow

It runs nothing and imports nothing heavy. Where something cannot be known it says nothing: a fault is a promise that
the step would fail, or would learn from what it must not know.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Final

from msgspec import Struct, field

from e2i.catalog.files import Files
from e2i.spec.suggest import Names

Path = tuple[str | int, ...]
Columns = Mapping[str, str | None]
"""Column → its Arrow type, or None where only a run can tell; in order."""


class Unknown:
    """Stands for a value that only a run can tell."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = Unknown()


class KnownTable(Struct, frozen=True, dict=True):
    """A table whose columns are known. ``made_from``: column → the column that it was computed from."""

    columns: Columns
    made_from: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def names(self) -> Names:
        """The columns' names, to search for the one that was meant."""
        return Names(self.columns)

    def only(self, names: Iterable[str]) -> KnownTable:
        """The table with these of its columns, in this order."""
        columns = {name: self.columns[name] for name in names if name in self.columns}
        return KnownTable(columns, self._among(columns))

    def without(self, names: Iterable[str]) -> KnownTable:
        """The table without these columns."""
        left_out = set(names)
        return self.only(name for name in self.columns if name not in left_out)

    def gives_away(self, target: str) -> tuple[str, ...]:
        """The columns from which the target can be told: it was made from them, or they from it."""
        return tuple(
            name for name in self.columns if self.made_from.get(name) == target or self.made_from.get(target) == name
        )

    def _among(self, columns: Columns) -> Mapping[str, str]:
        return {made: source for made, source in self.made_from.items() if made in columns and source in columns}


class KnownModel(Struct, frozen=True):
    """A model, or what serves or registers it. None: not known."""

    target: str | None = None
    features: tuple[str, ...] | None = None
    task: str | None = None


class KnownView(Struct, frozen=True):
    """A feature view: its features and their types (None: not known), and its join keys."""

    features: Columns | None
    keys: tuple[str, ...] | None


class KnownRepo(Struct, frozen=True):
    """Registered feature definitions."""

    views: Mapping[str, KnownView]


class KnownKeys(Struct, frozen=True):
    """A mapping that can have no other keys than these."""

    keys: tuple[str, ...]


Known = KnownTable | KnownModel | KnownRepo | KnownKeys
Given = Mapping[str, Any]
"""A step's parameters with defaults: plain values, ``Known…`` in place of artifacts, ``UNKNOWN`` where neither."""


class ColumnProblem(Struct, frozen=True):
    """What is wrong with the value at ``path`` in ``with``.

    ``name`` is the misspelt name and ``known`` are those that there are, for a hint and a fix. ``at_key``: the name is
    a mapping's key. Where the mend is no other name: ``take_out`` the value at ``path``, or ``leave_out`` columns by
    adding them to the parameter ``exclude``.
    """

    path: Path
    code: str
    message: str
    name: str = ""
    known: Collection[str] = ()
    hint: str | None = None
    at_key: bool = False
    take_out: bool = False
    leave_out: tuple[str, ...] = ()


class Flow(Struct, frozen=True):
    """What an action's outputs will be, by name, as far as that can be told; and what is wrong."""

    outputs: Mapping[str, Known] = field(default_factory=dict)
    problems: Sequence[ColumnProblem] = ()
    may_be_null: frozenset[str] = frozenset()
    """Outputs that the spec wants to be null when what they stand for does not exist: who reads them must ask."""


ColumnFlow = Callable[[Given, Files], Flow]


def settled(value: Any) -> bool:
    """True when all of a value is known."""
    match value:
        case Unknown():
            return False
        case Mapping():
            return all(map(settled, value.values()))
        case list() | tuple():
            return all(map(settled, value))
    return True


def names(path: Path, value: Any) -> Iterator[tuple[Path, str]]:
    """Each name in a parameter that holds one, a list of them or a mapping by them, with its path."""
    match value:
        case str():
            yield path, value
        case Mapping():
            yield from (((*path, name), name) for name in value)
        case list() | tuple():
            yield from (((*path, index), name) for index, name in enumerate(value) if isinstance(name, str))


def absent(table: Any, path: Path, value: Any, what: str = "the table") -> Iterator[ColumnProblem]:
    """A fault for each name at ``path`` that is no column of the table; none when the table is not known."""
    if not isinstance(table, KnownTable):
        return
    for inner, name in names(path, value):
        if name not in table.columns:
            yield ColumnProblem(
                inner,
                "unknown-column",
                f'{what} has no column "{name}"',
                name,
                table.names,
                at_key=isinstance(value, Mapping),
            )


def is_time(kind: str | None) -> bool:
    """Whether an Arrow type is a point or a length of time, which no model learns from."""
    return kind is not None and kind.startswith(("timestamp", "date", "time", "duration"))
