"""Arrow tables on disk: types, bytes and refusals."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import arrow_tables
from e2i.errors import StepError
from e2i.store.digests import digest_of
from e2i.workers import tables


def test_a_table_comes_back_with_its_types(tmp_path: Path) -> None:
    table = pa.table({
        "id": pa.array([1, None, 2**62], pa.int64()),
        "when": pa.array([1, None, 3], pa.timestamp("ns", "Europe/Berlin")),
        "kind": pa.array(["a", None, "b"]).dictionary_encode(),
        "parts": pa.array([[1, None], None, []], pa.list_(pa.int32())),
    })  # fmt: skip
    columns, digest = tables.write(table, tmp_path / "t")
    assert digest == digest_of(tmp_path / "t")
    assert [column.type for column in columns] == [
        "int64", "timestamp[ns, tz=Europe/Berlin]", "dictionary<values=string, indices=int32, ordered=0>", "list<item: int32>",
    ]  # fmt: skip
    assert tables.read(tmp_path / "t") == table
    assert tables.read(tmp_path / "t", ["kind", "id"]).column_names == ["kind", "id"]


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        (pa.array(["a", None], pa.large_string()), pa.array(["a", None])),
        (pa.array(["a", None], pa.string_view()), pa.array(["a", None])),
        (pa.array([b"a", None], pa.large_binary()), pa.array([b"a", None])),
        (pa.array([[1], None], pa.large_list(pa.int8())), pa.array([[1], None], pa.list_(pa.int8()))),
        (pa.array([dt.date(2024, 1, 1), None], pa.date64()), pa.array([dt.date(2024, 1, 1), None], pa.date32())),
        (
            pa.array(["a", "a"]).dictionary_encode().cast(pa.dictionary(pa.int8(), pa.string())),
            pa.array(["a", "a"]).dictionary_encode(),
        ),
        (pa.array([{"a": "x"}], pa.struct([("a", pa.large_string())])), pa.array([{"a": "x"}])),
    ],
    ids=lambda array: str(array.type),
)
def test_the_encoding_of_a_type_is_the_one_that_every_reader_knows(
    given: pa.Array, stored: pa.Array, tmp_path: Path
) -> None:
    tables.write(pa.table({"c": given}), tmp_path / "t")
    assert tables.read(tmp_path / "t")["c"].combine_chunks() == stored


def test_the_bytes_depend_on_the_content_alone(tmp_path: Path) -> None:
    clean = pa.table({"n": [1, None, 3], "t": ["x", None, "z"], "k": pa.array(["a", "b", "a"]).dictionary_encode()})
    junk = pa.Array.from_buffers(pa.int64(), 3, [pa.py_buffer(b"\x05"), pa.py_buffer(np.array([1, 99, 3]).tobytes())])
    other = pa.table({
        "n": junk,
        "t": pa.chunked_array([["x"], [None, "z"]]),
        "k": pa.chunked_array([pa.array(["a", "b"]).dictionary_encode(), pa.array(["a"]).dictionary_encode()]),
    }).replace_schema_metadata({"made": "by hand"})  # fmt: skip
    assert tables.write(clean, tmp_path / "one")[1] == tables.write(other, tmp_path / "two")[1]


@given(arrow_tables.tables(), st.data())
@settings(max_examples=150, suppress_health_check=list(HealthCheck))
def test_the_bytes_do_not_depend_on_chunks(tmp_path: Path, table: pa.Table, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, table.num_rows), max_size=4)))
    parts = [table.slice(start, end - start) for start, end in zip([0, *cuts], [*cuts, table.num_rows], strict=True)]
    cut = pa.concat_tables(parts)
    one, many = tables.write(table, tmp_path / "one"), tables.write(cut, tmp_path / "many")
    assert one == many
    assert arrow_tables.same(tables.read(tmp_path / "many"), table)


@pytest.mark.parametrize(
    "column",
    [
        pa.array([pa.MonthDayNano([1, 2, 3])]),
        pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])]),
        pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"0123456789abcdef"], pa.binary(16))),
        pa.array([[pa.MonthDayNano([1, 2, 3])]]),
    ],
    ids=lambda array: str(array.type),
)
def test_a_type_that_has_no_place_in_a_table_is_refused_by_column(column: pa.Array, tmp_path: Path) -> None:
    with pytest.raises(StepError, match="column 'odd' has the Arrow type") as raised:
        tables.write(pa.table({"fine": [1], "odd": column}), tmp_path / "t")
    assert raised.value.code == "bad-table"


def test_a_second_column_of_one_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="duplicate column names: a") as raised:
        tables.write(pa.table([[1], [2]], names=["a", "a"]), tmp_path / "t")
    assert raised.value.code == "duplicate-column"


def test_an_absent_column_is_named_with_those_that_are_there(tmp_path: Path) -> None:
    tables.write(pa.table({"id": [1], "score": [0.5]}), tmp_path / "t")
    with pytest.raises(StepError, match=r"no column 'none'; columns: id, score"):
        tables.read(tmp_path / "t", ["id", "none"])


def test_a_table_without_rows_or_columns_is_stored(tmp_path: Path) -> None:
    for name, table in {"rows": pa.table({"a": pa.array([], pa.int32())}), "columns": pa.table({})}.items():
        tables.write(table, tmp_path / name)
        assert tables.read(tmp_path / name).schema == table.schema
