"""Values as text, and what an evaluation may cost."""

from __future__ import annotations

import math
from typing import Any

import pytest

from e2i.spec.values import Budget, ExpressionError, Secret, as_text, written


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "a"),
        (True, "true"),
        (None, "null"),
        (1, "1"),
        (0.1, "0.1"),
        (1e22, "1e+22"),
        (math.inf, ".inf"),
        (-math.inf, "-.inf"),
        (math.nan, ".nan"),
        ([1, {"a": None}], '[1, {"a": null}]'),
    ],
)
def test_values_become_text_as_yaml_writes_them(value: Any, text: str) -> None:
    assert as_text(value, Budget()) == text


@pytest.mark.parametrize(
    "value", [Secret("X"), [Secret("X")], object(), 2**63, [math.nan], "x" * 1_000_001, [0] * 100_001]
)
def test_what_has_no_text_or_too_much_is_refused(value: Any) -> None:
    with pytest.raises(ExpressionError):
        as_text(value, Budget())


def test_a_budget_runs_out() -> None:
    budget = Budget(10)
    budget.spend(10)
    with pytest.raises(ExpressionError, match="too much work"):
        budget.spend(1)


def test_chains_are_written_as_they_would_be_in_an_expression() -> None:
    assert written(("steps", "a", "b", 0, "two words")) == "steps.a.b[0]['two words']"
    assert written(()) == "the value"
