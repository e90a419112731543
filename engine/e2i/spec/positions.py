"""YAML text → where each of its nodes stands.

In: text that was already composed. Out: a tree of ``Spot``. A pass of its own, made when the first problem needs a
place: a spec without problems, the common case, pays nothing for positions.
"""

from __future__ import annotations

from typing import Any

import yaml
from yaml.events import (
    AliasEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

Path = tuple[str | int, ...]

PARSER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The parser behind ``yaml.parse``: libyaml where PyYAML was built with it, many times faster, with the same events."""


_NODES = frozenset((ScalarEvent, AliasEvent, MappingStartEvent, SequenceStartEvent))


class Spot:
    """Where a value and its key stand: lines and columns from 1, offsets into the text.

    It holds numbers only, no marks or events: keeping those alive makes the garbage collector four fifths of the pass.
    """

    __slots__ = ("children", "column", "end", "key_column", "key_end", "key_line", "key_start", "line", "start")

    def __init__(self, event: Any, key: Any) -> None:
        mark = event.start_mark
        self.line: int = mark.line + 1
        self.column: int = mark.column + 1
        self.start: int = mark.index
        self.end: int = event.end_mark.index
        # A value in a list, and the top value, stands for its own key.
        mark = key.start_mark if key is not None else mark
        self.key_line: int = mark.line + 1
        self.key_column: int = mark.column + 1
        self.key_start: int = mark.index
        self.key_end: int = key.end_mark.index if key is not None else mark.index
        self.children: dict[str | int, Spot] | None = None

    def find(self, path: Path) -> tuple[Spot, int]:
        """The spot at ``path`` or of its nearest ancestor, and how many steps of the path led there."""
        spot = self
        for depth, step in enumerate(path):
            child = spot.children.get(step) if spot.children else None
            if child is None:
                return spot, depth
            spot = child
        return spot, len(path)


def locate(text: str) -> Spot | None:
    """The spot of the top value, with those below it; None for an empty text.

    Below an alias are the spots of what it stands for, so a wrong value is shown where it was written. Of equal keys
    the first counts. After a syntax error there is nothing more.
    """
    locator = _Locator()
    try:
        for event in yaml.parse(text, Loader=PARSER):
            kind = event.__class__
            if kind in _NODES:
                locator.node(event, kind)
            elif kind is MappingEndEvent or kind is SequenceEndEvent:
                locator.close(event)
    except yaml.YAMLError:
        pass  # The composer has reported it; what stands before it still has its place.
    return locator.root


class _Locator:
    """The state of the pass: the open collections and the key whose value comes next."""

    def __init__(self) -> None:
        self.root: Spot | None = None
        self.around: list[tuple[Spot, bool]] = []
        self.anchors: dict[str, Spot] = {}
        self.key: Any = None

    def node(self, event: Any, kind: type) -> None:
        parent, is_mapping = self.around[-1] if self.around else (None, False)
        if is_mapping and self.key is None and kind is ScalarEvent:
            self.key = event
            return
        spot = Spot(event, self.key)
        if parent is None:
            self.root = self.root or spot
        elif parent.children is not None:
            # Without a key in a mapping this is a key that is no text, where the composer stops: any name will do.
            step = self.key.value if self.key is not None else len(parent.children)
            parent.children.setdefault(step, spot)
        self.key = None
        if kind is AliasEvent:
            if event.anchor in self.anchors:
                spot.children = self.anchors[event.anchor].children
            return
        if event.anchor is not None:
            self.anchors[event.anchor] = spot
        if kind is not ScalarEvent:
            spot.children = {}
            self.around.append((spot, kind is MappingStartEvent))

    def close(self, event: Any) -> None:
        self.around.pop()[0].end = event.end_mark.index
