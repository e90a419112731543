"""Samples keep entities whole, class shares, and the order of rows."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from e2i.rehearsal.sampling import Wanted, choose, shares


def made(seed: int) -> pa.Table:
    """A table of people with many or few rows each, whose classes depend on the person; one class is rare."""
    random = np.random.default_rng(seed)
    people = int(random.integers(150, 900))
    sizes = random.integers(1, 12, people)
    who = random.permutation(np.repeat(np.arange(people), sizes))
    leaning = random.beta(0.5, 1.5, people)
    classes = np.where(random.random(len(who)) < 0.02, 2, random.random(len(who)) < leaning[who])
    return pa.table({"row": np.arange(len(who)), "who": who, "class": classes.astype(int)})


@pytest.mark.parametrize("by", ["who", None])
def test_a_hundred_seeds_keep_entities_shares_and_order(by: str | None) -> None:
    for seed in range(100):
        table = made(seed)
        wanted = Wanted(rows=table.num_rows // 4, by=by, stratify="class", seed=seed)
        positions = choose(table, wanted)
        part = table.take(positions)
        assert (np.diff(positions) > 0).all(), "in the order of the source"
        assert wanted.rows / 2 <= part.num_rows <= wanted.rows * 2
        whole, found = shares(table.column("class")), shares(part.column("class"))
        assert max(abs(found.get(one, 0.0) - share) for one, share in whole.items()) <= 0.02, seed
        assert found.keys() == whole.keys(), "no class is missing"
        if by:
            rest = set(table.column("who").to_pylist()) - set(part.column("who").to_pylist())
            left = np.setdiff1d(np.arange(table.num_rows), positions)
            assert set(table.column("who").take(left).to_pylist()) <= rest, "an entity is in the sample whole or not"


def test_entities_of_another_table_are_kept_also_where_they_have_another_type() -> None:
    table = pa.table({"who": [1, 1, 2, 3, None], "x": [1, 2, 3, 4, 5]})
    assert choose(table, Wanted(rows=3, by="who"), {1, 3}).tolist() == [0, 1, 3]
    assert choose(table, Wanted(rows=3, by="who"), {"2"}).tolist() == [2]
    assert choose(table, Wanted(rows=9, by="who")).tolist() == [0, 1, 2, 3, 4]
    numbers = pa.table({"y": np.arange(500) / 7})
    assert len(choose(numbers, Wanted(rows=50, stratify="y"))) == 50, "numbers are no classes"
