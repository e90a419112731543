"""Fixtures of the properties: a project whose runs are carried out in this process."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from project import Project
from properties.inline import Inline
from properties.pipelines import PART

MEMORY = Path("/dev/shm")
"""Hundreds of runs, each made durable many times, would mostly wait for a disk."""


@pytest.fixture
def project(monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    monkeypatch.setattr("e2i.execution.pool.Pool", Inline)
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        project = Project(Path(folder))
        project.write("part.yaml", json.dumps(PART))
        yield project
