from __future__ import annotations

import pytest

from e2i.resilience.seal import is_sound, seal


def test_a_sealed_row_is_sound_until_a_value_changes() -> None:
    row = ("r1", 1, None, 2.5, "ü\x1f")
    assert is_sound((*row, seal(row)))
    for location in range(len(row)):
        changed = [*row]
        changed[location] = "other"
        assert not is_sound((*changed, seal(row)))


@pytest.mark.parametrize(("one", "other"), [((1,), ("1",)), (("ab", "c"), ("a", "bc")), ((None,), ("None",))])
def test_rows_that_look_alike_have_different_seals(one: tuple[object, ...], other: tuple[object, ...]) -> None:
    assert seal(one) != seal(other)  # type: ignore[arg-type]


def test_the_seal_of_a_row_stays_the_same_in_later_versions() -> None:
    assert seal(("r1", 1, None, "ü")) == seal(["r1", 1, None, "ü"]) == "08a7ea7eba4d50d8"
