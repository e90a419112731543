"""Splits that do not move rows when the table changes."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from e2i.tools.data import splits

SHARES = (0.6, 0.2, 0.2)


@pytest.mark.parametrize("kind", ["float64", "Int64", "object", "decimal"])
def test_an_entity_has_one_part_whatever_type_holds_it(kind: str) -> None:
    """One missing key elsewhere turns a column of integers into one of floats."""
    keys = pd.Series(range(500), dtype="int64")
    same = keys.map(Decimal) if kind == "decimal" else keys.astype(kind)
    assert (splits.by_entity(same, SHARES, 7) == splits.by_entity(keys, SHARES, 7)).all()


def test_entities_that_differ_are_told_apart() -> None:
    keys = pd.Series(["1", "01", "1.5", "1e3", "True"])
    assert [splits._canonical(key) for key in keys] == list(keys)
    assert splits._canonical(1.5) == "1.5" and splits._canonical(True) == "True"
    assert splits._canonical(2**60 + 1) == str(2**60 + 1)


@pytest.mark.parametrize("rows", [0, 1, 150, 999, 1_000, 2_500])
def test_added_rows_do_not_move_others_in_a_random_split(rows: int) -> None:
    parts = splits.by_chance(rows, SHARES, 7)
    assert (splits.by_chance(rows + 700, SHARES, 7)[:rows] == parts).all()
    if rows >= 150:
        shares = np.bincount(parts, minlength=3) / rows
        assert shares == pytest.approx(SHARES, abs=0.06)
    if rows == 1_000:
        assert np.bincount(parts).tolist() == [600, 200, 200]
