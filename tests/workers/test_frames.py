from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from e2i.errors import StepError
from e2i.store.digests import digest_of
from e2i.workers import frames


def sample() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "id": pd.Series([1, 2, 3], dtype="int32"),
            "score": [0.5, np.nan, -1.0],
            "when": pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-03"]).tz_localize("UTC"),
            "kind": pd.Categorical(["a", "b", "a"]),
            "text": ["x", None, "é"],
        }
    )


def test_a_frame_comes_back_with_its_columns_in_order(tmp_path: Path) -> None:
    path = tmp_path / "t.arrow"
    columns, digest = frames.write(sample(), path)
    assert digest == digest_of(path)
    assert [(column.name, column.type) for column in columns] == [
        ("id", "int32"), ("score", "double"), ("when", "timestamp[us, tz=UTC]"), ("kind", "string"), ("text", "string"),
    ]  # fmt: skip
    back = frames.read(path)
    assert list(back.columns) == list(sample().columns)
    assert back["kind"].tolist() == ["a", "b", "a"]
    assert back["score"].isna().tolist() == [False, True, False]
    assert frames.read(path, ["text", "id"]).columns.tolist() == ["text", "id"]


def test_the_bytes_depend_on_the_content_alone(tmp_path: Path) -> None:
    one, two = sample(), sample().set_axis([7, 8, 9])
    frames.write(one, tmp_path / "one")
    frames.write(pd.concat([two.iloc[:1], two.iloc[1:]]).astype({"kind": "category"}), tmp_path / "two")
    assert digest_of(tmp_path / "one") == digest_of(tmp_path / "two")


def test_what_a_table_cannot_hold_is_explained(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="duplicate column names: a") as raised:
        frames.write(pd.DataFrame([[1, 2]], columns=["a", "a"]), tmp_path / "t")
    assert raised.value.code == "duplicate-column"
    with pytest.raises(StepError) as raised:
        frames.write(pd.DataFrame({"a": [1, "x"]}), tmp_path / "t")
    assert raised.value.code == "bad-table"


def test_an_absent_column_is_named_with_those_that_are_there(tmp_path: Path) -> None:
    frames.write(sample(), tmp_path / "t")
    with pytest.raises(StepError, match=r"no column 'none'; columns: id, score"):
        frames.read(tmp_path / "t", ["id", "none"])


def test_the_cache_forgets_what_was_used_longest_ago() -> None:
    frame = pd.DataFrame({"a": np.zeros(100)})
    cache = frames.FrameCache(limit_bytes=2_000)
    for name in "abc":
        cache.put(name, frame)
        cache.get("a")
    assert [name for name in "abc" if cache.get(name) is not None] == ["a", "c"]


def test_numbers_are_the_mapped_file_itself(tmp_path: Path) -> None:
    whole = pd.DataFrame({"a": np.arange(5.0), "b": np.arange(5), "t": pd.date_range("2024", periods=5, unit="us")})
    frames.write(whole, tmp_path / "t")
    back = frames.read(tmp_path / "t")
    pd.testing.assert_frame_equal(back, whole)
    for name in whole:
        values = back[name].to_numpy()
        assert not values.flags.owndata and not values.flags.writeable, name
    changed = back.assign(a=1.0).copy()
    changed.loc[0, "b"] = 9
    assert changed["b"].tolist() == [9, 1, 2, 3, 4]
