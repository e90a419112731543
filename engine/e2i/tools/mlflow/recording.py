"""Record what a step logs. In: metrics, parameters and artifacts. Out: telemetry of the step, delivered by the outbox.

Equal entries of another attempt are the same entries, so everything is in MLflow once, however often it is tried.
"""

from __future__ import annotations

import json
import math
import mimetypes
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from e2i.catalog.artifacts import File, Report, Stored, Table
from e2i.catalog.context import ChildRun, StepContext
from e2i.tools.mlflow.asked import LogOutputs, LogParams, stem
from e2i.tools.mlflow.runs import key_of

SHOWN_ROWS = 10_000
"""Rows of a table that is kept in the form that MLflow shows."""


def record(params: LogParams, ctx: StepContext) -> LogOutputs:
    """Record everything that the parameters name."""
    metrics = {name: value for name, value in params.metrics.items() if value is not None}
    if params.nested is not None:
        at = ctx.info.started_ms
        ctx.child(ChildRun(params.nested, "finished", at, at, params.parameters, metrics))
        return LogOutputs(metrics={key_of(name): value for name, value in metrics.items()}, artifacts=())
    for name, value in metrics.items():
        ctx.metric(name, value, params.step)
    for name, setting in params.parameters.items():
        ctx.param(name, setting)
    kept = dict(_table(ctx, path, table) for path, table in params.tables.items())
    kept |= {_named(path, given): given for path, given in {**params.files, **params.figures}.items()}
    for path, artifact in sorted(kept.items()):
        ctx.attach(path, artifact)
    names = {key_of(ctx.info.step, name): value for name, value in metrics.items()}
    return LogOutputs(metrics=names, artifacts=tuple(sorted(kept)))


def _table(ctx: StepContext, path: str, table: Table) -> tuple[str, Stored]:
    """Return the path and the content: MLflow's JSON form of a small table, a larger one as it is."""
    bare = stem(path)
    if table.rows > SHOWN_ROWS or path.endswith(".arrow"):
        return f"{bare}.arrow", table
    rows = ctx.arrow(table)
    columns = [[_plain(value) for value in column.to_pylist()] for column in rows.columns]
    document = {"columns": list(rows.column_names), "data": list(zip(*columns, strict=True))}
    file = ctx.scratch / "table.json"
    file.write_text(json.dumps(document, ensure_ascii=False, allow_nan=False), "utf-8")
    return f"{bare}.json", ctx.keep(file, File, name=f"{Path(bare).name}.json", bytes=file.stat().st_size)


def _plain(value: Any) -> Any:
    """Return a value of a table for JSON: times in ISO 8601, bytes in hexadecimal, decimals and others as text."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case datetime() | date() | time():
            return value.isoformat()
        case bytes():
            return value.hex()
        case list():
            return [_plain(item) for item in value]
        case dict():
            return {str(key): _plain(item) for key, item in value.items()}
        case _:
            return str(value)


def _named(path: str, given: File | Report) -> str:
    """Return the path with the suffix of the file's format, unless it has one or the artifact is a folder."""
    if Path(path).suffix or (isinstance(given, Report) and given.entry):
        return path
    if isinstance(given, File):
        return path + Path(given.name).suffix
    return path + (mimetypes.guess_extension(given.media_type) or "")
