from __future__ import annotations

import datetime as dt
import time
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from context import LocalContext
from e2i.errors import StepError
from e2i.tools.data import actions, compare, diff_page
from e2i.tools.data.compare import Difference
from e2i.tools.data.looking import Counts, DiffOutputs, DiffParams, Tolerance

EXACT = Tolerance()


def diff(before: dict[str, Any], after: dict[str, Any], *keys: str, **tolerance: float) -> Difference:
    return compare.of(pa.table(before), pa.table(after), keys or ("k",), (), Tolerance(**tolerance))


def changed(before: Any, after: Any, **tolerance: float) -> bool | None:
    """Whether one value differs from another; None when they are not compared."""
    found = diff({"k": [1], "v": before}, {"k": [1], "v": after}, **tolerance)
    if "v" in found.types and not found.types["v"].compared:
        return None
    return bool(found.changed.num_rows)


def test_rows_are_added_removed_and_changed() -> None:
    found = diff(
        {"k": ["a", "b", "c", "d"], "x": [1, 2, 3, 4], "y": ["p", None, "r", "s"]},
        {"k": ["d", "b", "e", "a"], "x": [4, 2, 5, 9], "y": ["s", "q", "t", None]},
    )
    assert found.added.to_pylist() == [{"k": "e", "x": 5, "y": "t"}]
    assert found.removed.to_pylist() == [{"k": "c", "x": 3, "y": "r"}]
    assert found.changed.to_pylist() == [
        {"k": "b", "changed": ["y"], "x_before": 2, "x_after": 2, "y_before": None, "y_after": "q"},
        {"k": "a", "changed": ["x", "y"], "x_before": 1, "x_after": 9, "y_before": "p", "y_after": None},
    ]
    assert (found.matched, dict(found.changes)) == (3, {"x": 1, "y": 2})
    assert not found.is_none


def test_equal_tables_have_no_difference_whatever_their_order() -> None:
    table = {"k": [3, 1, 2], "x": [1.5, None, float("nan")], "l": [[1], None, []]}
    turned = {name: [values[2], values[0], values[1]] for name, values in table.items()}
    assert diff(table, turned).is_none


NAN = float("nan")
INF = float("inf")


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (pa.array([None], pa.int64()), pa.array([None], pa.int64()), False),
        (pa.array([None], pa.float64()), [NAN], True),
        ([NAN], [NAN], False),
        ([NAN], [1.0], True),
        ([INF], [INF], False),
        ([INF], [-INF], True),
        ([0.0], [-0.0], False),
        ([2**53], [2**53 + 1], True),
        (pa.array([1], pa.int32()), pa.array([1], pa.int64()), False),
        (pa.array([2**64 - 1], pa.uint64()), pa.array([-1], pa.int64()), True),
        ([1], [1.0], False),
        ([1], [1.5], True),
        ([Decimal("1.10")], [Decimal("1.1")], False),
        ([Decimal("1.10")], [Decimal("1.11")], True),
        ([Decimal("2")], [2], False),
        ([1], ["1"], None),
        ([True], [1], None),
        (["a"], pa.array(["a"]).dictionary_encode(), False),
        (pa.array(["a"]).dictionary_encode(), pa.array(["b"]).dictionary_encode(), True),
        ([b"a"], [b"b"], True),
        ([dt.date(2024, 1, 1)], [dt.date(2024, 1, 2)], True),
        (pa.array([1], pa.timestamp("s")), pa.array([1000], pa.timestamp("ms")), False),
        (pa.array([1], pa.timestamp("s")), pa.array([1], pa.timestamp("s", "UTC")), None),
        ([[1, 2]], [[1, 2]], False),
        ([[1, 2]], [[2, 1]], True),
        ([[1]], [[1, 2]], True),
        ([[]], pa.array([None], pa.list_(pa.int64())), True),
        ([[[1], [2, None]]], [[[1], [2, 3]]], True),
        ([{"a": 1, "b": "x"}], [{"a": 1, "b": "x"}], False),
        ([{"a": 1, "b": "x"}], [{"a": 1, "b": "y"}], True),
        ([{"a": 1}], [{"c": 1}], None),
        (pa.nulls(1), pa.nulls(1), False),
        (pa.nulls(1), [1], True),
    ],
)
def test_values_are_compared_by_what_they_mean(before: Any, after: Any, expected: bool | None) -> None:
    assert changed(before, after) is expected


@pytest.mark.parametrize(
    ("before", "after", "tolerance", "expected"),
    [
        ([1.0], [1.05], {"absolute": 0.1}, False),
        ([1.0], [1.2], {"absolute": 0.1}, True),
        ([100.0], [101.0], {"relative": 0.01}, False),
        ([100.0], [102.0], {"relative": 0.01}, True),
        ([-100.0], [100.0], {"relative": 0.5}, True),
        ([10], [11], {"absolute": 1}, False),
        ([Decimal("1.0")], [Decimal("1.1")], {"absolute": 0.2}, False),
        ([INF], [1.0], {"relative": 0.5}, True),
        ([NAN], [1.0], {"absolute": 100}, True),
        (["1.0"], ["1.05"], {"absolute": 0.1}, True),
        ([[1.0, 2.0]], [[1.05, 2.0]], {"absolute": 0.1}, False),
        ([{"a": 1.0}], [{"a": 1.2}], {"absolute": 0.1}, True),
        (pa.array([None], pa.float64()), [0.0], {"absolute": 1}, True),
    ],
)
def test_numbers_are_equal_within_the_tolerance(
    before: Any, after: Any, tolerance: dict[str, float], expected: bool
) -> None:
    assert changed(before, after, **tolerance) is expected


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ({"k": [1, 1, 2]}, {"k": [1]}, "not unique in the table before: 1 values occur more than once, such as 1"),
        ({"k": [1]}, {"k": [2, 2]}, "not unique in the table after"),
        ({"k": [1, None]}, {"k": [1]}, "is null in 1 rows"),
        ({"k": [NAN]}, {"k": [1.0]}, "is NaN"),
        ({"k": [1]}, {"k": ["1"]}, "is int64 before and string after"),
    ],
)
def test_a_key_that_names_no_row_is_refused(before: dict[str, Any], after: dict[str, Any], said: str) -> None:
    with pytest.raises(StepError) as raised:
        diff(before, after)
    assert said in str(raised.value)
    assert raised.value.code == "bad-key"


def test_a_key_of_several_columns_and_types() -> None:
    day = [dt.date(2024, 1, 1), dt.date(2024, 1, 1)]
    before = {"a": pa.array(["x", "y"]).dictionary_encode(), "d": day, "n": pa.array([1, 2], pa.int32()), "v": [1, 2]}
    after = {"a": ["x", "y"], "d": day, "n": [1, 3], "v": [7, 2]}
    found = diff(before, after, "a", "d", "n")
    assert (found.added.num_rows, found.removed.num_rows, found.changed.num_rows) == (1, 1, 1)
    assert sorted(found.types) == ["a", "n"]


def test_columns_and_types_that_differ_are_told() -> None:
    found = diff({"k": [1], "old": [1], "t": [1], "u": [1]}, {"k": [1], "new": [1], "t": ["1"], "u": [1.0]})
    assert (found.added_columns, found.removed_columns) == (("new",), ("old",))
    assert {name: one.compared for name, one in found.types.items()} == {"t": False, "u": True}
    assert not found.is_none and not found.changes


def test_empty_tables_are_compared() -> None:
    empty = {"k": pa.array([], pa.int64()), "x": pa.array([], pa.string())}
    assert diff(empty, empty).is_none
    assert diff(empty, {"k": [1], "x": ["a"]}).added.num_rows == 1


def test_a_million_rows_take_seconds() -> None:
    count = 1_000_000
    values = np.random.default_rng(0).normal(size=count)
    before = pa.table({"k": np.arange(count), "x": values, "s": pa.array(np.arange(count).astype(str))})
    moved = values.copy()
    moved[::1000] += 1
    after = pa.table({"k": np.arange(count)[::-1], "x": moved[::-1], "s": before["s"].take(np.arange(count)[::-1])})
    began = time.process_time()
    found = compare.of(before, after, ("k",), (), EXACT)
    assert dict(found.changes) == {"x": 1000}
    assert time.process_time() - began < 30


def run(ctx: LocalContext, before: dict[str, Any], after: dict[str, Any], **options: Any) -> DiffOutputs:
    given = {"before": ctx.table(pa.table(before)), "after": ctx.table(pa.table(after)), "key": "k", **options}
    return actions.diff(DiffParams.model_validate(given), ctx)


def test_the_action_stores_tables_counts_and_a_page(ctx: LocalContext) -> None:
    made = run(ctx, {"k": [1, 2], "x": [1.0, 2.0]}, {"k": [2, 3], "x": [2.5, 3.0]})
    assert made.counts == Counts(before=2, after=2, added=1, removed=1, changed=1, same=0)
    assert ctx.arrow(made.changed).column_names == ["k", "changed", "x_before", "x_after"]
    assert (made.equal, made.changes) == (False, {"x": 1})
    assert ctx.metrics == {"added": 1, "removed": 1, "changed": 1}
    page = ctx.open(made.report).read_text("utf-8")
    assert "The tables differ" in page and "<img" in page and "2 → 2.5" in page
    assert run(ctx, {"k": [1]}, {"k": [1]}).equal


def test_the_page_escapes_what_it_shows(ctx: LocalContext) -> None:
    evil = "<script>alert(1)</script>"
    made = run(ctx, {"k": [evil], evil: ["a"], "$x$": [1]}, {"k": [evil], evil: [evil], "$x$": [2]})
    page = ctx.open(made.report).read_text("utf-8")
    assert "<script" not in page and "&lt;script&gt;" in page


def test_columns_of_one_name_are_refused(ctx: LocalContext) -> None:
    table = {"x_before": [1], "x": [1]}
    with pytest.raises(StepError, match="two columns named x_before"):
        run(ctx, table, table, key="x_before")


def test_a_page_without_plots_lists_the_changes() -> None:
    found = diff({"k": [1], "x": [1]}, {"k": [1], "x": [2]})
    counts = Counts(before=1, after=1, added=0, removed=0, changed=1, same=0)
    assert "<img" not in diff_page.render(found, counts, ("k",), plots=False)
