"""The as-of search agrees with a plain loop and with ``pandas.merge_asof``."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from e2i.tools.feast.point_in_time import Positions, newest_known, newest_of_each_key

SMALL = st.integers(0, 6)
ROWS = st.lists(st.tuples(st.sampled_from(["a", "b", None]), SMALL), max_size=12)
SOURCE = st.lists(st.tuples(st.sampled_from(["a", "b", None]), SMALL, SMALL), max_size=12)


def keyed(keys: list[str | None]) -> pd.DataFrame:
    return pd.DataFrame({"key": pd.Series(keys, dtype=object)})


def by_loop(
    rows: list[tuple[str | None, int]], source: list[tuple[str | None, int, int]], cutoff: bool, ttl: int | None
) -> list[int]:
    """The definition, literally: the newest row with this key that had happened, and was known, by then."""
    found = []
    for key, time in rows:
        known = [
            (happened, created, position)
            for position, (of, happened, created) in enumerate(source)
            if key is not None and of == key and happened <= time and (not cutoff or created <= time)
        ]
        happened, _, position = max(known, default=(0, 0, -1))
        found.append(-1 if position >= 0 and ttl is not None and time - happened > ttl else position)
    return found


def search(
    rows: list[tuple[str | None, int]], source: list[tuple[str | None, int, int]], cutoff: bool, ttl: int | None
) -> Positions:
    created = np.array([item[2] for item in source], dtype=np.int64)
    return newest_known(
        keyed([row[0] for row in rows]),
        np.array([row[1] for row in rows], dtype=np.int64),
        keyed([item[0] for item in source]),
        np.array([item[1] for item in source], dtype=np.int64),
        keys=["key"],
        created=created,
        known=created if cutoff else None,
        ttl=ttl,
    )


@settings(max_examples=300, deadline=None)
@given(ROWS, SOURCE, st.booleans(), st.none() | SMALL)
def test_agrees_with_a_plain_loop_on_ties_nulls_ttl_and_late_rows(
    rows: list[tuple[str | None, int]], source: list[tuple[str | None, int, int]], cutoff: bool, ttl: int | None
) -> None:
    assert search(rows, source, cutoff, ttl).tolist() == by_loop(rows, source, cutoff, ttl)


@pytest.mark.parametrize("ttl", [None, 5_000])
def test_agrees_with_merge_asof_on_random_data_with_equal_times_and_duplicates(ttl: int | None) -> None:
    rng = np.random.default_rng(3)
    source = pd.DataFrame(
        {
            "key": rng.choice(list("abcdef"), 3_000),
            "day": rng.integers(0, 9, 3_000),
            "time": rng.integers(0, 10**5, 3_000),
        }
    ).sort_values("time", kind="stable", ignore_index=True)
    rows = pd.DataFrame(
        {
            "key": rng.choice(list("abcdefz"), 20_000),
            "day": rng.integers(0, 9, 20_000),
            "time": rng.integers(0, 10**5, 20_000),
        }
    )
    expected = pd.merge_asof(
        rows.reset_index().sort_values("time", kind="stable"),
        source.assign(position=np.arange(len(source))),
        on="time",
        by=["key", "day"],
        tolerance=ttl,
    ).sort_values("index")["position"]
    found = newest_known(rows, rows["time"].to_numpy(), source, source["time"].to_numpy(), keys=["key", "day"], ttl=ttl)
    assert found.tolist() == expected.fillna(-1).astype(int).tolist()


def test_the_newest_row_of_each_key_breaks_ties_by_creation_and_then_by_position() -> None:
    source = keyed(["a", "a", "b", "b", None])
    times = np.array([5, 5, 3, 3, 9])
    assert newest_of_each_key(source, times, keys=["key"]).tolist() == [1, 3]
    assert newest_of_each_key(source, times, keys=["key"], created=np.array([8, 7, 1, 1, 1])).tolist() == [0, 3]
