"""YAML text → where its keys and values stand.

By PyYAML's own parser in Python, not by the engine's positions: those are on trial here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Site:
    """The offsets between which a value and its key are written. An item of a list has no key."""

    path: Path
    start: int
    end: int
    key: tuple[int, int] | None
    kind: str
    """``scalar``, ``list`` or ``mapping``."""
    flow: bool
    """In braces or brackets itself, or inside others."""
    style: str
    """Of a scalar: ``"`` or ``'`` for its quotes, ``|`` or ``>`` for a block, nothing for plain text."""


def sites(text: str) -> dict[Path, Site]:
    """The site of every value, the top one (``()``) included."""
    found: dict[Path, Site] = {}
    _visit(yaml.compose(text, Loader=yaml.SafeLoader), (), None, False, text, found)
    return found


def _visit(node: Any, path: Path, key: Any, around: bool, text: str, found: dict[Path, Site]) -> int:
    """Notes a node and all below it; returns where it ends, without blank lines and comments behind it."""
    start, end = node.start_mark.index, node.end_mark.index
    flow = around or getattr(node, "flow_style", False) is True
    site = Site(
        path, start, end, _span(key) if key else None, _KINDS[type(node)], flow, getattr(node, "style", "") or ""
    )
    found[path] = site  # keeps the order of the text; replaced when the end is known
    ends = [start]
    if isinstance(node, yaml.MappingNode):
        ends += [_visit(value, (*path, name.value), name, flow, text, found) for name, value in node.value]
    elif isinstance(node, yaml.SequenceNode):
        ends += [_visit(value, (*path, index), None, flow, text, found) for index, value in enumerate(node.value)]
    elif site.style in ("|", ">"):
        ends.append(start + len(text[start:end].rstrip()))
    last = max(ends) if len(ends) > 1 and not (flow and site.kind != "scalar") else end
    found[path] = Site(path, start, last, site.key, site.kind, flow, site.style)
    return last


def _span(node: Any) -> tuple[int, int]:
    return node.start_mark.index, node.end_mark.index


_KINDS = {yaml.ScalarNode: "scalar", yaml.SequenceNode: "list", yaml.MappingNode: "mapping"}
