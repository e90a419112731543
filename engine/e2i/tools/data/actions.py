"""Run the actions of ``data``. In: parameters and the step's context. Out: tables, and files of the workspace."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from e2i.catalog.artifacts import File, Folds, Report
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
    folders,
    formats,
    many,
    splits,
    writing,
)
from e2i.tools.data.folding import FoldsOutputs, FoldsParams
from e2i.tools.data.looking import Counts, DiffOutputs, DiffParams, ProfileOutputs, ProfileParams

if TYPE_CHECKING:
    import pandas as pd

    from e2i.catalog.context import StepContext


def load(params: LoadParams, ctx: StepContext) -> LoadOutputs:
    """Read a workspace file. Raises StepError when it is absent, empty, unreadable or lacks a column."""
    held = ctx.held_files(params.path) if params.path else {params.shown: _named(params.stored, ctx)}
    digests = {}
    for name, path in held.items():
        with path.open("rb") as file:
            digests[name] = hashlib.file_digest(file, "sha256").hexdigest()
    digest = digests.get(params.shown) or hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()
    loaded = files.read(next(iter(held.values())), params) if params.shown in held else many.read(held, params)
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


def folds(params: FoldsParams, ctx: StepContext) -> FoldsOutputs:
    """Divide the rows in folds. Raises StepError when a split would be empty, or a key has missing values."""
    import numpy as np
    import pandas as pd

    from e2i.estimators import folding

    named = {"by": params.by, "time": params.time, "target": params.target}
    used = [name for name in named.values() if name is not None]
    filters.require_columns(params.table.names, used)
    frame = ctx.frame(params.table, used) if used else None
    codes: dict[str, Any] = {}
    for key, name in named.items():
        if name is not None and frame is not None:
            if key == "target":
                folding.require_classes(frame[name], params.folds)
            splits.require_present(frame[name], {"by": "group", "time": "time", "target": "class"}[key])
            codes[key] = folding.times(frame[name]) if key == "time" else np.asarray(pd.factorize(frame[name])[0])
    keys = folding.Keys(params.table.rows, codes.get("by"), codes.get("target"), codes.get("time"))
    division = folding.Division(params.strategy, params.folds, params.gap, params.repeats)
    made = folding.splits(keys, division, ctx.seed if params.seed is None else params.seed)
    path = ctx.scratch / "folds.arrow"
    folding.write(made, path)
    about = {"table": params.table.digest, "rows": params.table.rows, "splits": len(made), "strategy": params.strategy}
    kept = ctx.keep(path, Folds, **about, by=params.by, time=params.time, gap=params.gap)
    return FoldsOutputs(folds=kept, sizes=tuple(int((roles == folding.TEST).sum()) for roles in made))


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
    if params.table is not None and params.partition_by is not None:
        table = ctx.arrow(params.table)
        filters.require_columns(table.column_names, params.partition_by)
        digest, size = folders.write(table, params.path, params.partition_by, params.mode, params.compression, ctx)
        return WriteOutputs(file=FileFacts(path=params.path, digest=digest, bytes=size))
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


def profile(params: ProfileParams, ctx: StepContext) -> ProfileOutputs:
    """Describe the columns of a table, and write one HTML page with the plots."""
    from e2i.tools.data import profile as profiles
    from e2i.tools.data import profile_page

    names = params.columns
    if names is not None and params.target is not None and params.target not in names:
        names = (*names, params.target)
    filters.require_columns(params.table.names, [*(names or ()), *([params.target] if params.target else [])])
    table = ctx.arrow(params.table, names)
    found = profiles.of(table, params.target, params.rows, ctx.seed if params.seed is None else params.seed)
    notes = tuple(profiles.notes(found))
    page = ctx.scratch / "profile.html"
    page.write_text(profile_page.render(found, notes, plots=params.plots), encoding="utf-8")
    report = ctx.keep(page, Report, media_type="text/html", title="Profile")
    suspects = tuple(name for name, facts in found.facts.items() if facts.suspect)
    missing = sum(facts.nulls for facts in found.facts.values()) / max(found.rows * len(found.facts), 1)
    for name, value in (("rows", found.rows), ("missing", missing), ("leak_suspects", len(suspects))):
        ctx.metric(name, value)
    ctx.attach("profile", report)
    return ProfileOutputs(
        columns=dict(found.facts),
        rows=found.rows,
        looked_at=found.looked_at,
        keys=tuple(name for name, facts in found.facts.items() if facts.key),
        suspects=suspects,
        notes=notes,
        report=report,
    )


def diff(params: DiffParams, ctx: StepContext) -> DiffOutputs:
    """Compare two tables by a key. Raises StepError for a key that is absent, null or not unique."""
    from e2i.tools.data import compare, diff_page

    compare.require(params.before.names, params.after.names, params.keys, params.exclude)
    found = compare.of(ctx.arrow(params.before), ctx.arrow(params.after), params.keys, params.exclude, params.tolerance)
    changed = found.changed.num_rows
    counts = Counts(
        before=params.before.rows,
        after=params.after.rows,
        added=found.added.num_rows,
        removed=found.removed.num_rows,
        changed=changed,
        same=found.matched - changed,
    )
    page = ctx.scratch / "diff.html"
    page.write_text(diff_page.render(found, counts, params.keys, plots=params.plots), encoding="utf-8")
    report = ctx.keep(page, Report, media_type="text/html", title="Difference")
    for name in ("added", "removed", "changed"):
        ctx.metric(name, getattr(counts, name))
    ctx.attach("difference", report)
    return DiffOutputs(
        added=ctx.table(found.added),
        removed=ctx.table(found.removed),
        changed=ctx.table(found.changed),
        equal=found.is_none,
        counts=counts,
        changes=dict(found.changes),
        types=dict(found.types),
        added_columns=found.added_columns,
        removed_columns=found.removed_columns,
        report=report,
    )


def _named(file: File | None, ctx: StepContext) -> Path:
    """Return a stored file under its own name, by whose suffix it is unpacked."""
    assert file is not None  # the parameters have one
    if file.name in ("", ".", "..") or {"/", "\\", "\0"} & set(file.name):
        raise StepError(f"{file.name!r} is not a name of a file", code="bad-path", hint="use a name without folders")
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
