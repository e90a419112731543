"""The circuits of a tool, as its settings describe them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from e2i.catalog.action import CircuitBreaker, ToolSettings
from e2i.catalog.registry import BUILT_IN
from e2i.errors import BadInput
from e2i.resilience import circuits
from e2i.resilience.breaker import CircuitOpen, Outcome, State
from e2i.resilience.circuits import breaker_of, circuit_files
from e2i.settings import Settings
from e2i.workers.context import guard_of

GIVEN = {"failure_threshold": 2, "recovery_timeout": 7.5, "half_open_requests": 1}


@pytest.mark.parametrize("tool", [tool.name for tool in BUILT_IN.tools()])
def test_every_tool_has_the_settings_of_its_circuit_breaker(tool: str, tmp_path: Path) -> None:
    policy = guard_of(tool, Settings(), tmp_path).breaker.policy
    assert (policy.failures, policy.recovery, policy.probes) == (5, 30, 3)
    policy = guard_of(tool, Settings(tools={tool: {"circuit_breaker": GIVEN}}), tmp_path).breaker.policy
    assert (policy.failures, policy.recovery, policy.probes) == (2, 7.5, 1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"failure_threshold": 0}, {"failure_threshold": 1.5}, {"recovery_timeout": 0}, {"recovery_timeout": "soon"},
        {"half_open_requests": 51}, {"half_open_request": 3}, 3,
    ],
    ids=str,
)  # fmt: skip
def test_a_senseless_setting_is_refused_by_its_name(wrong: Any) -> None:
    with pytest.raises(BadInput, match=r"settings of mlflow \(profile default\): circuit_breaker"):
        Settings(tools={"mlflow": {"circuit_breaker": wrong}}).tool("mlflow")


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        CircuitBreaker().failure_threshold = 1  # type: ignore[misc]


def test_the_thresholds_of_the_settings_hold(tmp_path: Path) -> None:
    guard = guard_of("opik", Settings(tools={"opik": {"circuit_breaker": GIVEN}}), tmp_path)
    for _ in range(2):
        guard.breaker.settle(guard.breaker.acquire().grant, Outcome.FAILED)
    with pytest.raises(CircuitOpen) as caught:
        guard.call(list)
    assert 7 < caught.value.retry_in <= 7.5


def test_each_connection_of_a_tool_has_a_circuit_of_its_own_with_the_tools_settings(tmp_path: Path) -> None:
    urls = {name: {"url": f"postgresql://u:p@127.0.0.1/{name}"} for name in ("sales", "stock")}
    settings = Settings(tools={"database": {"connections": urls, "circuit_breaker": GIVEN}}).tool("database")
    sales, stock = (breaker_of(tmp_path, "database", settings, name) for name in ("sales", "stock"))
    for _ in range(2):
        sales.settle(sales.acquire().grant, Outcome.FAILED)
    assert (sales.circuit.state, stock.circuit.state) == (State.OPEN, State.CLOSED)
    assert {*circuit_files(tmp_path, "database", settings)} == {"sales", "stock"}


def test_a_tool_with_one_server_has_one_circuit_under_no_name(tmp_path: Path) -> None:
    assert circuit_files(tmp_path, "shap", ToolSettings()) == {"": tmp_path / "breakers" / "shap.json"}


def opened(store: Path, tool: str, settings: ToolSettings, server: str = "") -> None:
    breaker = breaker_of(store, tool, settings, server)
    for _ in range(breaker.policy.failures):
        breaker.settle(breaker.acquire().grant, Outcome.FAILED)


def test_a_tool_may_be_called_when_the_last_of_its_circuits_allows_it(tmp_path: Path) -> None:
    settings = Settings(tools={"opik": {"circuit_breaker": GIVEN}}).tool("opik")
    assert circuits.wait(tmp_path, "opik", settings) == 0
    opened(tmp_path, "opik", settings)
    assert 7 < circuits.wait(tmp_path, "opik", settings) <= 7.5


def test_a_service_that_answered_has_its_circuit_closed_and_no_other(tmp_path: Path) -> None:
    urls = {name: {"url": f"postgresql://u:p@127.0.0.1/{name}"} for name in ("sales", "stock")}
    settings = Settings(tools={"database": {"connections": urls}}).tool("database")
    for name in urls:
        opened(tmp_path, "database", settings, name)
    assert circuits.close(tmp_path, "database", settings, ["stock"]) == ["stock"]
    assert circuits.close(tmp_path, "database", settings, ["stock"]) == []
    states = {name: breaker_of(tmp_path, "database", settings, name).state for name in urls}
    assert states == {"sales": State.OPEN, "stock": State.CLOSED}


def test_the_hint_of_an_open_circuit_says_when_it_allows_calls_and_what_closes_it() -> None:
    assert CircuitOpen("mlflow", 12.3).hint == (
        "when mlflow is back, wait 13 s, or call `e2i doctor --ready` with the profile of this run: it closes the circuit "
        "if the service answers"
    )
