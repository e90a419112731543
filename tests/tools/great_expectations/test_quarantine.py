"""``on_failure: quarantine``: each row in exactly one table, with the names of what it fails, and what cannot be attributed."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pydantic import ValidationError

from context import LocalContext
from e2i.errors import StepError
from e2i.tools.great_expectations import ValidateOutputs, ValidateParams
from e2i.tools.great_expectations.actions import validate

BRANDS = ["Remibrutinib", "Fabhalta", "Kisqali"]
BETWEEN = {"type": "expect_column_values_to_be_between", "column": "calls", "min_value": 0, "max_value": 100}
IN_SET = {"type": "expect_column_values_to_be_in_set", "column": "brand", "value_set": BRANDS}
NOT_NULL = {"type": "expect_column_values_to_not_be_null", "column": "brand"}
UNIQUE = {"type": "expect_compound_columns_to_be_unique", "column_list": ["id", "day"]}
ORDERED = {
    "type": "expect_column_pair_values_a_to_be_greater_than_b",
    "column_A": "last",
    "column_B": "first",
    "or_equal": True,
    "ignore_row_if": "either_value_is_missing",
}
SUITE: list[dict[str, Any]] = [BETWEEN, IN_SET, NOT_NULL, UNIQUE, ORDERED]
NAMES = [
    "expect_column_values_to_be_between(calls)",
    "expect_column_values_to_be_in_set(brand)",
    "expect_column_values_to_not_be_null(brand)",
    "expect_compound_columns_to_be_unique(id, day)",
    "expect_column_pair_values_a_to_be_greater_than_b(last, first)",
]


def journeys(rows: int) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    first = pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(rng.integers(0, 50, rows), unit="D")
    return pd.DataFrame(
        {
            "id": [f"H{i}" for i in rng.integers(0, rows, rows)],
            "day": rng.integers(1, 30, rows),
            "brand": rng.choice(np.array([*BRANDS * 9, "Other", None], dtype=object), rows),
            "calls": pd.Series(rng.normal(50, 25, rows)).where(rng.random(rows) > 0.05),
            "first": first,
            "last": pd.Series(first + pd.to_timedelta(rng.integers(-2, 50, rows), unit="D")).where(
                rng.random(rows) > 0.1
            ),
        }
    )


def expected(frame: pd.DataFrame) -> pd.DataFrame:
    """Which row fails which expectation, computed by pandas alone."""
    return pd.DataFrame(
        {
            NAMES[0]: frame["calls"].notna() & ~frame["calls"].between(0, 100),
            NAMES[1]: frame["brand"].notna() & ~frame["brand"].isin(BRANDS),
            NAMES[2]: frame["brand"].isna(),
            NAMES[3]: frame.duplicated(["id", "day"], keep=False),
            NAMES[4]: frame["last"].notna() & (frame["last"] < frame["first"]),
        }
    )


def run(ctx: LocalContext, rows: pd.DataFrame | pa.Table, suite: Any, **params: Any) -> ValidateOutputs:
    given = {"table": ctx.table(rows), "suite": suite, "on_failure": "quarantine", **params}
    return asyncio.run(validate(ValidateParams.model_validate(given), ctx))


def page(ctx: LocalContext, out: ValidateOutputs) -> str:
    return (ctx.open(out.report) / out.report.entry).read_text(encoding="utf-8")


@pytest.mark.parametrize("count", [4_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_every_row_is_in_exactly_one_table_with_what_it_fails(ctx: LocalContext, count: int) -> None:
    frame = journeys(count)
    out = run(ctx, frame, SUITE)
    fails = expected(frame)
    bad = fails.any(axis=1).to_numpy()
    stored = ctx.arrow(ctx.table(frame))
    good, apart = ctx.arrow(out.table), ctx.arrow(out.quarantined)
    assert count / 10 < bad.sum() == out.quarantined_rows == apart.num_rows
    assert good == stored.filter(pa.array(~bad))
    assert apart.drop_columns(["failed_expectations"]) == stored.filter(pa.array(bad))
    reasons = [
        "; ".join(name for name, is_failed in zip(NAMES, row, strict=True) if is_failed)
        for row in fails[bad].to_numpy()
    ]
    assert apart["failed_expectations"].to_pylist() == reasons
    failures = ctx.arrow(out.failures)
    positions, expectations = np.nonzero(fails.to_numpy())
    assert failures["row"].to_pylist() == positions.tolist()
    assert failures["expectation"].to_pylist() == (expectations + 1).tolist()
    assert [item.unexpected_count for item in out.results] == fails.sum().tolist()
    assert f"Quarantined: {bad.sum():,} of {count:,} rows." in page(ctx, out)
    assert ctx.metrics["inline.quarantined_rows"] == bad.sum()
    assert f"quarantined: {bad.sum():,} of {count:,} rows by expect_column_values_to_be_between(calls)" in ctx.warned[0]
    assert not out.success
    assert run(ctx, ctx.frame(out.table), SUITE).quarantined_rows == 0, "what goes on meets the suite"


def test_failures_have_the_values_as_text(ctx: LocalContext) -> None:
    rows = pa.table({"n": [1, None, 7], "a": ["x", "x", "y"], "b": ["x", "y", "y"]})
    suite = [
        {"type": "expect_column_values_to_be_between", "column": "n", "max_value": 5},
        {"type": "expect_column_values_to_not_be_null", "column": "n", "severity": "warning"},
        {"type": "expect_column_pair_values_to_be_equal", "column_A": "a", "column_B": "b"},
    ]
    out = run(ctx, rows, suite)
    assert ctx.arrow(out.failures).to_pylist() == [
        {"row": 1, "expectation": 2, "type": "expect_column_values_to_not_be_null", "columns": "n", "severity": "warning", "value": None},
        {"row": 1, "expectation": 3, "type": "expect_column_pair_values_to_be_equal", "columns": "a, b", "severity": "critical", "value": "a = x, b = y"},
        {"row": 2, "expectation": 1, "type": "expect_column_values_to_be_between", "columns": "n", "severity": "critical", "value": "7"},
    ]  # fmt: skip
    assert ctx.arrow(out.table)["n"].to_pylist() == [1], "a warning alone quarantines no row"
    assert run(ctx, rows, suite[1:2]).quarantined_rows == 0
    assert ctx.arrow(run(ctx, rows, suite[1:2], fail_on="warning").quarantined)["a"].to_pylist() == ["x"]
    assert ctx.arrow(run(ctx, rows, suite, on_failure="warn").failures).num_rows == 3
    assert ctx.warned[-1].startswith("suite inline: failed: expect_column_values_to_be_between(n): 1 of 3")


def test_rows_that_where_leaves_out_and_those_that_mostly_tolerates_go_on(ctx: LocalContext) -> None:
    rows = pa.table({"part": ["a", "b", "a", "a"], "n": [1, 99, 99, 2]})
    item = {"type": "expect_column_values_to_be_between", "column": "n", "max_value": 5}
    out = run(ctx, rows, [item], where=[{"column": "part", "op": "eq", "value": "a"}])
    assert ctx.arrow(out.quarantined).to_pylist() == [
        {"part": "a", "n": 99, "failed_expectations": "expect_column_values_to_be_between(n)"}
    ]
    assert ctx.arrow(out.table)["n"].to_pylist() == [1, 99, 2]
    assert ctx.arrow(out.failures)["row"].to_pylist() == [2]
    assert run(ctx, rows, [{**item, "mostly": 0.5}]).quarantined_rows == 0
    assert run(ctx, rows, [{**item, "mostly": 0.75}], reason_column="why").quarantined_rows == 2


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ({"type": "expect_table_row_count_to_be_between", "min_value": 5}, "found 3"),
        ({"type": "expect_column_mean_to_be_between", "column": "n", "max_value": 1}, "found"),
        ({"type": "expect_column_values_to_be_of_type", "column": "n", "type_": "str"}, "found 'int64'"),
        ({"type": "expect_column_values_to_be_between", "column": "m", "max_value": 1}, "could not be checked"),
    ],
)
def test_what_no_row_is_at_fault_for_fails_the_step(ctx: LocalContext, item: dict[str, Any], said: str) -> None:
    rows = pa.table({"n": [1, 2, 9]})
    of_rows = {"type": "expect_column_values_to_be_between", "column": "n", "max_value": 5}
    with pytest.raises(StepError, match=said) as caught:
        run(ctx, rows, [of_rows, item])
    assert caught.value.code == "quality-failed" and "the table as a whole" in str(caught.value.hint)
    assert isinstance(caught.value.details, dict)
    assert [one["type"] for one in caught.value.details["failed"]] == [item["type"]], (
        "the rows' expectation is no reason"
    )
    out = run(ctx, rows, [of_rows, {**item, "severity": "warning"}])
    assert (out.quarantined_rows, out.success) == (1, False)


def test_a_quarantine_needs_something_that_counts_a_free_name_and_a_row_that_is_left(ctx: LocalContext) -> None:
    rows = pa.table({"n": [8, 9], "failed_expectations": ["", ""]})
    item = {"type": "expect_column_values_to_be_between", "column": "n", "max_value": 5}
    with pytest.raises(ValidationError, match="no expectation counts"):
        run(ctx, rows, [item], fail_on="never")
    with pytest.raises(StepError, match="has a column 'failed_expectations' already"):
        run(ctx, rows, [item])
    with pytest.raises(StepError, match="every row fails"):
        run(ctx, rows, [item], reason_column="why")
    warned = run(ctx, rows, [item], on_failure="warn")
    assert ctx.arrow(warned.table) == ctx.arrow(ctx.table(rows))
    assert warned.quarantined.names == ("n", "failed_expectations") and not warned.quarantined.rows
