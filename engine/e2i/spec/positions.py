"""Finds the locations of all nodes in YAML text.

In: text that was already composed. Out: a tree of ``Spot``. This is a separate pass, run when the first problem needs a
location. A spec without problems, the common case, does not pay for positions.
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
    """The location of a value and of its key: lines and columns from 1, offsets into the text.

    It stores only numbers, no marks or events. Keeping those alive makes the garbage collector four fifths of the pass.
    """

    __slots__ = ("children", "column", "end", "key_column", "key_end", "key_line", "key_start", "line", "start")

    def __init__(self, event: Any, key: Any) -> None:
        mark = event.start_mark
        self.line: int = mark.line + 1
        self.column: int = mark.column + 1
        self.start: int = mark.index
        self.end: int = event.end_mark.index
        # A value in a list, and the top value, is its own key.
        mark = key.start_mark if key is not None else mark
        self.key_line: int = mark.line + 1
        self.key_column: int = mark.column + 1
        self.key_start: int = mark.index
        self.key_end: int = key.end_mark.index if key is not None else mark.index
        self.children: dict[str | int, Spot] | None = None

    def find(self, path: Path) -> tuple[Spot, int]:
        """Returns the spot at ``path`` or of its nearest ancestor, and how many elements of the path led there."""
        spot = self
        for depth, step in enumerate(path):
            child = spot.children.get(step) if spot.children else None
            if child is None:
                return spot, depth
            spot = child
        return spot, len(path)


def locate(text: str) -> Spot | None:
    """Returns the spot of the top value, with the spots inside it. None for an empty text.

    An alias has the spots of its anchor, so that a wrong value is reported where it was written. Of equal keys, the
    first counts. After a syntax error there are no spots.
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
        pass  # The composer has reported it. Values before the error still have their locations.
    return locator.root


class _Locator:
    """The state of the pass: the open collections and the current key."""

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
            # In a mapping without a key, this is a key that is not text. The composer stops there, so any name will do.
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
