"""Add rows to a view of a version. In: its rows, new rows. Out: the next version's definition, published values."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd
import pyarrow as pa

from e2i.errors import StepError
from e2i.tools.feast import FeatureType, casting, sdk
from e2i.tools.feast.definitions import Definition, View
from e2i.tools.feast.offline import exact_frame, micros
from e2i.tools.feast.point_in_time import newest_of_each_key

ROWS_PER_WRITE = 10_000
"""Rows in one write to the online store."""


def pushable(view: View) -> View:
    """Return the view. Raises StepError when it takes no rows."""
    if not view.push:
        raise StepError(
            f"feature view {view.name} takes no rows", code="bad-feature", hint="set push: true for it in feast.apply"
        )
    return view


def typed(view: View, given: pa.Table) -> pa.Table:
    """Return the columns of the view in its types. Raises StepError for values without an exact form there.

    Times without a zone are UTC. Keys and times must be there.
    """
    types: dict[str, FeatureType] = {
        **{entity.join_key: "int64" if entity.type == "int64" else "string" for entity in view.entities},
        view.timestamp: "timestamp",
        **({view.created: "timestamp"} if view.created else {}),
        **view.features,
    }
    times = tuple(name for name in (view.timestamp, view.created) if name)
    return casting.exact(exact_frame(given), types, (*view.join_keys, *times))


def added(definition: Definition, view: View, before: pa.Table, rows: pa.Table) -> tuple[Definition, pa.Table]:
    """Return the definition with the new rows in a view, and all rows of the view; the same one when none is new."""
    held = before.select(rows.column_names).cast(rows.schema)
    known = pd.MultiIndex.from_frame(exact_frame(held))
    fresh = ~pd.MultiIndex.from_frame(exact_frame(rows)).isin(known)
    if not fresh.any():
        return definition, held
    new = rows.filter(pa.array(fresh))
    source = hashlib.sha256(f"{view.source}\0{_digest(new)}".encode()).hexdigest()
    changed = view.model_copy(update={"source": source})
    views = tuple(changed if one.name == view.name else one for one in definition.views)
    return definition.model_copy(update={"views": views}), pa.concat_tables([held, new])


def publish(store: sdk.FeatureStore, view: View, table: pa.Table, pushed: pa.Table) -> None:
    """Write each pushed key's newest row online: of all its rows, so that older ones replace nothing."""
    keys = list(view.join_keys)
    wanted = pd.MultiIndex.from_frame(exact_frame(pushed.select(keys)))
    mask = pd.MultiIndex.from_frame(exact_frame(table.select(keys))).isin(wanted)
    rows = table.filter(pa.array(np.asarray(mask)))
    created = micros(rows[view.created]) if view.created else None
    newest = rows.take(
        newest_of_each_key(exact_frame(rows.select(keys)), micros(rows[view.timestamp]), keys=keys, created=created)
    )
    registered = store.get_feature_view(view.name)
    for first in range(0, newest.num_rows, ROWS_PER_WRITE):
        sdk.restore_times()
        store._get_provider().ingest_df(registered, exact_frame(newest.slice(first, ROWS_PER_WRITE)))


def _digest(table: pa.Table) -> str:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks())
    return hashlib.sha256(sink.getvalue()).hexdigest()
