"""Run the actions of ``data``. In: parameters and the step's context. Out: tables, and files of the workspace."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from e2i.catalog.artifacts import File
from e2i.errors import StepError
from e2i.tools.data import (
    PARTS,
    FileFacts,
    LoadOutputs,
    LoadParams,
    PartFacts,
    SelectOutputs,
    SelectParams,
    SplitOutputs,
    SplitParams,
    WriteOutputs,
    WriteParams,
    files,
    filters,
    formats,
    splits,
    writing,
)

if TYPE_CHECKING:
    import pandas as pd

    from e2i.catalog.context import StepContext


def load(params: LoadParams, ctx: StepContext) -> LoadOutputs:
    """Read a workspace file. Raises StepError when it is absent, empty, unreadable or lacks a column."""
    path = ctx.held_file(params.path) if params.path else _named(params.stored, ctx)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    loaded = files.read(path, params)
    for note in loaded.notes:
        print(f"{params.shown}: {note}")  # in the step's log
    return LoadOutputs(table=ctx.table(loaded.hand_over()), source_digest=f"sha256:{digest}", notes=loaded.notes)


def split(params: SplitParams, ctx: StepContext) -> SplitOutputs:
    """Split a table in three. Raises StepError when an output would be empty or `by` has missing values."""
    import numpy as np
    import pyarrow as pa

    table = ctx.arrow(params.table)
    shares = (params.fractions.train, params.fractions.validation, params.fractions.test)
    seed = ctx.seed if params.seed is None else params.seed
    column: pd.Series[Any] | None = None
    if params.by is None:
        part = splits.by_chance(table.num_rows, shares, seed)
    else:
        filters.require_columns(table.column_names, [params.by])
        column = ctx.frame(params.table, [params.by])[params.by]
        part = splits.by_entity(column, shares, seed) if params.strategy == "entity" else splits.by_time(column, shares)
    chosen = {name: np.flatnonzero(part == index) for index, name in enumerate(PARTS)}
    for name, positions in chosen.items():
        if not len(positions):
            raise StepError(
                f"the table {name} would be empty: {table.num_rows} rows, split by {params.by or 'chance'}",
                code="empty-part",
                hint=f"set a larger fraction for {name}, more rows, or another seed",
            )
    keys = {} if column is None else {name: column.iloc[positions] for name, positions in chosen.items()}
    if keys:
        splits.prove(keys, params.strategy)
    parts = {name: ctx.table(table.take(pa.array(positions))) for name, positions in chosen.items()}
    return SplitOutputs(
        **parts, parts={name: _facts(parts[name].rows, keys.get(name), params.strategy) for name in PARTS}
    )


def select(params: SelectParams, ctx: StepContext) -> SelectOutputs:
    """Select rows and columns. Raises StepError for an unknown column or when no row is left."""
    import pyarrow as pa

    table = ctx.arrow(params.table)
    filters.require_columns(table.column_names, [*(params.columns or ()), *params.exclude])
    total = table.num_rows
    if params.where:
        table = table.filter(filters.mask(table, params.where))
    table = table.select([name for name in params.columns or table.column_names if name not in params.exclude])
    if params.rows is not None and params.rows < table.num_rows:
        if params.sample:
            seed = ctx.seed if params.seed is None else params.seed
            table = table.take(pa.array(splits.sample(table.num_rows, params.rows, seed)))
        else:
            table = table.slice(0, params.rows)
    if not table.num_rows or not table.num_columns:
        raise StepError("no row or column is left", code="empty-table", hint="relax `where`, `columns` or `exclude`")
    kept = table.num_rows
    return SelectOutputs(table=ctx.table(table), dropped=total - kept)


def write(params: WriteParams, ctx: StepContext) -> WriteOutputs:
    """Write a file, unless it exists with the same content. Raises StepError when it has another and may not change."""
    made = ctx.scratch / "written"
    escaped = 0
    if params.table is not None:
        table = ctx.arrow(params.table)
        kind = params.format or formats.written(params.path)
        assert kind is not None  # the parameters have one
        escaped = writing.table(table, made, kind, params.compression, escape=params.escape_formulas)
    elif (stored := params.model or params.report) is not None:
        writing.artifact(ctx.open(stored), made)
    else:
        made.write_text(json.dumps(params.value, indent=2, ensure_ascii=False) + "\n", "utf-8")
    with made.open("rb") as file:
        digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    size, before = made.stat().st_size, ctx.placed(params.path)
    if before not in (None, digest) and params.mode == "fail":
        raise StepError(
            f"the file {params.path} exists, with other content",
            code="file-exists",
            hint="set `mode: replace`, or write to another path",
        )
    if before != digest:
        ctx.place(made, params.path)
    if escaped:
        print(f"{params.path}: {escaped} texts that look like formulas were escaped")
    return WriteOutputs(file=FileFacts(path=params.path, digest=digest, bytes=size), escaped=escaped)


def _named(file: File | None, ctx: StepContext) -> Path:
    """Return a stored file under its own name, by whose suffix it is unpacked."""
    assert file is not None  # the parameters have one
    folder = ctx.scratch / "taken"
    folder.mkdir()
    path = folder / file.name
    path.symlink_to(ctx.open(file).absolute())
    return path


def _facts(rows: int, keys: pd.Series[Any] | None, strategy: str) -> PartFacts:
    if keys is None:
        return PartFacts(rows=rows, groups=None, first=None, last=None)
    timed = strategy == "time"
    return PartFacts(
        rows=rows,
        groups=int(keys.nunique()),
        first=str(keys.min()) if timed else None,
        last=str(keys.max()) if timed else None,
    )
