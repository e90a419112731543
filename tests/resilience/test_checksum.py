from __future__ import annotations

import pytest

from e2i.resilience.checksum import checksum, is_intact


def test_a_sealed_row_is_sound_until_a_value_changes() -> None:
    row = ("r1", 1, None, 2.5, "ü\x1f")
    assert is_intact((*row, checksum(row)))
    for index in range(len(row)):
        changed = [*row]
        changed[index] = "other"
        assert not is_intact((*changed, checksum(row)))


@pytest.mark.parametrize(("one", "other"), [((1,), ("1",)), (("ab", "c"), ("a", "bc")), ((None,), ("None",))])
def test_rows_that_look_alike_have_different_seals(one: tuple[object, ...], other: tuple[object, ...]) -> None:
    assert checksum(one) != checksum(other)  # type: ignore[arg-type]


def test_the_seal_of_a_row_stays_the_same_in_later_versions() -> None:
    assert checksum(("r1", 1, None, "ü")) == checksum(["r1", 1, None, "ü"]) == "08a7ea7eba4d50d8"
