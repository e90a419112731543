"""Create an empty MLflow database in milliseconds; MLflow's own migrations take seconds. In: a path. Out: the database.

``schema.sql`` is the result of MLflow's migrations. ``python -m e2i.tools.mlflow.schema`` prints it again for the
installed MLflow, and a test compares the two. For any other version of MLflow the file is not used.
"""

from __future__ import annotations

import sqlite3
import sys
import tempfile
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

SCHEMA = Path(__file__).with_name("schema.sql")
HEADER = "-- mlflow "


def create(database: Path, artifacts: Path) -> bool:
    """Create an empty database at ``database``, which must not exist yet. Returns False for another version of MLflow.

    Experiment 0 stores its files below ``artifacts``. The journal mode is a write-ahead log, so that the dispatcher and
    a step can write concurrently. SQLite stores this setting in the file.
    """
    text = SCHEMA.read_text("utf-8")
    if text.splitlines()[0] != HEADER + version("mlflow"):
        return False
    staged = database.with_suffix(".new")
    staged.unlink(missing_ok=True)
    with closing(sqlite3.connect(staged)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(text)
        with connection:
            connection.execute(
                "INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage, creation_time,"
                " last_update_time, workspace) VALUES (0, 'Default', ?, 'active', 0, 0, 'default')",
                [str(artifacts / "0")],
            )
    staged.rename(database)
    return True


def relocate(database: Path, old: Path, new: Path) -> None:
    """Replace file locations below ``old`` by locations below ``new``, after the store was moved."""
    columns_by_table = {
        "experiments": ("artifact_location",),
        "runs": ("artifact_uri",),
        "logged_models": ("artifact_location",),
        "model_versions": ("source", "storage_location"),
    }
    start = f"{old}/"
    with closing(sqlite3.connect(database, timeout=3)) as connection, connection:
        for table, columns in columns_by_table.items():
            for column in columns:
                connection.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?",
                    [f"{new}/", len(start) + 1, len(start), start],
                )


def check(database: Path) -> None:
    """Read from the database. Raises sqlite3.DatabaseError when it is corrupt, or locked for longer than a moment."""
    with closing(sqlite3.connect(database, timeout=3)) as connection:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()


def dump() -> str:
    """Return the schema of the installed MLflow, with the rows that its migrations insert, as one script."""
    from mlflow import MlflowClient

    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "mlflow.db"
        MlflowClient(f"sqlite:///{database}").search_experiments(max_results=1)
        with closing(sqlite3.connect(database)) as connection:
            with connection:
                connection.execute("DELETE FROM experiments")
            lines = list(connection.iterdump())
    return "\n".join([HEADER + version("mlflow"), *lines, ""])


if __name__ == "__main__":
    sys.stdout.write(dump())
