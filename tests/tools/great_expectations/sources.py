"""Rows and a suite that three engines must count alike: pandas, SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from context import LocalContext
from e2i.errors import BadInput
from e2i.settings import Settings
from e2i.tools.great_expectations import (
    ValidateOutputs,
    ValidateParams,
    ValidateSourceOutputs,
    ValidateSourceParams,
)
from e2i.tools.great_expectations.actions import validate, validate_source
from tools.great_expectations.attacks import COLUMNS, LITERALS, compared

SUITE: list[dict[str, Any]] = [
    {"type": "expect_column_values_to_not_be_null", "column": "brand"},
    {"type": "expect_column_values_to_be_in_set", "column": "brand", "value_set": ["Kisqali", "Fabhalta"]},
    {"type": "expect_column_values_to_not_be_in_set", "column": "brand", "value_set": ["Other"]},
    {"type": "expect_column_values_to_be_between", "column": "calls", "min_value": 10, "max_value": 90},
    {"type": "expect_column_values_to_be_between", "column": "visits", "min_value": 1, "strict_min": True},
    {"type": "expect_column_values_to_be_unique", "column": "id"},
    {"type": "expect_compound_columns_to_be_unique", "column_list": ["id", "visits"]},
    {"type": "expect_column_pair_values_a_to_be_greater_than_b", "column_A": "visits", "column_B": "least", "or_equal": True},
    {"type": "expect_column_pair_values_to_be_equal", "column_A": "visits", "column_B": "least"},
    {"type": "expect_column_value_lengths_to_be_between", "column": "id", "min_value": 2, "max_value": 3},
    {"type": "expect_column_values_to_match_regex", "column": "id", "regex": "^H[0-4]"},
    {"type": "expect_column_values_to_be_between", "column": "calls", "max_value": 50, "row_condition": 'part == "train" and visits >= 2'},
    {"type": "expect_multicolumn_sum_to_equal", "column_list": ["visits", "least"], "sum_total": 4},
    {"type": "expect_column_mean_to_be_between", "column": "calls", "min_value": 0, "max_value": 1},
    {"type": "expect_column_unique_value_count_to_be_between", "column": "brand", "min_value": 9},
    {"type": "expect_column_max_to_be_between", "column": "visits", "max_value": 1},
    {"type": "expect_table_row_count_to_be_between", "min_value": 1, "max_value": 5},
]  # fmt: skip
COUNTS = ("element_count", "missing_count", "unexpected_count")


def frame(rows: int = 400) -> pd.DataFrame:
    rng = np.random.default_rng(12)
    return pd.DataFrame(
        {
            "id": [f"H{number}" for number in rng.integers(0, 120, rows)],
            "brand": rng.choice(np.array(["Kisqali", "Fabhalta", "Other", None], dtype=object), rows),
            "calls": pd.Series(rng.normal(50, 30, rows).round(3)).where(rng.random(rows) > 0.1),
            "visits": rng.integers(0, 5, rows),
            "least": rng.integers(0, 4, rows),
            "part": np.where(rng.random(rows) > 0.3, "train", "test"),
        }
    )


class Warehouse:
    """A step context with one database, named ``warehouse``, that has the table ``journeys``."""

    def __init__(self, root: Path, source: dict[str, Any], **settings: Any) -> None:
        tool = {"datasources": {"warehouse": source, "files": {"type": "folder", "path": "."}}, **settings}
        self.ctx = LocalContext(root, settings=Settings(tools={"great_expectations": tool}))

    def check(self, suite: Any = SUITE, **params: Any) -> ValidateSourceOutputs:
        given = {"source": "warehouse", "table": "journeys", "suite": suite, "on_failure": "warn", **params}
        return asyncio.run(validate_source(ValidateSourceParams.model_validate(given), self.ctx))

    def check_frame(self, rows: pd.DataFrame, suite: Any = SUITE) -> ValidateOutputs:
        given = {"table": self.ctx.table(rows), "suite": suite, "on_failure": "warn"}
        return asyncio.run(validate(ValidateParams.model_validate(given), self.ctx))


def counts(out: ValidateOutputs | ValidateSourceOutputs) -> list[tuple[Any, ...]]:
    """What a validation counted, and what it observed, rounded."""
    found = []
    for item in out.results:
        value = item.observed_value
        shown = round(value, 6) if isinstance(value, float) else value
        found.append((item.type, item.broken, item.success, *(getattr(item, name) or 0 for name in COUNTS), shown))
    return found


def check_attacks(warehouse: Warehouse, rows: int) -> None:
    """Compare hostile texts and names of columns in a database and in pandas: they mean themselves."""
    given = frame(rows)
    suite = [item for literal in LITERALS for item in compared(literal)]
    there = warehouse.check(suite)
    assert counts(there) == counts(warehouse.check_frame(given, suite))
    for literal, first in zip(LITERALS, range(0, len(suite), len(compared("x"))), strict=True):
        equal = int((given["id"] == literal).sum())
        found = there.results[first : first + 4]
        assert [found[0].unexpected_count, *(item.element_count for item in found[1:])] == [equal, *[rows - equal] * 3]
    for name in COLUMNS:
        item = {"type": "expect_column_values_to_not_be_null", "column": name}
        for check in (lambda one=item: warehouse.check([one]),):
            with pytest.raises(BadInput, match="has no column"):
                check()
        assert warehouse.check_frame(given, [item]).results[0].broken
        exists = {"type": "expect_column_to_exist", "column": name}
        assert not warehouse.check([exists]).success
    assert warehouse.check([{"type": "expect_table_row_count_to_equal", "value": rows}]).success
