"""BentoML's own command, and plain HTTP, asked about what the runs packaged and served."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest
import yaml

from e2e import native_model
from e2e.conftest import FLIGHTS
from e2e.sandbox import UNREPORTED, Run, Sandbox

ENDS_WITHIN = 60.0


@pytest.fixture(scope="module")
def kept(flights: Run) -> Iterator[Run]:
    """The flights' model, served by a spec that says ``keep: true``; everything before the service is reused."""
    spec = flights.sandbox.workspace / "specs" / "flight_delays.yaml"
    document = yaml.safe_load(spec.read_text("utf-8"))
    document["name"] = "kept"
    for name in ("smoke", "explain", "register", "promote", "publish", "lookup"):
        del document["steps"][name]
    document["steps"]["serve"]["with"]["keep"] = True
    document["outputs"] = {"service": "${{ steps.serve.service }}"}
    spec.with_name("kept.yaml").write_text(yaml.safe_dump(document, sort_keys=False), "utf-8")
    try:
        run = flights.sandbox.run("specs/kept.yaml", *FLIGHTS[1:], *UNREPORTED)
    finally:
        spec.with_name("kept.yaml").unlink()
    yield run
    with contextlib.suppress(ProcessLookupError):  # the last test of this module has ended it
        os.kill(run.end["outputs"]["service"]["pid"], signal.SIGTERM)


def plain(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as JSON has them."""
    rows: list[dict[str, Any]] = json.loads(frame.to_json(orient="records", double_precision=15))
    return rows


def gone_within(sandbox: Sandbox, seconds: float) -> dict[int, str]:
    """What still lives in the sandbox after at most so many seconds."""
    until = time.monotonic() + seconds
    while (living := sandbox.processes()) and time.monotonic() < until:
        time.sleep(0.05)
    return living


def test_the_bento_is_in_bentomls_own_store(route: Run) -> None:
    listed = route.sandbox.command(
        "bentoml", "list", "-o", "json", BENTOML_HOME=str(route.store / "bentoml"), BENTOML_DO_NOT_TRACK="true"
    )
    tags = [bento["tag"] for bento in json.loads(listed.stdout)]
    assert route.end["outputs"]["bento"]["tag"] in tags, listed.stderr


def test_the_route_s_own_smoke_test_compared_every_row(route: Run) -> None:
    assert route.end["outputs"]["served_equals_local"] <= 1e-6
    test, folder = route.frame("split", "test").head(20), route.path(route.outputs("train")["model"])
    answered = route.frame("smoke", "predictions")["prediction"]
    assert np.abs(answered - native_model.predict(folder, test)).max() <= 1e-6


def test_a_kept_service_survives_the_run_and_answers_what_xgboost_answers(kept: Run, flights: Run) -> None:
    service = kept.end["outputs"]["service"]
    assert service["kept"]
    assert {name: step["status"] for name, step in kept.end["steps"].items() if step["status"] != "reused"} == {
        "serve": "succeeded"
    }
    folder, test = flights.path(flights.outputs("train")["model"]), flights.frame("split", "test").head(200)
    features = [feature["name"] for feature in native_model.read_manifest(folder)["features"]]
    answer = httpx.post(f"{service['url']}/predict", json={"input": plain(test[features])}, timeout=ENDS_WITHIN)
    served = np.asarray(answer.raise_for_status().json()["probabilities"])[:, 1]
    assert np.abs(served - native_model.predict(folder, test)).max() <= 1e-6


def test_killing_its_pid_ends_a_kept_service_with_all_its_processes(kept: Run) -> None:
    service = kept.end["outputs"]["service"]
    living = kept.sandbox.processes()
    assert service["pid"] in living
    assert len(living) > 1, "a server below its guardian"
    os.kill(service["pid"], signal.SIGTERM)
    assert gone_within(kept.sandbox, ENDS_WITHIN) == {}
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{service['url']}/readyz", timeout=5)
