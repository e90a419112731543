"""What each operation of a recipe can be applied to, and how much it may make. In: nothing. Out: names and limits."""

from __future__ import annotations

from typing import Literal

Kind = Literal["number", "text", "time"]
MOST_CELLS = 250_000_000
"""Maximum number of values that one operation makes: 2 GB of numbers."""
MOST_COLUMNS = 20_000
"""Columns that a recipe may make."""
MOST_WEIGHTS = 200_000
"""Numbers of an SVD, which are written in the model's manifest."""
WHOLE = ("drop_constant", "select")
"""Operations that are of all columns unless they name some."""
_NUMBER: tuple[Kind, ...] = ("number",)
_VALUE: tuple[Kind, ...] = ("text", "number")
KINDS: dict[str, tuple[Kind, ...]] = {
    "impute": ("number", "text"),
    "scale": _NUMBER,
    "clip": _NUMBER,
    "bin": _NUMBER,
    "spline": _NUMBER,
    "one_hot": _VALUE,
    "ordinal": _VALUE,
    "target_encode": _VALUE,
    "count_encode": _VALUE,
    "hash": ("text",),
    "tfidf": ("text",),
    "dates": ("time",),
    "log": _NUMBER,
    "interact": _NUMBER,
    "drop_constant": ("number", "text", "time"),
    "select": _NUMBER,
}
"""Operation → the kinds of columns that it can be applied to."""
