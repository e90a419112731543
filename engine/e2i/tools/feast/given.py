"""Take what a program gives: frames, tables, single values and times, in the forms that their libraries have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

import pandas as pd
import pyarrow as pa

from e2i.errors import BadInput
from e2i.tools.feast import FeatureType, casting
from e2i.tools.feast.offline import exact_frame


def frame_of(value: object) -> pd.DataFrame:
    """Return rows as a frame. Raises BadInput for what has none."""
    if isinstance(value, pd.DataFrame):
        return value
    if hasattr(value, "__arrow_c_stream__"):
        return exact_frame(pa.table(value))
    why = ""
    try:
        if isinstance(value, Mapping):
            return pd.DataFrame(value)
        if isinstance(value, Sequence) and not isinstance(value, str):
            return pd.DataFrame.from_records(list(value))
    except (ValueError, TypeError) as error:
        why = f": {error}"
    raise BadInput(
        f"{type(value).__name__} has no rows{why}",
        code="bad-frame",
        hint='give a pandas frame, an Arrow table, or columns such as {"hcp_id": ["a", "b"]}',
    )


def table_of(value: object, types: Mapping[str, FeatureType]) -> pa.Table:
    """Return the features of a reference, as far as it has them, in their types where they fit."""
    frame = frame_of(value)
    present = {name: kind for name, kind in types.items() if name in frame.columns}
    return casting.exact(frame, present, ())


def scalar_of(value: Any) -> Any:
    """Return a value of Python: NumPy's scalars are none, and NaN is no value."""
    plain = value.item() if hasattr(value, "item") and not isinstance(value, str) else value
    return None if plain is pd.NA or plain is pd.NaT or plain != plain else plain


def moment_of(value: object) -> datetime:
    """Return a time; without a zone it is UTC. Raises BadInput."""
    try:
        found = pd.Timestamp(value) if isinstance(value, str | date | datetime) else None
    except ValueError:
        found = None
    if found is None or pd.isna(found):
        raise BadInput(f"{value!r:.80} is no time", code="bad-time", hint="write a datetime, or 2024-01-01T12:00:00Z")
    moment: datetime = (found.tz_localize("UTC") if found.tzinfo is None else found).to_pydatetime()
    return moment
