from __future__ import annotations

from pathlib import Path

from e2i.workers.environment import QUIET, for_worker


def test_little_is_inherited_and_every_tool_stays_at_home() -> None:
    engine = {
        "PATH": "/bin",
        "HOME": "/home/u",
        "AWS_SECRET_ACCESS_KEY": "s",
        "OMP_NUM_THREADS": "64",
        "DO_NOT_TRACK": "0",
    }
    found = for_worker(engine, threads=2, store=Path("/store"))
    assert found["PATH"] == "/bin"
    assert "AWS_SECRET_ACCESS_KEY" not in found
    assert found["OMP_NUM_THREADS"] == "2"
    assert QUIET.items() <= found.items()
    assert {name for name, value in found.items() if value.startswith("/store/")} >= {
        "BENTOML_HOME",
        "OPIK_CONFIG_PATH",
    }


def test_the_switches_have_the_words_that_the_tools_read() -> None:
    assert QUIET["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert QUIET["BENTOML_DO_NOT_TRACK"] == "true"
    assert QUIET["OPIK_SENTRY_ENABLE"] == QUIET["OPIK_ANALYTICS_ENABLE"] == "false"
    assert QUIET["OMP_WAIT_POLICY"] == "passive"
