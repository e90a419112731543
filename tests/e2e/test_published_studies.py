"""Specs of published studies: their effects are found again, and missing overlap is warned of."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from e2i.execution.events import StepWarned
from project import Project

SPECS = Path(__file__).parents[2] / "specs"
TEXT = (SPECS / "job_training.yaml").read_text("utf-8")
SMOKING = (SPECS / "smoking_cessation.yaml").read_text("utf-8")


@pytest.mark.slow
@pytest.mark.skipif(find_spec("causaldata") is None, reason="needs the package causaldata")
def test_the_published_effect_is_found_and_the_missing_overlap_is_warned_of(project: Project) -> None:
    found = project.run(TEXT, {}).outputs
    assert round(found["experiment"]["value"]) == 1794  # Dehejia and Wahba 1999, table 3
    assert round(found["without_adjustment"]["value"]) == -8498
    assert found["outside_the_overlap"] > 0.9
    warned = [event.message for event in project.happened(StepWarned, "adjusted")]
    assert "of the rows are outside the overlap of 0.05 to 0.95" in warned[0]
    for name in ("adjusted", "comparable"):
        assert found[name]["low"] < 1794 < found[name]["high"] and found[name]["value"] > 500


@pytest.mark.slow
@pytest.mark.skipif(find_spec("causaldata") is None, reason="needs the package causaldata")
def test_quitting_smoking_raised_weight(project: Project) -> None:
    """Hernán and Robins 2020, chapters 12 and 13: 3.4 (2.4 to 4.5) by weighting, 3.5 (2.6 to 4.5) by standardisation."""
    found = project.run(SMOKING, {}).outputs
    assert round(found["without_adjustment"]["value"], 2) == 2.54
    effect = found["effect"]
    assert [round(effect[name], 1) for name in ("value", "low", "high")] == [3.4, 2.4, 4.5]
    assert round(effect["value"], 2) == 3.44 and 3.3 < found["doubly_robust"]["value"] < 3.5
    assert found["robustness_value"] > 0.1
