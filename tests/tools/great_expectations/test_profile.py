"""``great_expectations.profile``: a proposed suite holds for its table and for one like it, and finds planted defects."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from context import LocalContext
from e2i.errors import StepError
from e2i.tools.great_expectations import ProfileOutputs, ProfileParams, shapes, validation
from e2i.tools.great_expectations.actions import profile
from e2i.tools.great_expectations.suite import Suite, load
from e2i.workers import frames

START = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
BRANDS = ["Remibrutinib", "Fabhalta", "Kisqali"]


def visits(seed: int, rows: int = 600) -> pa.Table:
    """Rows of a plain business table, every column of another kind."""
    rng = np.random.default_rng(seed)
    days = rng.integers(0, 300, rows)
    return pa.table(
        {
            "id": [f"HCP{number:06d}" for number in rng.permutation(90_000)[:rows]],
            "number": pa.array(rng.permutation(10**6)[:rows] + 10**15),
            "brand": rng.choice(BRANDS, rows),
            "target": rng.integers(0, 2, rows),
            "calls": rng.poisson(20, rows),
            "score": rng.random(rows),
            "change": rng.normal(0, 5, rows),
            "amount": pa.array([Decimal(int(one)) / 100 for one in rng.integers(100, 9_999, rows)], pa.decimal128(8, 2)),
            "visits": pa.array([None if one > 8 else int(one) for one in rng.integers(0, 10, rows)], pa.int64()),
            "seen": [(START + dt.timedelta(days=int(day))).date() for day in days],
            "at": pa.array([START + dt.timedelta(hours=int(day)) for day in days], pa.timestamp("us", "UTC")),
            "note": [None if one < 0.2 else "word " * int(1 + 9 * one) for one in rng.random(rows)],
            "flag": rng.random(rows) > 0.5,
            "tags": [["a"]] * rows,
            "none": pa.nulls(rows, pa.string()),
        }
    )  # fmt: skip


def replaced(name: str, position: int, value: Any) -> Callable[[pa.Table], pa.Table]:
    """The table with one other value."""

    def changed(table: pa.Table) -> pa.Table:
        values = table[name].to_pylist()
        values[position] = value
        return table.set_column(table.column_names.index(name), name, pa.array(values, table[name].type))

    return changed


def as_values(name: str, values: Callable[[list[Any]], Any]) -> Callable[[pa.Table], pa.Table]:
    """The table with another column of that name."""
    return lambda table: table.set_column(
        table.column_names.index(name), name, pa.array(values(table[name].to_pylist()))
    )


DEFECTS: Mapping[str, Callable[[pa.Table], pa.Table]] = {
    "a column is missing": lambda table: table.drop_columns(["score"]),
    "a column is new": lambda table: table.append_column("extra", table["score"]),
    "a column is renamed": lambda table: table.rename_columns([name.replace("calls", "call") for name in table.column_names]),
    "half of the rows are lost": lambda table: table.slice(0, 250),
    "the rows are there twice": lambda table: pa.concat_tables([table, table]),
    "one row is there twice": lambda table: pa.concat_tables([table, table.slice(3, 1)]),
    "a key has no value": replaced("id", 5, None),
    "a key has a space": replaced("id", 5, "HCP000123 "),
    "a key has another form": replaced("id", 5, "hcp-17"),
    "a number is used twice": lambda table: replaced("number", 5, table["number"][6].as_py())(table),
    "a category is new": replaced("brand", 7, "Other"),
    "a category is misspelt": replaced("brand", 7, "kisqali"),
    "a category is empty": replaced("brand", 7, ""),
    "a target is none of the classes": replaced("target", 8, 2),
    "a count is negative": replaced("calls", 9, -1),
    "a count is far too large": replaced("calls", 9, 9_999),
    "a share is a percentage": as_values("score", lambda values: [100 * value for value in values]),
    "a number is infinite": replaced("change", 10, float("inf")),
    "an amount is in cents": as_values("amount", lambda values: [value * 100 for value in values]),
    "most values are gone": as_values("visits", lambda values: [value if index % 2 else None for index, value in enumerate(values)]),
    "a column has no values": as_values("change", lambda values: pa.nulls(len(values), pa.float64())),
    "a column is constant": as_values("score", lambda values: [0.5] * len(values)),
    "numbers are texts": as_values("calls", lambda values: [str(value) for value in values]),
    "a date is in another century": replaced("seen", 11, dt.date(1924, 1, 1)),
    "a time is the start of the epoch": replaced("at", 12, dt.datetime(1970, 1, 1, tzinfo=dt.UTC)),
    "a text is a document": replaced("note", 13, "x" * 5_000),
}  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LocalContext, ProfileOutputs]]:
    ctx = LocalContext(tmp_path_factory.mktemp("profile"))
    yield ctx, proposed(ctx, visits(1), key=["id"], exclude=[])
    ctx.close()


def proposed(ctx: LocalContext, rows: pa.Table, **params: Any) -> ProfileOutputs:
    return asyncio.run(
        profile(ProfileParams.model_validate({"table": ctx.table(rows), "name": "visits", **params}), ctx)
    )


def unmet(rows: pa.Table, suite: Suite) -> list[str]:
    found = validation.validate(frames.to_frame(rows), suite, 0)
    return [f"{item.type}({', '.join(item.columns)})" for item in found.outcomes if not item.success]


SAMPLE = ("a column is renamed", "a category is new", "a share is a percentage")
"""Planted defects of the default tests; the slow ones try them all."""


@pytest.mark.parametrize("names", [SAMPLE, pytest.param(tuple(DEFECTS), marks=pytest.mark.slow)], ids=["some", "all"])
def test_a_proposed_suite_holds_for_its_table_and_fails_for_each_planted_defect(
    made: tuple[LocalContext, ProfileOutputs], names: tuple[str, ...]
) -> None:
    ctx, out = made
    assert ctx.warned == [], "every proposal is met by the table"
    (ctx.workspace / "visits.yaml").write_bytes(ctx.open(out.suite).read_bytes())
    suite = load(ctx.workspace / "visits.yaml", "visits")
    assert suite.expectations == out.expectations and out.suite.name == "visits.yaml"
    assert "Proposed from a table of 600 rows" in (suite.description or "")
    rows = visits(1)
    assert unmet(rows, suite) == []
    assert unmet(visits(2, 500), suite) == [], "rows like those of the table meet it too"
    assert len(DEFECTS) >= 20
    found = {name: unmet(DEFECTS[name](rows), suite) for name in names}
    assert [name for name, failed in found.items() if not failed] == []


def test_only_what_the_table_shows_clearly_is_proposed(made: tuple[LocalContext, ProfileOutputs]) -> None:
    ctx, out = made
    by_column: dict[str, list[str]] = {}
    for item in out.expectations:
        by_column.setdefault(str(item.arguments.get("column")), []).append(item.type)
    assert by_column["none"] == [] if "none" in by_column else True
    assert by_column["tags"] == ["expect_column_values_to_not_be_null"]
    assert "expect_column_values_to_be_unique" not in by_column["score"], "numbers with fractions are no keys"
    assert "expect_column_values_to_be_in_set" not in by_column["calls"]
    few = proposed(ctx, pa.table({"a": ["x", "y"], "b": [1, 2]}))
    assert {item.type for item in few.expectations}.isdisjoint(
        {"expect_column_values_to_be_unique", "expect_column_values_to_be_in_set"}
    )
    part = proposed(ctx, visits(1).select(["brand", "calls"]), exclude=["calls"])
    assert not any("calls" in str(item.model_extra) for item in part.expectations)
    assert ctx.open(proposed(ctx, visits(1), key=["id"]).suite).read_bytes() == ctx.open(out.suite).read_bytes()


def test_a_key_must_identify_rows(made: tuple[LocalContext, ProfileOutputs]) -> None:
    ctx, _ = made
    with pytest.raises(StepError, match="brand do not identify a row: 597 rows repeat another"):
        proposed(ctx, visits(1), key=["brand"])
    with pytest.raises(StepError, match="no column 'idd'"):
        proposed(ctx, visits(1), key=["idd"])
    both = proposed(ctx, pa.table({"a": [1, 1, 2], "b": [1, 2, 1]}), key=["a", "b"])
    assert both.expectations[-1].type == "expect_compound_columns_to_be_unique"


@pytest.mark.parametrize(
    ("texts", "shape"),
    [
        ([f"HCP{number:04d}" for number in range(20)], "^[A-Z]{3}[0-9]{4}$"),
        ([f"a-{number}" for number in range(20)], r"^[a-z]\-[0-9]+$"),
        ([f"{number}.5" for number in range(20)], r"^[0-9]+\.[0-9]$"),
        (["one", "two"] * 10, None),
        ([f"{number}" if number % 2 else f"x{number}" for number in range(20)], None),
        ([f"é{number}" for number in range(20)], None),
        (["", "1"] * 10, None),
    ],
)
def test_texts_of_one_form_have_a_shape(texts: list[str], shape: str | None) -> None:
    assert shapes.common(texts) == shape
