"""Turn problems into what an editor underlines, and safe fixes into changes of a text.

In: problems, and the texts that they are in. Out: ``Diagnosis``es and ``Change``s. Lines and columns count from 0.
"""

from __future__ import annotations

import re

from msgspec import Struct

from e2i.check import codes, fixing
from e2i.spec.problems import Problem


class Diagnosis(Struct, frozen=True):
    """A problem with the part of a line that it is about."""

    problem: Problem
    line: int
    start: int
    end: int

    @property
    def message(self) -> str:
        """What is wrong and what to do about it."""
        return f"{self.problem.message}\n{self.problem.hint}" if self.problem.hint else self.problem.message


class Change(Struct, frozen=True):
    """A replacement of the characters from ``start`` to ``end`` of a text."""

    start: int
    end: int
    text: str


def of(problem: Problem, text: str) -> Diagnosis:
    """Returns a problem of a text with its extent: the word, or the quoted text, at its location."""
    lines = text.splitlines()
    number = min(problem.location.line - 1, max(len(lines) - 1, 0))
    line = lines[number] if lines else ""
    start = min(problem.location.column - 1, len(line))
    found = _EXTENT.match(line, start)
    return Diagnosis(problem, number, start, found.end() if found else len(line))


def explanation(code: str) -> str | None:
    """Returns what a code means and what to do, as Markdown; None for a code that is not explained."""
    found = codes.CODES.get(code)
    if found is None:
        return None
    return f"**{found.code}**: {found.title}\n\n{found.why}\n\n{found.fix}\n\n`e2i explain {found.code}`"


def fix(text: str, file: str, problem: Problem) -> Change | None:
    """Returns the change of a text that is the safe fix of one of its problems."""
    fixed = fixing.fix_alone(text, file, problem) if problem.fixable else None
    return None if fixed is None else change(text, fixed)


def change(before: str, after: str) -> Change:
    """Returns the smallest single change from one text to another."""
    start, most = 0, min(len(before), len(after))
    while start < most and before[start] == after[start]:
        start += 1
    end = 0
    while end < most - start and before[-1 - end] == after[-1 - end]:
        end += 1
    return Change(start, len(before) - end, after[start : len(after) - end])


_EXTENT = re.compile(r"""\$\{\{.*?\}\}|"(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^\s,\[\]{}#:]+(?::[^\s,\[\]{}#:]+)*|\S""")
