"""What is known of artifacts before the run, and how actions pass it on.

In: a step's parameters, with ``Known…`` for artifacts. Out: a ``Flow``: what is known of its outputs, and problems.

An action declared with ``columns=True`` has a function of its name in ``e2i.tools.<tool>.columns``::

    def split(given: Given, files: Files) -> Flow

The function runs nothing and imports nothing heavy. It reports nothing where something cannot be known: a problem is a
promise that the step would fail, or would train on data that it must not know.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Final

from msgspec import Struct, field

from e2i.catalog.files import Files
from e2i.spec.problems import Severity
from e2i.spec.suggest import Names

Path = tuple[str | int, ...]
Columns = Mapping[str, str | None]
"""Column → its Arrow type, in order. None where it is only known in a run."""


class Unknown:
    """Placeholder for a value that is only known in a run."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = Unknown()


class KnownTable(Struct, frozen=True, dict=True):
    """A table whose columns are known. ``made_from``: column → the column that it was derived from."""

    columns: Columns
    made_from: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def names(self) -> Names:
        """The names of the columns, for suggestions."""
        return Names(self.columns)

    def only(self, names: Iterable[str]) -> KnownTable:
        """Returns the table with only these of its columns, in this order."""
        columns = {name: self.columns[name] for name in names if name in self.columns}
        return KnownTable(columns, self._among(columns))

    def without(self, names: Iterable[str]) -> KnownTable:
        """Returns the table without these columns."""
        left_out = set(names)
        return self.only(name for name in self.columns if name not in left_out)

    def gives_away(self, target: str) -> tuple[str, ...]:
        """Returns the columns that reveal the target: those derived from it, or from which it was derived."""
        return tuple(
            name for name in self.columns if self.made_from.get(name) == target or self.made_from.get(target) == name
        )

    def _among(self, columns: Columns) -> Mapping[str, str]:
        return {made: source for made, source in self.made_from.items() if made in columns and source in columns}


class Shape(Struct, frozen=True):
    """One type that a value can have: ``string integer number boolean null list mapping table any``.

    ``inside`` are the members known by name or index, ``rest`` the type of any other member (None: there is no other).
    """

    type: str
    inside: Mapping[str | int, Shapes] = field(default_factory=dict)
    rest: Shapes | None = None
    optional: frozenset[str | int] = frozenset()
    """Members that a mapping may lack."""
    values: tuple[str | int | bool | None, ...] = ()
    """The only values of this type that are allowed; empty: all."""
    table: KnownTable | None = None
    """What is known of a table."""
    library: str | None = None
    """The library whose frame a table is in Python: pandas, pyarrow or polars."""


Shapes = tuple[Shape, ...]
"""A union: a value has one of these types."""


class KnownModel(Struct, frozen=True):
    """A model, or its service or registered version. None: not known."""

    target: str | None = None
    features: tuple[str, ...] | None = None
    task: str | None = None


class KnownView(Struct, frozen=True):
    """A feature view: its features with their types (None: not known), and its join keys."""

    features: Columns | None
    keys: tuple[str, ...] | None


class KnownRepo(Struct, frozen=True):
    """Registered feature definitions."""

    views: Mapping[str, KnownView]


class KnownKeys(Struct, frozen=True):
    """A mapping that can have no other keys."""

    keys: tuple[str, ...]


Known = KnownTable | KnownModel | KnownRepo | KnownKeys | Shapes
Given = Mapping[str, Any]
"""A step's parameters with defaults: plain values, ``Known…`` for artifacts, otherwise ``UNKNOWN``."""


class ColumnProblem(Struct, frozen=True):
    """A problem of the value at ``path`` in ``with``.

    ``name`` is the misspelt name and ``known`` are the existing ones, for a hint and a fix. ``at_key``: the name is a
    mapping's key. Where the fix is not another name: ``take_out`` the value at ``path``, or ``leave_out`` columns by
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
    severity: Severity = "error"


class Flow(Struct, frozen=True):
    """What is known of an action's outputs, by name, and the problems found."""

    outputs: Mapping[str, Known] = field(default_factory=dict)
    problems: Sequence[ColumnProblem] = ()
    may_be_null: frozenset[str] = frozenset()
    """Outputs that are null when the object does not exist, as the spec requests. Their readers must test for null."""


ColumnFlow = Callable[[Given, Files], Flow]


def settled(value: Any) -> bool:
    """Returns True when all of a value is known."""
    match value:
        case Unknown():
            return False
        case Mapping():
            return all(map(settled, value.values()))
        case list() | tuple():
            return all(map(settled, value))
    return True


def names(path: Path, value: Any) -> Iterator[tuple[Path, str]]:
    """Yields each name in a parameter that has one, a list of them or a mapping by them, with its path."""
    match value:
        case str():
            yield path, value
        case Mapping():
            yield from (((*path, name), name) for name in value)
        case list() | tuple():
            yield from (((*path, index), name) for index, name in enumerate(value) if isinstance(name, str))


def absent(table: Any, path: Path, value: Any, what: str = "the table") -> Iterator[ColumnProblem]:
    """Yields a problem for each name at ``path`` that is not a column of the table. None when the table is not
    known.
    """
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
    """Returns True when an Arrow type is a point or a length of time, which no model can be trained on."""
    return kind is not None and kind.startswith(("timestamp", "date", "time", "duration"))
