from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from e2i.errors import StepError
from e2i.tools.opik import OpikSettings, local_writing, writing
from e2i.tools.opik.client import open_rest
from e2i.tools.opik.local_backend import LocalBackend
from e2i.tools.opik.spans import build
from tools.opik.conftest import telemetry


def records(home: Path) -> list[Any]:
    """Return the content of the embedded Opik in ``home``, without the times of writing."""
    with sqlite3.connect(home / "traces.db") as database:
        rows = database.execute("SELECT kind, id, project_id, document FROM records ORDER BY kind, id").fetchall()
        scores = database.execute("SELECT kind, id, name, document FROM scores ORDER BY kind, id, name").fetchall()
    made = ("created_at", "last_updated_at")

    def content(text: str) -> dict[str, Any]:
        return {name: value for name, value in json.loads(text).items() if name not in made}

    return [(*row[:3], content(row[3])) for row in (*rows, *scores)]


def test_documents_are_the_same_as_those_that_go_through_the_sdk(tmp_path: Path) -> None:
    traced = build(telemetry(), "e2i")
    documents = {
        "traces": [traced.trace],
        "spans": list(traced.spans.values()),
        "span_scores": list(traced.scores.values()),
    }
    writing.write(open_rest(OpikSettings(), tmp_path / "sdk"), **documents)
    local_writing.write(LocalBackend(tmp_path / "local" / "traces.db"), **documents)
    assert records(tmp_path / "local") == records(tmp_path / "sdk") != []


def test_what_the_backend_refuses_is_refused_for_good(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="must be a UUID") as caught:
        local_writing.write(LocalBackend(tmp_path / "traces.db"), traces=[{"id": "1", "start_time": "2026-01-01"}])
    assert caught.value.code == "refused-telemetry"
