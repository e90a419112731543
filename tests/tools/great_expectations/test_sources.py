"""``great_expectations.validate_source`` on a SQLite file: counts, batches, quarantine, and what it refuses."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from e2i.errors import BadInput, StepError
from tools.great_expectations.sources import SUITE, Warehouse, counts, frame


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[Warehouse]:
    path = tmp_path / "shop.db"
    with closing(sqlite3.connect(path)) as made:
        frame().to_sql("journeys", made, index=False)
        made.execute("CREATE TABLE days (day DATE, n INTEGER, odd BLOB)")
        made.execute(
            "INSERT INTO days VALUES ('2024-01-01', 1, NULL), ('2024-01-02', 7, NULL), ('2024-01-02', 9, NULL)"
        )
        made.execute("CREATE TABLE texts (n INTEGER)")
        made.execute("INSERT INTO texts VALUES (1), ('many')")
        made.commit()
    found = Warehouse(tmp_path, {"type": "sqlite", "path": str(path)})
    yield found
    found.ctx.close()


def test_sqlite_counts_as_pandas_does_of_all_rows_and_of_a_batch(warehouse: Warehouse) -> None:
    out = warehouse.check()
    assert counts(out) == counts(warehouse.check_frame(frame()))
    assert (out.table, out.quarantined, out.failures, out.quarantined_rows) == (None, None, None, 0)
    train = frame().query("part == 'train' and visits == 2")
    assert counts(warehouse.check(batch={"part": "train", "visits": 2})) == counts(warehouse.check_frame(train))
    assert warehouse.check(batch={"brand": None}).results[0].unexpected_count == frame()["brand"].isna().sum()


def test_quarantined_rows_are_read_and_split(warehouse: Warehouse) -> None:
    suite = SUITE[1:4]
    out = warehouse.check(suite, on_failure="quarantine", batch={"part": "test"})
    rows = frame().query("part == 'test'")
    bad = rows["brand"].isin(["Other"]) | (rows["calls"].notna() & ~rows["calls"].between(10, 90))
    assert out.table and out.quarantined and out.failures
    expected = warehouse.ctx.frame(warehouse.ctx.table(rows[~bad].reset_index(drop=True)))
    pd.testing.assert_frame_equal(warehouse.ctx.frame(out.table), expected)
    assert out.quarantined.rows == out.quarantined_rows == bad.sum()
    assert counts(out) == counts(warehouse.check(suite, batch={"part": "test"}))
    dated = warehouse.check(
        [{"type": "expect_column_values_to_be_between", "column": "n", "max_value": 8}],
        table="days",
        batch={"day": "2024-01-02"},
        on_failure="quarantine",
    )
    assert dated.table and [column.type for column in dated.table.columns] == ["date32[day]", "int64", "binary"]
    assert (dated.table.rows, dated.quarantined_rows) == (1, 1)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"source": "other"}, 'no database "other"'),
        ({"source": "files"}, '"files" is a folder'),
        ({"table": "journey"}, "has no table 'journey'"),
        ({"table": "journeys; DROP TABLE journeys"}, "has no table"),
        ({"table": "(SELECT 1)"}, "has no table"),
        ({"batch": {"prt": "a"}}, "has no column 'prt'"),
        ({"batch": {"part": "' OR 1=1 --"}}, "no rows with part"),
        ({"batch": {"visits": 77}}, "no rows with visits = 77"),
        ({"table": "days", "batch": {"day": "someday"}}, "column 'day' has no value 'someday'"),
        ({"table": "texts", "on_failure": "quarantine"}, "column 'n' has a value that is no int64"),
    ],
)
def test_what_the_database_does_not_have_is_named(warehouse: Warehouse, params: dict[str, Any], message: str) -> None:
    item = {"type": "expect_table_row_count_to_be_between", "min_value": 1}
    with pytest.raises(BadInput, match=message):
        warehouse.check([item], **params)
    with closing(
        sqlite3.connect(str(warehouse.ctx.settings("great_expectations").datasources["warehouse"].path))
    ) as made:  # type: ignore[attr-defined]
        assert made.execute("SELECT count(*) FROM journeys").fetchone() == (400,)


def test_a_failure_fails_the_step_and_one_of_the_whole_table_in_spite_of_a_quarantine(warehouse: Warehouse) -> None:
    for terms in ({"on_failure": "fail"}, {"on_failure": "quarantine"}):
        with pytest.raises(StepError, match=r"expectations failed: .*expect_table_row_count_to_be_between"):
            warehouse.check([SUITE[-1]], **terms)
