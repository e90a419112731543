"""Check that published values are still in an online store that other projects write to, by checking some keys."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from e2i.errors import StepError
from e2i.tools.feast import sdk
from e2i.tools.feast.definitions import View
from e2i.tools.feast.offline import micros, read_source, within
from e2i.tools.feast.point_in_time import newest_of_each_key

if TYPE_CHECKING:
    from e2i.tools.feast.versions import Opened

KEYS = 50
"""Number of keys to check per view, evenly spread over its rows."""
MICROSECONDS = 1_000_000


def unpublished(opened: Opened, views: Sequence[str], start: datetime | None, until: datetime) -> str | None:
    """Return what is missing of the published values; None when they, or newer ones, are there.

    Raises StepError when a view is not registered as this version defines it.
    """
    opened.check(views)
    for name in views:
        view = opened.definition.view(name)
        columns = [*view.join_keys, *view.features, view.timestamp, *([view.created] if view.created else [])]
        table = read_source(opened.store.config, source_of(opened, view), columns)
        table = within(table, view.timestamp, first_moment(view, start, until), until)
        if lost := not_online(opened.store, name, table, view.join_keys, tuple(view.features), times_of(view)):
            return lost
    return None


def refuse_unpublished(lost: str | None) -> None:
    """Raise StepError when a server ignored published values.

    Feast's Redis store keeps the existing value when another with the same timestamp arrives.
    """
    if lost is not None:
        raise StepError(
            f"not published: {lost}",
            code="not-published",
            hint="the store has other values with the same timestamp: use later timestamps for corrected "
            "rows, or empty the store",
        )


def times_of(view: View) -> tuple[str, str | None]:
    """Return the columns with the time of a row, and with the time at which it became known."""
    return view.timestamp, view.created


def not_online(
    store: sdk.FeatureStore,
    name: str,
    table: pa.Table,
    keys: Sequence[str],
    features: Sequence[str],
    times: tuple[str, str | None],
) -> str | None:
    """Return what is missing online of a sample of the newest rows of a view; None when nothing is.

    ``table`` has the keys, the features, and the columns that ``times`` names: the time, and when a row became known.
    """
    rows, moments = _sampled(table, keys, times)
    asked = [{key: row[key] for key in keys} for row in rows]
    if not asked:
        return None
    sdk.restore_times()
    found = store.get_online_features(
        features=[f"{name}:{feature}" for feature in features], entity_rows=asked
    ).to_dict(include_event_timestamps=True)
    for index, (row, time) in enumerate(zip(rows, moments, strict=True)):
        if lost := _lost(features, found, index, row, time // MICROSECONDS):
            return f"feature view {name} has {lost} online for the key {asked[index]!r:.100}"
    return None


def _sampled(
    table: pa.Table, keys: Sequence[str], columns: tuple[str, str | None]
) -> tuple[list[dict[str, Any]], list[int]]:
    """Return some of the newest rows of the keys, and their times in microseconds."""
    time, created = columns
    times = micros(table[time])
    newest = newest_of_each_key(
        table.select(list(keys)).to_pandas(), times, keys=keys, created=micros(table[created]) if created else None
    )
    chosen = newest[np.unique(np.linspace(0, len(newest) - 1, min(KEYS, len(newest))).astype(np.int64))]
    return table.take(chosen).to_pylist(), [int(time) for time in times[chosen]]


def _lost(
    features: Sequence[str], found: dict[str, list[Any]], index: int, row: dict[str, Any], second: int
) -> str | None:
    """Return a description of what is online instead of a row; None when the row is there."""
    for feature in features:
        held = int(found[f"{feature}__ts"][index] or 0)
        if held > second:
            return None
        if held < second:
            return "older values" if held else "nothing"
        if not _equal(found[feature][index], row[feature]):
            return "other values"
    return None


def _equal(online: Any, stored: Any) -> bool:
    """Return True when two values are equal up to the precision of a 32-bit float."""
    numbers = [value for value in (online, stored) if isinstance(value, (int, float))]
    if len(numbers) == 2:
        return math.isclose(*numbers, rel_tol=1e-6) or all(number != number for number in numbers)
    if isinstance(online, datetime) or isinstance(stored, datetime):
        return True
    absent = [value is None or value != value for value in (online, stored)]
    return all(absent) or (not any(absent) and online == stored)


def first_moment(view: View, start: datetime | None, until: datetime) -> datetime:
    """Return the start of the window: the time from which rows are still valid at ``until``."""
    return start or (until - timedelta(seconds=view.ttl) if view.ttl else datetime(1970, 1, 1, tzinfo=UTC))


def source_of(opened: Opened, view: View) -> Any:
    """Return Feast's source of the view's rows."""
    return opened.store.get_feature_view(view.name).batch_source
