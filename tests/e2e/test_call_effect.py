"""``specs/hcp_call_effect.yaml`` in a small form: it finds the effect that its generator has, and it stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from e2i import api
from project import Project

TEXT = (Path(__file__).parents[2] / "specs" / "hcp_call_effect.yaml").read_text("utf-8")


@pytest.mark.slow
def test_the_known_effect_is_found_and_stands(project: Project) -> None:
    found = project.run(TEXT, {"rows": 8000}).outputs
    assert found["effect"]["low"] < found["truth"] < found["effect"]["high"]
    assert found["without_adjustment"]["low"] > found["truth"]
    assert found["robustness_value"] > 0.2
    assert found["slope"]["low"] < 1 < found["slope"]["high"]
    assert found["better_than_random"]["low"] > 0 and found["value_of_calls"]["low"] > 0 and found["calls"] > 50


def test_what_is_known_only_afterwards_is_no_confounder(project: Project) -> None:
    wrong = TEXT.replace("confounders: [region", "confounders: [outcome, target, region")
    problems = api.validate(wrong, workspace=project.workspace).problems
    assert [problem.code for problem in problems] == ["bad-control", "bad-control"]
    line = wrong.splitlines()[problems[0].location.line - 1]
    assert line[problems[0].location.column - 1 :].startswith("outcome")
