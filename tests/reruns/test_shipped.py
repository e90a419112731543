"""No step of a shipped spec is called nondeterministic."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from e2i import api
from e2i.reruns import verifying

SPECS = Path(__file__).parents[2] / "specs"
SMALL: dict[str, dict[str, Any]] = {
    "call_costs": {"rows": 4000},
    "call_order": {"rows": 4000},
    "flight_delays": {"rows": 6000, "trials": 2, "least_auc": 0.3},
    "flights_five_tables": {"rows": 16000},
    "hcp_call_effect": {"rows": 3000},
    "hcp_conversion": {"rows": 4000, "trials": 3, "explain_rows": 200, "requests": 60, "least_auc": 0.5},
    "job_training": {},
    "model_comparison": {"rows": 4000},
    "model_judging": {"rows": 4000, "gap": 0.5},
    "prescription_volume": {"rows": 4000, "trials": 3},
    "smoking_cessation": {},
    "volume_forecast": {"rows": 4000},
    "volume_intervals": {"rows": 4000},
}
"""For each shipped spec, parameters with which it takes little time."""
SAMPLE = ("volume_intervals", "smoking_cessation")


def test_every_shipped_spec_is_verified() -> None:
    assert set(SMALL) == {path.stem for path in SPECS.glob("*.yaml") if ".test." not in path.name}


def _expect_deterministic(name: str, store: Path) -> None:
    spec = SPECS / f"{name}.yaml"
    workspace = api.Workspace.open(spec=spec, store=store)
    record = api.run(spec, SMALL[name], workspace=workspace)
    assert record.status == "succeeded"
    found = verifying.verify("last", workspace)
    blamed = {step.step: step.detail for step in found.steps if step.result in ("differs", "failed")}
    assert blamed == {}
    assert found.verified > 0 and not [step for step in found.steps if step.result in ("changed", "lost")]


@pytest.mark.slow
@pytest.mark.parametrize("name", SAMPLE)
def test_a_sample_is_deterministic(name: str, tmp_path: Path) -> None:
    _expect_deterministic(name, tmp_path / "store")


@pytest.mark.sweep
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", sorted(SMALL.keys() - set(SAMPLE)))
def test_all_are_deterministic(name: str, tmp_path: Path) -> None:
    _expect_deterministic(name, tmp_path / "store")
