"""Scan a text for the names that it defines: sections, parameters, steps with their actions, outputs.

In: a text, which need not be valid. Out: ``Outline``. Takes a hundredth of the time of a check.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec import Struct, field


class Entry(Struct, frozen=True):
    """A key of a section. ``line`` and ``column`` count from 0; ``end`` is the line after its last one."""

    line: int
    column: int
    end: int
    uses: str = ""


class Outline(Struct, frozen=True):
    """The names in a text by section, such as ``steps``, in the order of the text."""

    sections: Mapping[str, Mapping[str, Entry]] = field(default_factory=dict)
    lines: Mapping[str, int] = field(default_factory=dict)
    """The line of each key of the top level."""

    def step(self, name: str) -> Entry | None:
        """Returns a step, also one of ``finally``."""
        return self.steps.get(name)

    @property
    def steps(self) -> Mapping[str, Entry]:
        """All steps, those of ``finally`` last."""
        return {**self.sections.get("steps", {}), **self.sections.get("finally", {})}

    def names(self, section: str) -> Mapping[str, Entry]:
        return self.sections.get(section, {})


def scan(text: str) -> Outline:
    """Returns the outline of a text. Of equal names, the last counts."""
    sections: dict[str, dict[str, Entry]] = {}
    tops: dict[str, int] = {}
    inner: int | None = None
    current: dict[str, Entry] = {}
    open_at: tuple[str, int, int, str] | None = None
    lines = text.splitlines()
    for number, line in enumerate(lines):
        found = _KEY.match(line)
        if found is None:
            continue
        indent = len(found["indent"])
        if indent == 0:
            _close(current, open_at, number)
            open_at = None
            current, inner = sections.setdefault(found["key"], {}), None
            tops[found["key"]] = number
            for one in _FLOW.finditer(found["rest"] or ""):  # a whole section on one line
                current[one["key"]] = Entry(number, found.start("rest") + one.start(), number + 1, one["uses"])
        elif inner is None or indent == inner:
            _close(current, open_at, number)
            inner = indent
            uses = _USES.search(found["rest"] or "")
            open_at = (found["key"], number, indent, uses["uses"] if uses else "")
        elif found["key"] == "uses" and open_at is not None:
            open_at = (*open_at[:3], (found["rest"] or "").strip(" \"'"))
    _close(current, open_at, len(lines))
    return Outline(sections, tops)


def _close(current: dict[str, Entry], open_at: tuple[str, int, int, str] | None, end: int) -> None:
    if open_at is not None:
        name, line, column, uses = open_at
        current[name] = Entry(line, column, end, uses)


_KEY = re.compile(r"""(?P<indent> *)["']?(?P<key>[A-Za-z_][\w-]*)["']?\s*:(?:\s(?P<rest>[^#\n]*)|$)""")
_FLOW = re.compile(r"""(?<!\w)(?P<key>[A-Za-z_]\w*):\s*\{[^{}]*?\buses:\s*["']?(?P<uses>[^\s,}"']+)""")
_USES = re.compile(r"""[{,]\s*uses:\s*["']?(?P<uses>[^\s,}"']+)""")
