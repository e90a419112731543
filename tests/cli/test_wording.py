from __future__ import annotations

import pytest

from e2i.cli.wording import counted


@pytest.mark.parametrize(
    ("number", "noun", "shown"),
    [
        (0, "step", "0 steps"),
        (1, "step", "1 step"),
        (1_200, "step", "1,200 steps"),
        (1, "entry", "1 entry"),
        (2, "entry", "2 entries"),
    ],
)
def test_one_is_singular_and_everything_else_plural(number: int, noun: str, shown: str) -> None:
    assert counted(number, noun) == shown
