"""Write one result of a run to a file, whole or not at all. In: a run, an output, a path. Out: the file, its facts."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from msgspec import UNSET, Meta, UnsetType

from e2i.catalog.artifacts import ARTIFACTS, Stored, Table
from e2i.documents import JsonDocument, ParamValues
from e2i.errors import BadInput, StepError
from e2i.records import lookup, results
from e2i.store.artifacts import ArtifactStore
from e2i.store.past import RunError, RunStatus

MOST_SHOWN = 10
"""Rows of a table that ``e2i show --output`` prints."""


class ExportDocument(JsonDocument, frozen=True, kw_only=True):
    """Output of `e2i export --json`."""

    run: Annotated[str, Meta(description="The run's id.")]
    output: Annotated[str, Meta(description="The name of the result, as the user typed it.")]
    path: Annotated[str, Meta(description="The file that was written, as the user typed it.")]
    bytes: Annotated[int, Meta(ge=0, description="Its size.")]


class ResultDocument(JsonDocument, frozen=True, kw_only=True):
    """Output of `e2i show RUN --output NAME --json`."""

    run: Annotated[str, Meta(description="The run's id.")]
    status: RunStatus
    params: Annotated[ParamValues, Meta(description="The value of every parameter of the run.")]
    errors: Annotated[tuple[RunError, ...], Meta(description="Errors of the run's steps.")]
    output: Annotated[str, Meta(description="The name of the result, as the user typed it.")]
    value: Annotated[Any, Meta(description="The value, or the document of an artifact.")]
    head: Annotated[
        tuple[tuple[str | None, ...], ...] | UnsetType,
        Meta(description="The first rows of a table, as texts; a missing value is null."),
    ] = UNSET


def export(store: Path, run: str, output: str, path: Path, *, replace: bool, escape: bool) -> ExportDocument:
    """Writes the result to the path and returns what was written. Raises BadInput."""
    found = lookup.run(store, run)
    value = results.find(found.run, output)
    if os.path.lexists(path) and not replace:
        raise BadInput(f"{path} exists", code="file-exists", hint="choose another path, or replace it with --replace")
    try:
        folder = Path(tempfile.mkdtemp(prefix=".e2i-", dir=path.absolute().parent))
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        made = folder / "made"
        _make(value, ArtifactStore(store), path, made, escape=escape)
        with made.open("rb") as file:
            os.fsync(file.fileno())
        size = made.stat().st_size
        made.replace(path)
    except OSError as error:
        raise _unwritable(path, error) from error
    except StepError as error:
        raise BadInput(error.message, code=error.code, hint=error.hint) from error
    finally:
        with contextlib.suppress(OSError):
            (folder / "made").unlink(missing_ok=True)
            folder.rmdir()
    return ExportDocument(run=found.run.id, output=output, path=str(path), bytes=size)


def head(store: Path, run: str, output: str) -> ResultDocument:
    """Returns a result for display: of a table its columns, its number of rows and the first ones. Raises BadInput."""
    found = lookup.run(store, run)
    value = results.find(found.run, output)
    past = found.run
    shown = partial(
        ResultDocument, run=past.id, status=past.status, params=past.params, errors=past.errors, output=output
    )
    artifact = _artifact(value)
    if not isinstance(artifact, Table):
        return shown(value=value)
    rows = _rows(ArtifactStore(store), artifact).slice(0, MOST_SHOWN)
    cells = zip(*rows.columns, strict=True)
    return shown(value=value, head=tuple(tuple(str(cell) if cell.is_valid else None for cell in row) for row in cells))


def _make(value: Any, store: ArtifactStore, path: Path, made: Path, *, escape: bool) -> None:
    from e2i.tools.data import formats, writing

    artifact = _artifact(value)
    if isinstance(artifact, Table):
        kind = formats.written(path.name)
        if kind is None:
            raise BadInput(
                f"the format of {path} cannot be derived from its suffix",
                code="unknown-format",
                hint="use .csv, .tsv, .json, .jsonl, .parquet, .feather or .arrow",
            )
        writing.table(_rows(store, artifact), made, kind, "zstd", escape=escape)
    elif isinstance(artifact, Stored):
        writing.artifact(store.path(artifact.digest), made)
    elif formats.written(path.name) not in (None, "json"):
        raise BadInput(
            f"{path} has the suffix of a table, and the result is a value",
            code="unknown-format",
            hint="use the suffix .json",
        )
    else:
        made.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", "utf-8")


def _artifact(value: Any) -> Any:
    """Returns the artifact that a result is, or None."""
    if isinstance(value, dict) and value.get("type") in ARTIFACTS and "digest" in value:
        return ARTIFACTS[value["type"]].model_validate(value)
    return None


def _rows(store: ArtifactStore, table: Table) -> Any:
    from e2i.workers import tables

    return tables.read(store.path(table.digest))


def _unwritable(path: Path, error: OSError) -> BadInput:
    return BadInput(f"cannot write {path}: {error.strerror or error}", code="not-writable", hint="choose another path")
