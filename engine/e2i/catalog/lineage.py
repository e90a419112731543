"""What a column was made from and which rows a table has, followed from step to step.

In: the lineages of other columns, the rows of other tables. Out: ``Lineage`` and ``Rows``.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

_PART = "\x1f"
"""Between the name of a column and those of the conditions that its rows meet."""


class Lineage(Struct, frozen=True):
    """The columns that a column was made from. A column is identified by the step and output that it first appeared in.

    In a part of the rows, its name is followed by those of the conditions. ``roots`` determine the value, row by row.
    ``ancestors`` are all columns whose values went into it, also those of other rows, in a sum for example.
    ``known_at`` are the moments at which these values become known; a column without a moment is always known.
    """

    roots: frozenset[str] = frozenset()
    ancestors: frozenset[str] = frozenset()
    known_at: frozenset[str] = frozenset()

    @classmethod
    def new(cls, name: str, sources: Iterable[Lineage] = ()) -> Lineage:
        """Returns the lineage of a column that its sources do not determine: a new one, or one from several rows."""
        made, own = cls.of(sources), frozenset([f".{name}"])
        return cls(own, own | made.ancestors, made.known_at)

    @classmethod
    def of(cls, sources: Iterable[Lineage]) -> Lineage:
        """Returns the lineage of a column that is computed from columns of the same row."""
        found = list(sources)
        if len(found) == 1:
            return found[0]
        return cls(
            frozenset[str]().union(*(source.roots for source in found)),
            frozenset[str]().union(*(source.ancestors for source in found)),
            frozenset[str]().union(*(source.known_at for source in found)),
        )

    def part(self, condition: str) -> Lineage:
        """Returns the lineage of the column in a part of the rows. Values from other rows stay what they were."""
        roots = frozenset(_in_part(name, condition) for name in self.roots)
        return Lineage(roots, (self.ancestors - self.roots) | roots, self.known_at)

    def has(self, name: str) -> bool:
        """Returns True when the values of a column are certainly in this one: those of its rows, or of more rows."""
        if name in self.ancestors:
            return True
        column, *conditions = name.split(_PART)
        return any(
            other.startswith(column)
            and other.split(_PART)[0] == column
            and set(other.split(_PART)[1:]) <= {*conditions}
            for other in self.ancestors
        )

    def from_origin(self, origin: str) -> Lineage:
        """Returns the lineage with the names of new columns completed by the step and output that they appeared in."""
        if not any(name.startswith(".") for name in self.ancestors):
            return self
        roots, ancestors = (
            frozenset(f"{origin}{name}" if name.startswith(".") else name for name in names)
            for names in (self.roots, self.ancestors)
        )
        return Lineage(roots, ancestors, self.known_at)


class Choice(Struct, frozen=True):
    """One choice of rows: by a split, ``part`` of the parts that ``key`` describes; by a filter, without a part."""

    key: str
    part: str = ""


class Rows(Struct, frozen=True):
    """The rows of a table: those of ``origin``, the step and output in which they first appeared, after choices."""

    origin: str = ""
    choices: tuple[Choice, ...] = ()

    def overlap(self, other: Rows) -> bool:
        """Returns True when both have rows in common for certain: one chooses among the rows of the other, or two
        different splits were made of the same rows. Two filters may have no row in common.
        """
        if not self.origin or self.origin != other.origin:
            return False
        common = 0
        for one, another in zip(self.choices, other.choices, strict=False):
            if one != another:
                break
            common += 1
        rest, others = self.choices[common:], other.choices[common:]
        if not rest or not others:
            return True
        return all(choice.part for choice in (*rest, *others)) and rest[0].key != others[0].key

    def differ(self, other: Rows) -> bool:
        """Returns True when both are other rows of one origin for certain: of one, a split took another part."""
        if not self.origin or self.origin != other.origin or self.choices == other.choices:
            return False
        return any(choice.part for choice in {*self.choices} ^ {*other.choices})


def _in_part(name: str, condition: str) -> str:
    column, *conditions = name.split(_PART)
    return _PART.join([column, *sorted({*conditions, condition})])
