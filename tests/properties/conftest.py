"""Fixtures of the properties: a project whose runs are executed in this process."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2i.catalog.registry import Registry
from e2i.workers import inline
from e2i.workers.executor import Ended, StepCall
from project import Project
from properties.inline import Inline
from properties.pipelines import PART

MEMORY = Path("/dev/shm")
"""Hundreds of runs, each made durable many times, would mostly wait for a disk."""


@pytest.fixture
def project(monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    monkeypatch.setattr("e2i.workers.pool.Pool", Inline)
    monkeypatch.setattr("e2i.execution.session.OnDemand", lambda size, open_executor: open_executor())

    def execute(call: StepCall, registry: Registry) -> Ended:
        Inline.executed.append(call.info.step)
        return executed_here(call, registry)

    executed_here = inline.execute
    monkeypatch.setattr("e2i.workers.inline.execute", execute)
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        project = Project(Path(folder))
        project.write("part.yaml", json.dumps(PART))
        yield project
