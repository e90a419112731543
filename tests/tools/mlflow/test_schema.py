"""The schema that is shipped against the one that MLflow makes."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from e2i.tools.mlflow import schema

pytest.importorskip("mlflow")


def test_the_shipped_schema_is_what_the_installed_mlflow_makes() -> None:
    shipped, made = schema.SCHEMA.read_text("utf-8"), schema.dump()
    assert canonical(shipped) == canonical(made), "run: python -m e2i.tools.mlflow.schema > schema.sql"


def canonical(script: str) -> list[list[str]]:
    """Statements, each as its sorted lines: MLflow's migrations make constraints and indices in any order."""
    return sorted(sorted(line.strip(" \t,") for line in part.splitlines()) for part in script.split(";\n"))


def test_another_version_of_mlflow_makes_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "version", lambda _: "99.0")
    assert schema.create(tmp_path / "mlflow.db", tmp_path) is False
    assert not list(tmp_path.iterdir())


def test_a_new_database_writes_ahead(tmp_path: Path) -> None:
    assert schema.create(tmp_path / "mlflow.db", tmp_path / "artifacts")
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("SELECT artifact_location FROM experiments").fetchall() == [
            (str(tmp_path / "artifacts" / "0"),)
        ]
