"""Describe one proposal of a completion, without LSP."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Kind = Literal[
    "key", "parameter", "action", "value", "step", "output", "column", "variable", "filter", "file", "snippet"
]


class Item(Struct, frozen=True):
    """A proposal: ``insert`` takes the place of the word at the cursor."""

    label: str
    kind: Kind
    insert: str
    detail: str = ""
    documentation: str = ""
    is_first: bool = False
    """True when it is listed before the others: it is required, or of the type that is wanted."""
