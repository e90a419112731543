"""Telemetry of the tools: each one is asked itself, in a worker's environment, whether it phones anybody."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from e2i.workers.environment import for_worker
from project import LONGEST

ASKED = {
    "mlflow": "from mlflow.telemetry.utils import is_telemetry_disabled as quiet",
    "bentoml": "from bentoml._internal.utils.analytics.usage_stats import do_not_track as quiet",
    "opik": (
        "from opik.config import OpikConfig; config = OpikConfig(); "
        "quiet = lambda: not config.sentry_enable and not config.analytics_enable"
    ),
}
"""Checks that each tool sends no telemetry; MLflow and BentoML want the word true, ``1`` does not stop them."""


@pytest.mark.parametrize("tool", ASKED)
def test_the_tool_itself_says_that_its_telemetry_is_off(tool: str, tmp_path: Path) -> None:
    environ = for_worker({"HOME": str(tmp_path)}, threads=1, store=tmp_path / "store")
    subprocess.run([sys.executable, "-c", f"{ASKED[tool]}; assert quiet()"], env=environ, check=True, timeout=LONGEST)


def test_what_a_user_has_set_does_not_turn_telemetry_on(tmp_path: Path) -> None:
    wanted = {"MLFLOW_DISABLE_TELEMETRY": "false", "BENTOML_DO_NOT_TRACK": "0", "OPIK_SENTRY_ENABLE": "true"}
    environ = for_worker({**wanted, "PATH": "/bin"}, threads=1, store=tmp_path)
    assert {name: environ[name] for name in wanted} == {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "BENTOML_DO_NOT_TRACK": "true",
        "OPIK_SENTRY_ENABLE": "false",
    }
