"""A table of one row is shown as its values; any other output as it is."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from context import LocalContext
from e2i.records import one_row

ROW = {"requests": 148, "canary": 0.37, "at": dt.datetime(2026, 1, 1, tzinfo=dt.UTC), "why": None}


def document(ctx: LocalContext, rows: list[dict[str, Any]]) -> Any:
    return ctx.table(pa.Table.from_pylist(rows)).model_dump(mode="json")


def test_the_values_of_its_columns_are_returned(ctx: LocalContext) -> None:
    found = one_row.of(document(ctx, [ROW]), lambda table: ctx.open(table))
    assert found == {"requests": 148, "canary": 0.37, "at": "2026-01-01 00:00:00+00:00", "why": None}


def test_other_outputs_and_lost_files_are_no_row(ctx: LocalContext, tmp_path: Path) -> None:
    wide = [{f"c{number}": number for number in range(one_row.WIDEST + 1)}]
    for value in (3, {"rows": 1}, document(ctx, [ROW, ROW]), document(ctx, wide)):
        assert one_row.of(value, lambda table: ctx.open(table)) is None
    assert one_row.of(document(ctx, [ROW]), lambda table: tmp_path / "gone") is None


@pytest.mark.parametrize("content", [b"", b"ARROW1"])
def test_a_corrupt_file_is_no_row(ctx: LocalContext, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "corrupt").write_bytes(content)
    assert one_row.of(document(ctx, [ROW]), lambda table: tmp_path / "corrupt") is None
