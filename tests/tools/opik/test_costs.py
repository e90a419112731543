from __future__ import annotations

import pytest

from e2i.tools.opik.costs import Tokens, cost, price


@pytest.mark.parametrize(
    ("model", "provider", "expected"),
    [
        ("gpt-4o", None, 1000 * 2.5e-6 + 100 * 1e-5),
        ("claude-sonnet-4-20250514", "anthropic", 1000 * 3e-6 + 100 * 1.5e-5),
        ("anthropic/claude-sonnet-4-5", None, 1000 * 3e-6 + 100 * 1.5e-5),
    ],
)
def test_a_known_model_has_a_price(model: str, provider: str | None, expected: float) -> None:
    found = price(model, provider)
    assert found is not None
    assert cost(Tokens(1000, 100), found) == pytest.approx(expected)


def test_an_unknown_model_has_none() -> None:
    assert price("in-house-7b") is None
    assert price("") is None
