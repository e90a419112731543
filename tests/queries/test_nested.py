"""Names of nested types in Arrow and DuckDB: those that DuckDB itself gives."""

from __future__ import annotations

import pyarrow as pa
import pytest

from e2i.queries import arrow, session, types

LEAVES = [pa.int64(), pa.float64(), pa.string(), pa.timestamp("us", "UTC"), pa.date32()]
NESTED = [
    *(pa.list_(leaf) for leaf in LEAVES),
    pa.list_(pa.list_(pa.int64())),
    pa.list_(pa.float64(), 3),
    pa.map_(pa.string(), pa.list_(pa.int64())),
    pa.struct([("a", pa.int64()), ("b c", pa.list_(pa.string()))]),
    pa.struct([("inner", pa.struct([("x", pa.map_(pa.string(), pa.float64()))]))]),
]


@pytest.mark.parametrize("kind", [*LEAVES, *NESTED], ids=str)
def test_a_type_has_the_name_that_duckdb_gives_it_and_comes_back(kind: pa.DataType) -> None:
    name = types.to_duckdb(str(kind))
    assert name is not None
    with session.planning() as connection:
        connection.execute(f"CREATE TABLE t (x {name})")
        ((_, described, *_),) = connection.execute("DESCRIBE t").fetchall()
    back = types.to_arrow(described)
    assert back == str(kind)
    assert arrow.of(back) == kind


@pytest.mark.parametrize("name", ["struct<", "list<>", "decimal256(40, 2)", "month_day_nano_interval", "no such type"])
def test_an_unknown_type_has_no_name(name: str) -> None:
    assert types.to_duckdb(name) is None


def test_families() -> None:
    assert types.family("int8") == types.family("double") == types.family("decimal128(9, 2)") == "number"
    assert types.family("date32[day]") == types.family("timestamp[ms, tz=Europe/Paris]") == "time"
    assert types.family("dictionary<values=string, indices=int32, ordered=0>") == "text"
    assert types.family("struct<a: int64>") != types.family("struct<b: int64>")
