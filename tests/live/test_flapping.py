"""Connections to real servers that are reset now and then: reads and keyed writes succeed, the circuit stays closed."""

from __future__ import annotations

from pathlib import Path

import pytest

from live.test_silent import Bench, flowing

CASES = (
    "mlflow server",
    "mlflow postgresql",
    "mlflow artifacts in s3",
    "optuna postgresql",
    "feast registry in postgresql",
    "feast online store in redis",
    "feast online store in postgresql",
    "remote.get of s3",
    "bentoml",
)
"""Those whose calls are tried again. Telemetry is delivered again by its dispatcher; a database reads in one session."""

LONG = 60.0
"""Seconds of each call's own deadline: some clients have pauses of their own."""


@pytest.mark.parametrize("case", CASES)
def test_a_reset_connection_is_no_failure(case: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    with flowing(Bench(request.getfixturevalue, tmp_path, LONG), case) as (tap, call):
        for further in (0, 1, 2):
            tap.cut(further)
            call()
