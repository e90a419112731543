"""Values from a frame go in; the same as JSON can hold them, and no longer than a report should show, come out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date
from typing import Any

LONGEST = 80
"""Characters of a text."""
MOST = 100
"""Items of a list or a mapping."""


def plain(value: Any) -> Any:
    """The value, of bounded size. Raises nothing: what JSON has no word for becomes text."""
    import numpy as np

    match value:
        case None | str():
            return value if value is None or len(value) <= LONGEST else value[: LONGEST - 1] + "…"
        case bool() | np.bool_():
            return bool(value)
        case int() | np.integer():
            return int(value)
        case float() | np.floating():
            return float(value) if math.isfinite(value) else str(value)
        case Mapping():
            return {str(key)[:LONGEST]: plain(item) for key, item in list(value.items())[:MOST]}
        case list() | tuple():
            return [plain(item) for item in value[:MOST]]
        case date():
            return value.isoformat()
        case _:
            return plain(str(value))
