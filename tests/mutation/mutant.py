"""A good spec and changes of its text go in; a ``Mutant`` comes out: the broken text and where the mistake is in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mutation.good import Good

Edit = tuple[int, int, str]
"""The characters between two offsets become a text."""
Span = tuple[int, int]


@dataclass(frozen=True)
class Mutant:
    """A spec with one mistake. The right place for a problem lies in one of ``spans``, ends included."""

    good: Good
    text: str
    spans: tuple[Span, ...]
    codes: frozenset[str]
    """What the mistake may be called."""
    certain: bool
    """There is one mend that anybody would make."""
    wanted: str
    """What the mend gives, as far as it says: the good text, unless the mistake changes what was meant."""
    kind: str = ""

    def is_right(self, line: int, column: int) -> bool:
        """Whether a problem at this place, counted from 1, points at the mistake."""
        lines = self.text.splitlines(keepends=True)
        if not 1 <= line <= len(lines) + 1:
            return False
        offset = sum(map(len, lines[: line - 1])) + column - 1
        return any(start <= offset <= end for start, end in self.spans)

    @property
    def locations(self) -> str:
        """The spans as lines and columns, to read."""
        return " or ".join(f"{_location(self.text, start)}–{_location(self.text, end)}" for start, end in self.spans)


Mutants = Iterator[Mutant]


def mutant(
    good: Good, edits: list[Edit], *marks: Span, codes: str, certain: bool = False, wanted: list[Edit] | None = None
) -> Mutant:
    """The spec after the edits. ``marks`` are the places of the mistake by the offsets of the good text.

    A mark that surrounds a changed text surrounds what it has become. ``codes`` are separated by spaces. ``wanted`` are
    the edits of the good text that a mend should come to, if not to the good text itself.
    """
    edits = sorted(edits)
    spans = tuple((_moved(start, edits, False), _moved(end, edits, True)) for start, end in marks)
    return Mutant(
        good, _edited(good.text, edits), spans, frozenset(codes.split()), certain, _edited(good.text, wanted or [])
    )


def _edited(text: str, edits: list[Edit]) -> str:
    parts, done = [], 0
    for start, end, new in edits:
        parts += [text[done:start], new]
        done = end
    return "".join([*parts, text[done:]])


def _moved(offset: int, edits: list[Edit], is_end: bool) -> int:
    """Where an offset of the good text is in the broken one. Text put in right there is inside the mark."""
    return offset + sum(
        len(new) - (end - start) for start, end, new in edits if end <= offset and (is_end or start < offset)
    )


def _location(text: str, offset: int) -> str:
    before = text[:offset]
    return f"{before.count(chr(10)) + 1}:{offset - before.rfind(chr(10))}"
