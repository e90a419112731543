"""A workspace for programs: an empty folder, no variables, and the servers of the live tests."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2i.mlops import program
from e2i.settings import VARIABLES
from live.conftest import cache, cluster, mlflow_server, objects, postgres, redis, s3, tracker

__all__ = ["cache", "cluster", "mlflow_server", "objects", "postgres", "redis", "s3", "tracker"]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for variable in (*VARIABLES.values(), "MLFLOW_REGISTRY_URI", "ENVIRONMENT", "E2I_PROFILE", "E2I_STORE"):
        monkeypatch.setenv(variable, "")  # so that what a connector sets for the process's clients is undone
        monkeypatch.delenv(variable)
    (tmp_path / ".git").mkdir()  # the search for a project ends here
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """What a test opened is closed after it, and the process's own clients are as they were."""
    yield
    program.close()
    for name in list(program._published):
        os.environ.pop(name, None)
    program._published.clear()
    if (mlflow := sys.modules.get("mlflow")) is not None and hasattr(mlflow, "set_tracking_uri"):
        mlflow.set_tracking_uri(None)
        mlflow.set_registry_uri(None)
