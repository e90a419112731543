"""The operations of RFC 6902 that fixes consist of. Each states one change of a spec, by JSON pointers into it."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

from e2i.documents import Element, Pointer


class Add(Element, frozen=True, kw_only=True, tag_field="op", tag="add"):
    """Add an entry to a mapping, or an item to the end of a list."""

    path: Annotated[Pointer, Meta(description="Where the entry belongs; `-` is the end of a list.")]
    value: Annotated[Any, Meta(description="The new value.")]


class Remove(Element, frozen=True, kw_only=True, tag_field="op", tag="remove"):
    """Remove an entry."""

    path: Pointer


class Replace(Element, frozen=True, kw_only=True, tag_field="op", tag="replace"):
    """Replace a value."""

    path: Pointer
    value: Annotated[Any, Meta(description="The new value.")]


class Move(Element, frozen=True, kw_only=True, tag_field="op", tag="move", rename={"source": "from"}):
    """Move an entry, or rename its key."""

    source: Annotated[Pointer, Meta(description="The entry to move.")]
    path: Annotated[Pointer, Meta(description="Where it belongs.")]


Operation = Add | Remove | Replace | Move
"""One operation. Operations of a problem are applied in order."""
