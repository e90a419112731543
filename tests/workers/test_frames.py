"""Frames made from tables and tables made from frames: nothing changes on the way."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings

from arrow_tables import same, tables
from e2i.errors import StepError
from e2i.workers import frames
from e2i.workers import tables as files


def test_integers_with_a_null_stay_integers() -> None:
    table = pa.table(
        {"acct": pa.array([123456789012345678, 123456789012345679, None]), "flag": pa.array([True, None, False])}
    )
    frame = frames.to_frame(table)
    assert frame.dtypes.map(str).to_dict() == {"acct": "Int64", "flag": "boolean"}
    assert frame["acct"].nunique() == 2 and frame["acct"].astype("string").tolist()[0] == "123456789012345678"
    assert frames.to_arrow(frame) == table


def test_columns_without_a_null_are_numpy_arrays() -> None:
    frame = frames.to_frame(pa.table({"n": [1, 2], "x": [0.5, None], "b": [True, False], "t": ["a", None]}))
    assert frame.dtypes.map(str).to_dict() == {"n": "int64", "x": "float64", "b": "bool", "t": "object"}


@given(tables())
@settings(max_examples=100)
def test_a_frame_that_is_returned_unchanged_is_the_same_table(table: pa.Table) -> None:
    assert same(frames.to_arrow(frames.to_frame(table)).cast(table.schema), table)


@pytest.mark.sweep
@given(tables())
@settings(max_examples=2_000)
def test_sweep_a_frame_that_is_returned_unchanged_is_the_same_table(table: pa.Table) -> None:
    assert same(frames.to_arrow(frames.to_frame(table)).cast(table.schema), table)


def test_a_named_index_becomes_columns() -> None:
    frame = pd.DataFrame({"k": ["a", "b", "a"], "g": [1, 1, 2], "v": [1, 2, 3]})
    assert frames.to_arrow(frame.groupby("k").sum()).to_pydict() == {"k": ["a", "b"], "g": [3, 1], "v": [4, 2]}
    assert frames.to_arrow(frame.groupby(["k", "g"]).sum()).column_names == ["k", "g", "v"]
    assert frames.to_arrow(frame.set_index("g"))["g"].to_pylist() == [1, 1, 2]
    assert frames.to_arrow(frame[frame["v"] > 1]).column_names == ["k", "g", "v"]  # positions are no column


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pd.DataFrame({"k": [1], "v": [2]}).groupby("k").agg({"v": ["mean", "max"]}), r"several levels, \('v', 'mean'\)"),
        (pd.DataFrame({"p": pd.period_range("2024-01", periods=2, freq="M")}), r"column 'p' has the type period\[M\]"),
        (pd.DataFrame({"p": pd.Categorical(pd.period_range("2024-01", periods=2, freq="M"))}), r"column 'p' has the type period\[M\]"),
        (pd.DataFrame({"p": pd.cut(pd.Series([1, 2]), 2)}), r"column 'p' has the type interval"),
        (pd.DataFrame({"z": [1j]}), "column 'z'"),
        (pd.DataFrame({"fine": [1, 2], "m": [1, "x"]}), "column 'm'"),
        (pd.DataFrame({"v": [1]}, index=pd.MultiIndex.from_tuples([(1, 2)], names=["a", None])), "a level of the frame's index has no name"),
        (pd.DataFrame({"v": [1]}, index=pd.Index([1], name="v")), "an index and a column of one name: 'v'"),
        (pd.DataFrame({None: [1]}), "a column of the frame has no name"),
    ],
)  # fmt: skip
def test_what_would_be_lost_is_refused_with_its_column(frame: pd.DataFrame, message: str) -> None:
    with pytest.raises(StepError, match=message) as raised:
        frames.to_arrow(frame)
    assert raised.value.code in ("bad-table", "duplicate-column") and raised.value.hint


def test_nan_and_null_are_both_missing_in_pandas_and_told_from_each_other_when_stored() -> None:
    for kind in (pa.float16(), pa.float32(), pa.float64()):
        table = pa.table({"x": pa.array([1.5, np.nan, None, -2.0], pa.float64()).cast(kind)})
        frame = frames.to_frame(table)
        assert isinstance(frame["x"].dtype, np.dtype) and frame["x"].isna().tolist() == [False, True, True, False]
        assert same(frames.to_arrow(frame), table)
        computed = frames.to_arrow(pd.DataFrame({"y": -frame["x"].astype("float64") * 2, "z": frame["x"].fillna(0.0)}))
        assert str(computed["y"].to_pylist()) == "[-3.0, nan, None, 4.0]" and computed["z"].null_count == 0
    assert frames.to_arrow(pd.DataFrame({"x": [1.0, np.nan]}))["x"].to_pylist() == [1.0, None]


def test_times_keep_their_unit_and_zone() -> None:
    stamps = pd.Series([pd.Timestamp(1, unit="ns", tz="Europe/Berlin"), None])
    table = frames.to_arrow(pd.DataFrame({"ns": stamps, "s": pd.Series([1, 2]).astype("datetime64[s]")}))
    assert [str(kind) for kind in table.schema.types] == ["timestamp[ns, tz=Europe/Berlin]", "timestamp[s]"]
    assert table["ns"].cast(pa.int64()).to_pylist() == [1, None]


def test_decimals_and_integers_in_structs_are_exact() -> None:
    table = pa.table({
        "price": pa.array([Decimal("0.10"), None, Decimal("5.00")], pa.decimal128(10, 2)),
        "who": pa.array([{"id": 2**60 + 1}, {"id": None}, None], pa.struct([("id", pa.int64())])),
    })  # fmt: skip
    frame = frames.to_frame(table)
    assert frame["price"].sum() == Decimal("5.10")
    assert frames.to_arrow(frame).cast(table.schema) == table


def test_a_column_that_pandas_cannot_hold_is_named() -> None:
    with pytest.raises(
        StepError, match=r"column 'when' of type timestamp\[us, tz=Mars/Base\] cannot be passed to pandas"
    ):
        frames.to_frame(pa.table({"when": pa.array([1], pa.timestamp("us", "Mars/Base"))}))


def test_the_cache_forgets_what_was_used_longest_ago() -> None:
    frame = pd.DataFrame({"a": np.zeros(100)})
    cache = frames.FrameCache(limit_bytes=2_000)
    for name in "abc":
        cache.put(name, frame)
        cache.get("a")
    assert [name for name in "abc" if cache.get(name) is not None] == ["a", "c"]


def test_numbers_are_the_mapped_file_itself(tmp_path: Path) -> None:
    whole = pd.DataFrame({"a": np.arange(5.0), "b": np.arange(5), "t": pd.date_range("2024", periods=5, unit="us")})
    files.write(frames.to_arrow(whole), tmp_path / "t")
    back = frames.to_frame(files.read(tmp_path / "t"))
    pd.testing.assert_frame_equal(back, whole)
    for name in whole:
        values = back[name].to_numpy()
        assert not values.flags.owndata and not values.flags.writeable, name
    changed = back.assign(a=1.0).copy()
    changed.loc[0, "b"] = 9
    assert changed["b"].tolist() == [9, 1, 2, 3, 4]
