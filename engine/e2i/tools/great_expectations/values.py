"""Convert values from a frame to JSON of limited size. In: values. Out: JSON values, short enough for a report."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date
from typing import Any

LONGEST = 80
"""Maximum length of a text, in characters."""
MOST = 100
"""Maximum number of items of a list or a mapping."""


def plain(value: Any) -> Any:
    """Return the value with limited size. Raises nothing: values that JSON does not have become text."""
    import numpy as np
    import pandas as pd

    if value is pd.NA:
        return None
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
