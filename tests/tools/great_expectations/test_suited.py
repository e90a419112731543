"""What a plan says of types of columns is what the library finds: an expectation ruled out is never computed, others are."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pyarrow as pa

from e2i.errors import BadInput
from e2i.tools.great_expectations import suited, validation
from e2i.tools.great_expectations.suite import Suite
from e2i.workers import frames

DAY = dt.datetime(2024, 1, 2, tzinfo=dt.UTC)
TABLE = pa.table(
    {
        "text": [f"t{number}" for number in range(12)],
        "whole": pa.array(range(12), pa.int32()),
        "real": [number / 2 for number in range(12)],
        "flag": [True, False] * 6,
        "day": [DAY.date()] * 12,
        "at": pa.array([DAY] * 12, pa.timestamp("us", "UTC")),
    }
)
TYPES = {field.name: str(field.type) for field in TABLE.schema}
ARGUMENTS: dict[str, dict[str, Any]] = {
    "expect_column_quantile_values_to_be_between": {"quantile_ranges": {"quantiles": [0.5], "value_ranges": [[0, 9]]}},
    "expect_column_value_z_scores_to_be_less_than": {"threshold": 3, "double_sided": True},
    "expect_column_values_to_not_be_outliers": {"method": "iqr", "multiplier": 2},
    "expect_column_values_to_match_strftime_format": {"strftime_format": "%Y"},
    "expect_column_values_to_match_json_schema": {"json_schema": {"type": "object"}},
    "expect_column_values_to_be_dateutil_parseable": {},
    **{name: {"like_pattern" + "_list" * name.endswith("list"): ["%"] if name.endswith("list") else "%"} for name in suited.IN_DATABASES},
}  # fmt: skip


def is_computed(item: dict[str, Any]) -> bool:
    suite = Suite.model_validate({"name": "s", "expectations": [item]})
    try:
        return validation.validate(frames.to_frame(TABLE), suite, 0).outcomes[0].broken is None
    except BadInput:
        return False


def test_what_is_ruled_out_cannot_be_computed() -> None:
    kinds = sorted(suited.OF_NUMBERS | suited.OF_TEXTS | suited.IN_DATABASES)
    items = [
        {"type": kind, "column": name, **ARGUMENTS.get(kind, {"min_value": 0})} for kind in kinds for name in TYPES
    ]
    for kind in sorted(suited.BOUNDED):
        items += [
            {"type": kind, "column": name, "min_value": value} for name in TYPES for value in (0, 1.5, "2024-01-01")
        ]
    ruled_out = [item for item in items if suited.misfit(item, TYPES)]
    assert len(ruled_out) > 50
    assert [item for item in ruled_out if is_computed(item)] == []
    certain = [
        {"type": "expect_column_mean_to_be_between", "column": name, "min_value": 0}
        for name in ("whole", "real", "flag")
    ]
    certain += [{"type": kind, "column": name, "min_value": value} for kind in sorted(suited.BOUNDED) for name, value in (("whole", 0), ("real", 1), ("day", "2024-01-01"), ("at", "2024-01-01"))]  # fmt: skip
    assert [item for item in certain if suited.misfit(item, TYPES) or not is_computed(item)] == []
    assert suited.misfit({"type": "expect_column_mean_to_be_between", "column": "x"}, {"x": None}) is None
