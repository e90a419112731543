"""Find the files of MLflow runs that were deleted in MLflow, without those of registered versions."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from e2i.catalog.retention import Kept, Leftover

RUNS = (
    "SELECT run_uuid, artifact_uri FROM runs WHERE lifecycle_stage = 'deleted' AND deleted_time < ? ORDER BY run_uuid"
)
MODELS = "SELECT model_id, artifact_location FROM logged_models WHERE source_run_id = ? ORDER BY model_id"
VERSIONS = "SELECT run_id, source, storage_location FROM model_versions WHERE current_stage != 'Deleted_Internal'"


def leftovers(home: Path, kept: Kept) -> list[Leftover]:
    """Return the artifact folders of deleted runs. A run or a model that a registered version refers to stays."""
    file = home / "mlflow.db"
    if not file.is_file():
        return []
    with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True, timeout=1)) as database:
        return list(_found(database, home, kept))


def _found(database: sqlite3.Connection, home: Path, kept: Kept) -> Iterator[Leftover]:
    versions = database.execute(VERSIONS).fetchall()
    runs = {run for run, _, _ in versions}
    sources = [str(text).rstrip("/") for row in versions for text in row[1:] if text]
    for run, uri in database.execute(RUNS, (kept.before_ms,)).fetchall():
        if run in runs:
            continue
        places = [uri]
        for model, location in database.execute(MODELS, (run,)):
            if not any(source.endswith(f"/{model}") or f"/{model}/" in source for source in sources):
                places.append(location)
        paths = tuple(path for path in (_inside(home, str(place), sources) for place in places) if path is not None)
        if paths:
            yield Leftover(str(run), paths)


def _inside(home: Path, location: str, sources: list[str]) -> Path | None:
    """Return the folder of a location in this store; None for one elsewhere, or one that holds a registered model."""
    location = location.removeprefix("file://")
    known = home / "artifacts.path"
    path = Path(location)
    if known.is_file() and path.is_relative_to(before := known.read_text("utf-8")):
        path = home / "artifacts" / path.relative_to(before)
    held = any(Path(source.removeprefix("file://")).is_relative_to(location) for source in sources)
    inside = ".." not in path.parts and path.is_relative_to(home / "artifacts") and path != home / "artifacts"
    return path if inside and not held and path.is_dir() else None
