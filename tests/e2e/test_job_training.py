"""``specs/job_training.yaml``: the published effect is found again, and the missing overlap is warned of."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from e2i.execution.events import StepWarned
from project import Project

TEXT = (Path(__file__).parents[2] / "specs" / "job_training.yaml").read_text("utf-8")


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
