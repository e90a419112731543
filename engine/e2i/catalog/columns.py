"""What is known of artifacts before the run, and how actions pass it on.

In: a step's parameters, with ``Known…`` for artifacts. Out: a ``Flow``: what is known of its outputs, and problems.

An action declared with ``columns=True`` has a function of its name in ``e2i.tools.<tool>.columns``, one declared with
``columns="other_columns"`` in that module::

    def split(given: Given, files: Files) -> Flow

The function runs nothing and imports nothing heavy. It reports nothing where something cannot be known: a problem is a
promise that the step would fail, or would train on data that it must not know.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Final

from msgspec import Struct, field
from msgspec.structs import replace

from e2i.catalog.files import Files
from e2i.catalog.known_models import KnownModel as KnownModel
from e2i.catalog.known_models import KnownReport as KnownReport
from e2i.catalog.lineage import Choice, Lineage, Rows
from e2i.documents import Values
from e2i.spec.problems import Code, Severity
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
    """A table whose columns are known. ``made_from``: column → its lineage, where it is not the column itself.

    ``origin`` is the step and output in which the other columns first appeared. ``rows`` says which rows it has, and
    ``conditions`` are those that its rows meet.
    """

    columns: Columns
    made_from: Mapping[str, Lineage] = field(default_factory=dict)
    origin: str = ""
    conditions: tuple[str, ...] = ()
    rows: Rows = Rows()

    @cached_property
    def names(self) -> Names:
        """The names of the columns, for suggestions."""
        return Names(self.columns)

    def only(self, names: Iterable[str]) -> KnownTable:
        """Returns the table with only these of its columns, in this order."""
        columns = {name: self.columns[name] for name in names if name in self.columns}
        made_from = {name: self.made_from[name] for name in columns if name in self.made_from}
        return replace(self, columns=columns, made_from=made_from)

    def chosen(self, key: str, part: str = "") -> KnownTable:
        """Returns the table with only some of its rows. An empty ``key`` stands for the step and output."""
        return replace(self, rows=Rows(self.rows.origin, (*self.rows.choices, Choice(key, part))))

    def without(self, names: Iterable[str]) -> KnownTable:
        """Returns the table without these columns."""
        left_out = set(names)
        return self.only(name for name in self.columns if name not in left_out)

    def plus(self, columns: Columns) -> KnownTable:
        """Returns the table with new columns."""
        return replace(self, columns={**self.columns, **columns})

    def part(self, condition: str) -> KnownTable:
        """Returns the table with only those of its rows that meet a condition."""
        made_from = {name: lineage.part(condition) for name, lineage in self.made_from.items()}
        return replace(self, made_from=made_from, conditions=(*self.conditions, condition))

    def from_origin(self, origin: str) -> KnownTable:
        """Returns the table with the place where its new columns first appeared, unless that is known."""
        choices = tuple(choice if choice.key else Choice(origin, choice.part) for choice in self.rows.choices)
        rows = Rows(self.rows.origin or origin, choices)
        if self.origin:
            return self if rows == self.rows else replace(self, rows=rows)
        made_from = {name: lineage.from_origin(origin) for name, lineage in self.made_from.items()}
        return replace(self, made_from=made_from, origin=origin, rows=rows)

    def lineage(self, name: str) -> Lineage:
        """Returns what a column was made from: itself, if nothing else."""
        if found := self.made_from.get(name):
            return found
        own = Lineage.new(name).from_origin(self.origin)
        for condition in self.conditions:
            own = own.part(condition)
        return own

    def gives_away(self, target: str) -> tuple[str, ...]:
        """Returns the columns that reveal the target: those made from it, or from all that it is computed from."""
        roots = self.lineage(target).roots
        if not roots or target not in self.columns:
            return ()
        return tuple(name for name in self.columns if name != target and all(map(self.lineage(name).has, roots)))

    def known_later(self, names: Iterable[str], passed: Collection[str]) -> Mapping[str, str]:
        """Returns the columns that are not known yet when only some moments have passed, each with its moment."""
        late = {name: self.made_from[name].known_at.difference(passed) for name in names if name in self.made_from}
        return {name: min(moments) for name, moments in late.items() if moments}


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


class KnownView(Struct, frozen=True):
    """A feature view: its features with their types (None: not known), and its join keys."""

    features: Columns | None
    keys: tuple[str, ...] | None
    requests: tuple[str, ...] = ()
    """Columns of a request that an on-demand view is computed from."""


class KnownRepo(Struct, frozen=True):
    """Registered feature definitions. ``services``: feature service → its features, as ``view:feature``."""

    views: Mapping[str, KnownView]
    services: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class KnownKeys(Struct, frozen=True):
    """A mapping that can have no other keys."""

    keys: tuple[str, ...]


class KnownRecipe(Struct, frozen=True):
    """A recipe: its operations, as the spec has them. Values in them may be ``UNKNOWN``.

    ``origin`` is the id of the step that it is of.
    """

    steps: tuple[Any, ...]
    origin: str = ""


class KnownFolds(Struct, frozen=True):
    """Folds: the columns of the group and of the time that they were made by. None: there is none, or not known.

    ``rows`` says which rows they divide.
    """

    by: str | None = None
    time: str | None = None
    rows: Rows = Rows()
    singly: bool = False
    """Whether each row is drawn by itself."""


Known = KnownTable | KnownModel | KnownReport | KnownRepo | KnownRecipe | KnownFolds | KnownKeys | Shapes
Given = Values
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
    at: tuple[str, int] | None = None
    """The text at ``path``, and the offset of the character where the error is."""
    meant: str = ""
    """The name that is certainly meant, although it is written differently."""
    severity: Severity = "error"
    of: str = ""
    """The id of the step whose parameter it is about, if it is another one."""


class Flow(Struct, frozen=True):
    """What is known of an action's outputs, by name, and the problems found."""

    outputs: Mapping[str, Known] = field(default_factory=dict)
    problems: Sequence[ColumnProblem] = ()
    may_be_null: frozenset[str] = frozenset()
    """Outputs that are null when the object does not exist, as the spec requests. Their readers must test for null."""
    parts: frozenset[str] = frozenset()
    """Outputs that are tables with a part of the rows of their input."""


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


def twice(path: Path, value: Any) -> Iterator[ColumnProblem]:
    """Yields a warning for each name in the list at ``path`` that is in it before: it has no effect."""
    seen: set[str] = set()
    for inner, name in names(path, value) if isinstance(value, list | tuple) else ():
        if name in seen:
            message = f'"{name}" is listed twice'
            yield ColumnProblem(
                inner, "duplicate-name", message, hint="remove one of them", take_out=True, severity="warning"
            )
        seen.add(name)


def known_from(columns: Columns, moments: Mapping[str, str]) -> KnownTable:
    """Returns a new table of which some columns become known at a moment."""
    made_from = {
        name: Lineage(own.roots, own.ancestors, frozenset([moment]))
        for name, moment in moments.items()
        for own in [Lineage.new(name)]
    }
    return KnownTable(columns, made_from)


def is_time(kind: str | None) -> bool:
    """Returns True when an Arrow type is a point or a length of time, which no model can be trained on."""
    return kind is not None and kind.startswith(("timestamp", "date", "time", "duration"))


_TRAIN = """steps:
  data: {uses: dataset.hcp}
  train:
    uses: model.train
    with:
      table: ${{ steps.data.journeys }}
"""
CODES = (
    Code(
        "duplicate-name",
        "A name that is listed twice",
        "A column is taken once, however often it is listed. Perhaps another column was meant. This is a warning.",
        "Remove one of them, or write the column that was meant.",
        _TRAIN + "      target: target\n      features: [brand, region, brand]\n",
        _TRAIN + "      target: target\n      features: [brand, region]\n",
    ),
    Code(
        "unknown-column",
        "A column that the table does not have",
        "The columns of a table are known before a run, from the header of the file or from the upstream steps.",
        "Use a column listed in the hint, or keep the column in the upstream steps.",
        _TRAIN + "      target: taget\n      features: [brand, region]\n",
        _TRAIN + "      target: target\n      features: [brand, region]\n",
    ),
)
