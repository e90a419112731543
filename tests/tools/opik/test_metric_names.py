"""The metrics that a spec may use: their names are those of the SDK, and their regular expressions take linear time."""

from __future__ import annotations

from typing import get_args

import pytest

from e2i.tools.opik import Heuristic
from e2i.tools.opik.metrics import heuristics, resolve


def test_every_metric_of_the_sdk_can_be_named_and_no_other() -> None:
    assert get_args(Heuristic) == tuple(heuristics())


def test_a_regular_expression_of_a_spec_is_searched_in_linear_time() -> None:
    (metric,) = resolve(["regex_match"], ("output", "reference"), (), lambda function, case, output: None, linear=True)
    assert metric.score("a" * 40 + "!", "(a+)+$").value == 0.0
    assert (metric.score("Rome, 1960", r"\d{4}$").value, metric.score("Rome", "rome").value) == (1.0, 0.0)
    for pattern in ("(", "(?=a)b", r"(a)\1"):
        with pytest.raises(ValueError, match="not a supported regular expression"):
            metric.score("a", pattern)
