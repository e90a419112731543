"""Run ``data.load``, ``data.split`` and ``data.select``. In: parameters and the step's context. Out: tables."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from e2i.errors import StepError
from e2i.tools.data import (
    PARTS,
    LoadOutputs,
    LoadParams,
    PartFacts,
    SelectOutputs,
    SelectParams,
    SplitOutputs,
    SplitParams,
    files,
    filters,
    splits,
)

if TYPE_CHECKING:
    import pandas as pd

    from e2i.catalog.context import StepContext


def load(params: LoadParams, ctx: StepContext) -> LoadOutputs:
    """Read a workspace file. Raises StepError when it is absent, empty, unreadable or lacks a column."""
    path = ctx.held_file(params.path)
    frame = files.read(
        path,
        params.path,
        kind=params.format,
        columns=params.columns,
        rows=params.rows,
        types=params.types,
        times=params.parse_dates,
    )
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return LoadOutputs(table=ctx.table(frame), source_digest=f"sha256:{digest}")


def split(params: SplitParams, ctx: StepContext) -> SplitOutputs:
    """Split a table in three. Raises StepError when an output would be empty or `by` has missing values."""
    import numpy as np

    frame = ctx.frame(params.table)
    shares = (params.fractions.train, params.fractions.validation, params.fractions.test)
    seed = ctx.seed if params.seed is None else params.seed
    if params.strategy == "random":
        part = splits.by_chance(len(frame), shares, seed)
    else:
        assert params.by is not None
        filters.require_columns(frame, [params.by])
        column, grouped = frame[params.by], params.strategy == "entity"
        part = splits.by_entity(column, shares, seed) if grouped else splits.by_time(column, shares)
    for index, name in enumerate(PARTS):
        if not np.any(part == index):
            raise StepError(
                f"the table {name} would be empty: {len(frame)} rows, split by {params.by or 'chance'}",
                code="empty-part",
                hint=f"set a larger fraction for {name}, more rows, or another seed",
            )
    frames = {name: frame[part == index] for index, name in enumerate(PARTS)}
    if params.by is not None:
        splits.prove(frames, params.by, params.strategy)
    return SplitOutputs(
        train=ctx.table(frames["train"]),
        validation=ctx.table(frames["validation"]),
        test=ctx.table(frames["test"]),
        parts={name: _facts(rows, params) for name, rows in frames.items()},
    )


def select(params: SelectParams, ctx: StepContext) -> SelectOutputs:
    """Select rows and columns. Raises StepError for an unknown column or when no row is left."""
    frame = ctx.frame(params.table)
    filters.require_columns(frame, [*(params.columns or ()), *params.exclude])
    kept = frame[filters.mask(frame, params.where)] if params.where else frame
    if params.columns is not None:
        kept = kept[list(params.columns)]
    kept = kept.drop(columns=list(params.exclude))
    if params.rows is not None and params.rows < len(kept):
        if params.sample:
            kept = kept.sample(params.rows, random_state=ctx.seed if params.seed is None else params.seed).sort_index()
        else:
            kept = kept.head(params.rows)
    if kept.empty:
        raise StepError("no row or column is left", code="empty-table", hint="relax `where`, `columns` or `exclude`")
    return SelectOutputs(table=ctx.table(kept), dropped=len(frame) - len(kept))


def _facts(frame: pd.DataFrame, params: SplitParams) -> PartFacts:
    if params.by is None:
        return PartFacts(rows=len(frame), groups=None, first=None, last=None)
    column, timed = frame[params.by], params.strategy == "time"
    return PartFacts(
        rows=len(frame),
        groups=int(column.nunique()),
        first=str(column.min()) if timed else None,
        last=str(column.max()) if timed else None,
    )
