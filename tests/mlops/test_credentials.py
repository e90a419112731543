"""What a program's connectors keep, deliver, print and raise has no credentials of the program's settings."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2i.mlops import MLflowConfig, MLflowConnector, OpikConfig, OpikConnector
from live.echoing import Echo, forms
from live.test_echoed_credentials import leaks
from tools.opik.conftest import loopback_only, server  # noqa: F401 - fixtures
from tools.opik.stand_in import StandIn

KEY = "key/9fK2xLq7+Vt4Zw8RmB3nY=c5Jd6&H"
PASSWORD = "s3cr3tDatabaseWord77"
PATIENT = 60.0


@pytest.fixture
def echo() -> Iterator[Echo]:
    made = Echo()
    yield made
    made.close()


def configured(workspace: Path) -> None:
    folder = workspace / "config"
    folder.mkdir()
    (folder / "default.yaml").write_text(
        f"tools: {{database: {{connections: {{main: {{url: 'postgresql://bob:{PASSWORD}@127.0.0.1:9/shop'}}}}}}}}\n"
    )


@pytest.mark.parametrize("is_own", [True, False])
def test_an_exception_that_names_credentials_is_kept_and_delivered_without_them(
    is_own: bool,
    workspace: Path,
    server: StandIn,  # noqa: F811 - a fixture
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    configured(workspace)
    if not is_own:
        monkeypatch.setenv("OPIK_API_KEY", KEY)
    config = OpikConfig(url=server.url, deadline=PATIENT, **({"api_key": KEY} if is_own else {}))
    opik = OpikConnector(config)
    with pytest.raises(RuntimeError), opik.trace_agent("agent", "work") as span:
        span.input = {"dsn": f"postgresql://bob:{PASSWORD}@127.0.0.1:9/shop"}
        span.set_attribute("headers", {"authorization": KEY})
        raise RuntimeError(f"cannot connect with {PASSWORD} or {KEY}")
    assert opik.program.outgoing.flush("opik", opik.config, opik.guard, PATIENT)
    assert server.requests["POST /api/v1/private/traces/batch"] >= 1
    for secret in (KEY, PASSWORD):
        (workspace / "config/default.yaml").unlink(missing_ok=True)
        assert leaks(workspace, secret) == []


def test_settings_are_printed_without_credentials(workspace: Path) -> None:
    mlflow = MLflowConfig(tracking_uri=f"http://bob:{PASSWORD}@127.0.0.1:9/path")
    for shown in (repr(mlflow), str(mlflow), f"{mlflow}", repr([mlflow])):
        assert PASSWORD not in shown and "http://127.0.0.1:9/path" in shown
    assert mlflow.tracking_uri is not None and PASSWORD in mlflow.tracking_uri
    with pytest.raises(ValueError) as caught:
        OpikConfig(url=f"http://bob:{PASSWORD}@127.0.0.1:9/api")
    assert PASSWORD not in "".join(traceback.format_exception(caught.value))


@pytest.mark.slow
@pytest.mark.parametrize("status", [400, 401, 409, 500])
def test_what_an_evaluation_raises_has_no_credentials(status: int, workspace: Path, echo: Echo) -> None:
    echo.status = status
    opik = OpikConnector(OpikConfig(url=f"{echo.url}/api", api_key=KEY, deadline=PATIENT))
    cases = [{"input": "a", "expected_output": "b", "output": "b"}]
    with pytest.raises(Exception) as caught:
        asyncio.run(opik.evaluate_agent("agent", cases, ["equals"]))
    said = "".join(traceback.format_exception(caught.value)) + repr(vars(caught.value)) + repr(caught.value.args)
    assert any(KEY in heard for heard in echo.heard)
    assert not [form for form in forms(KEY) if form in said], said


@pytest.mark.parametrize("status", [400, 401, 409, 500])
def test_what_a_call_of_mlflow_raises_has_no_credentials(
    status: int, workspace: Path, echo: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    echo.status = status
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", KEY)
    mlflow = MLflowConnector(MLflowConfig(tracking_uri=echo.url, deadline=PATIENT))
    with pytest.raises(Exception) as caught:
        asyncio.run(mlflow.download("models:/some_model/1", workspace / "model"))
    said = "".join(traceback.format_exception(caught.value)) + repr(vars(caught.value)) + repr(caught.value.args)
    assert any(KEY in heard for heard in echo.heard)
    assert not [form for form in forms(KEY) if form in said], said
