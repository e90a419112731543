"""SQLite files: types by values, one SELECT that cannot write, rows that are delivered once and never changed."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from context import LocalContext
from e2i.errors import BadInput, StepError, ToolUnavailable
from e2i.settings import Settings
from e2i.tools.database import ReadParams, WriteParams, actions, effects
from e2i.tools.database.delivery import DELIVERIES
from e2i.tools.database.session import Target
from e2i.tools.database.sqlite import SqliteSession

ROWS = pa.table(
    {
        "id": [1, 2, 3],
        "name": ["ann", None, 'o\'brien "x"; DROP TABLE t; --'],
        "x": [0.1, float("inf"), None],
        "flag": [True, None, False],
        "day": pa.array([dt.date(2026, 1, 1), None, dt.date(1, 1, 1)], pa.date32()),
        "at": pa.array([0, 1, -1], pa.timestamp("us", "UTC")),
        "raw": pa.array([b"\x00\xff", b"", None], pa.binary()),
    }
)
HOSTILE = ['a"b', "t; DROP TABLE x", "select", "", "a b", "ü", "[x]", "`y`", "$1", "?", "%s", "'", "--", "x'||'y"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "shop.db"


@pytest.fixture
def shop(tmp_path: Path, file: Path) -> Iterator[LocalContext]:
    connections = {
        "shop": {"url": f"sqlite:///{file}", "read_only": False, "statement_timeout": 5},
        "reader": {"url": f"sqlite:///{file}"},
    }
    context = LocalContext(tmp_path, settings=Settings(tools={"database": {"connections": connections}}))
    yield context
    context.close()


def write(ctx: LocalContext, rows: pa.Table, into: str = "t", mode: Any = "append", **params: Any) -> Any:
    return actions.write(WriteParams(table=ctx.table(rows), connection="shop", into=into, mode=mode, **params), ctx)


def read(ctx: LocalContext, **params: Any) -> pa.Table:
    return ctx.arrow(actions.read(ReadParams(connection="reader", **params), ctx).table)


def execute(file: Path, *statements: str) -> list[Any]:
    with closing(sqlite3.connect(file)) as connection:
        found: list[Any] = []
        for statement in statements:
            found = connection.execute(statement).fetchall()
        connection.commit()
        return found


def test_a_table_comes_back_as_it_was(shop: LocalContext) -> None:
    write(shop, ROWS)
    assert read(shop, table="t") == ROWS


@pytest.mark.parametrize("name", [name for name in HOSTILE if name])
def test_names_are_quoted(shop: LocalContext, file: Path, name: str) -> None:
    rows = pa.table({name: [1, 2], "other": ["a", "b"]})
    for mode, key, delivery in (("upsert", (name,), "a"), ("upsert", (name,), "b"), ("replace", (), name)):
        write(shop, rows, into=name, mode=mode, key=key, delivery=delivery)
        assert read(shop, table=name) == rows
    write(shop, rows, into=f"{name} 2")
    assert execute(file, "SELECT count(*) FROM sqlite_master WHERE type = 'table'") == [(3,)]


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM t", "DROP TABLE t", "SELECT 1; DROP TABLE t", "SELECT 1) SELECT 1 FROM (DELETE FROM t", "INSERT INTO t (id) VALUES (9)",
        "ATTACH 'x.db' AS y", "PRAGMA user_version = 3", "SELECT load_extension('x')", "CREATE TABLE y (a)", "VACUUM INTO 'y.db'",
        "WITH x AS (SELECT 1) DELETE FROM t", "UPDATE t SET id = 2 RETURNING id", "COMMIT", "SELECT * FROM nothing", "SELEC 1",
        "SELECT 1 -- x\n; DELETE FROM t", "BEGIN IMMEDIATE", "EXPLAIN DELETE FROM t",
    ],
)  # fmt: skip
@pytest.mark.parametrize("connection", ["reader", "shop"])
def test_only_one_select_can_be_read(shop: LocalContext, file: Path, query: str, connection: str) -> None:
    write(shop, ROWS)
    before = execute(file, "SELECT * FROM t"), file.stat().st_size
    with pytest.raises(StepError):
        actions.read(ReadParams(connection=connection, query=query), shop)
    assert (execute(file, "SELECT * FROM t"), file.stat().st_size) == before
    assert [item.name for item in file.parent.iterdir() if item.is_file()] == [file.name]


def test_values_are_bound_and_never_text(shop: LocalContext) -> None:
    write(shop, ROWS)
    name = ROWS["name"][2].as_py()
    assert read(shop, query="SELECT id FROM t WHERE name = $1 -- the end", params=[name])["id"].to_pylist() == [3]
    assert read(shop, query="SELECT id FROM t WHERE name = $1 OR id = $2;", params=["' OR 1=1 --", 1]).num_rows == 1
    assert read(shop, query="SELECT $2 AS b, $1 AS a, $3 AS n", params=[1, "x", None]).to_pylist() == [
        {"b": "x", "a": 1, "n": None}
    ]


def test_a_contract_chooses_columns_and_their_types(shop: LocalContext, file: Path) -> None:
    execute(file, "CREATE TABLE raw (a, b, c)", "INSERT INTO raw VALUES ('1.10', '2026-01-01', 7), (NULL, NULL, NULL)")
    found = read(shop, query="SELECT * FROM raw", columns={"c": "integer", "a": "decimal(5,2)", "b": "date"})
    assert found.to_pylist()[0] == {"c": 7, "a": Decimal("1.10"), "b": dt.date(2026, 1, 1)}
    with pytest.raises(StepError, match='no column "d"') as missing:
        read(shop, query="SELECT * FROM raw", columns={"d": "integer"})
    assert missing.value.code == "unknown-column"
    with pytest.raises(StepError, match=r"'a'.*integer"):
        read(shop, query="SELECT * FROM raw", columns={"a": "integer"})


def test_a_text_that_is_no_number_is_not_missing(shop: LocalContext, file: Path) -> None:
    execute(file, "CREATE TABLE raw (a, s)", "INSERT INTO raw VALUES ('1', ''), ('NA', 'NA'), (NULL, NULL)")
    assert read(shop, table="raw", columns={"s": "string"})["s"].to_pylist() == ["", "NA", None]
    with pytest.raises(StepError, match="'a' has a text that is no integer"):
        read(shop, table="raw", columns={"a": "integer"})
    found = read(shop, query="SELECT nullif(a, 'NA') AS a FROM raw", columns={"a": "integer"})
    assert found["a"].to_pylist() == [1, None, None]


def test_columns_of_mixed_values_are_refused_by_name(shop: LocalContext, file: Path) -> None:
    execute(file, "CREATE TABLE raw (a, b)", "INSERT INTO raw VALUES (1, 'x'), (2.5, 3)")
    with pytest.raises(StepError, match="'b' has values of different types: int64 and string"):
        read(shop, query="SELECT a, b FROM raw")
    assert read(shop, query="SELECT a, CAST(b AS TEXT) b FROM raw").to_pylist() == [
        {"a": 1.0, "b": "x"},
        {"a": 2.5, "b": "3"},
    ]
    execute(file, f"INSERT INTO raw VALUES ({2**60 + 1}, 'z')")
    with pytest.raises(StepError, match="'a' cannot be read as double"):
        read(shop, query="SELECT a FROM raw")
    with pytest.raises(StepError, match="duplicate column names"):
        read(shop, query="SELECT 1 AS a, 2 AS a")


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pa.array([float("nan")]), "NaN"), (pa.array([2**64 - 1], pa.uint64()), "63 bits"), (pa.array([Decimal("1.10")]), "decimal"),
        (pa.array([[1]]), "list"), (pa.array([1], pa.timestamp("us")), "timestamp"), (pa.array([1], pa.timestamp("ns", "UTC")), "microsecond"),
        (pa.array([1], pa.duration("s")), "duration"), (pa.nulls(1), "null"),
    ],
)  # fmt: skip
def test_what_sqlite_would_change_is_refused_by_name(shop: LocalContext, column: pa.Array, message: str) -> None:
    with pytest.raises(StepError, match=f"'odd' .*{message}"):
        write(shop, pa.table({"id": [1], "odd": column}))
    with pytest.raises(StepError):
        read(shop, table="t")


@pytest.mark.parametrize(
    ("kind", "column"),
    [("INTEGER", ["01"]), ("TEXT", [1]), ("NUMERIC", ["1e3"]), ("REAL", [2**60 + 1]), ("INT", [1.0])],
)
def test_a_present_table_that_would_change_values_is_refused(
    shop: LocalContext, file: Path, kind: str, column: list[Any]
) -> None:
    execute(file, f"CREATE TABLE t (id INTEGER, odd {kind})")
    with pytest.raises(StepError, match="'odd'"):
        write(shop, pa.table({"id": [1], "odd": column}))
    assert execute(file, "SELECT count(*) FROM t") == [(0,)]


def test_rows_are_delivered_once_and_again_when_they_are_gone(shop: LocalContext, file: Path) -> None:
    a, b = pa.table({"id": [1, 2], "v": ["a", "a"]}), pa.table({"id": [2, 3], "v": ["b", "b"]})

    def rows() -> list[Any]:
        return execute(file, "SELECT id, v FROM t ORDER BY 1, 2")

    for _ in range(3):
        write(shop, a)
    assert rows() == [(1, "a"), (2, "a")]
    write(shop, a, delivery="second")
    write(shop, b)
    assert rows() == [(1, "a"), (1, "a"), (2, "a"), (2, "a"), (2, "b"), (3, "b")]
    write(shop, b, mode="replace")
    assert rows() == [(2, "b"), (3, "b")]
    write(shop, a)  # it was replaced
    assert rows() == [(1, "a"), (2, "a"), (2, "b"), (3, "b")]
    write(shop, b, mode="replace")
    write(shop, a, mode="replace")
    write(shop, b, mode="replace")
    assert rows() == [(2, "b"), (3, "b")]
    execute(file, "DROP TABLE t")
    write(shop, b, mode="replace")
    assert rows() == [(2, "b"), (3, "b")]


def test_an_upsert_replaces_rows_by_key(shop: LocalContext, file: Path) -> None:
    write(shop, pa.table({"id": [1, 2], "v": ["a", "a"]}), mode="upsert", key=("id",))
    write(shop, pa.table({"v": ["b", "b"], "id": [2, 3]}), mode="upsert", key=("id",))
    assert execute(file, "SELECT id, v FROM t ORDER BY id") == [(1, "a"), (2, "b"), (3, "b")]
    for rows, message in (
        ({"id": [1, 1], "v": ["x", "y"]}, "1 rows have a key"),
        ({"id": [1, None], "v": ["x", "y"]}, "missing in 1 rows"),
        ({"no": [1], "v": ["x"]}, "no column"),
        ({"id": [1], "v": ["x"], "w": [1]}, "no column 'w'|no column \"w\"|w"),
    ):
        with pytest.raises(StepError, match=message):
            write(shop, pa.table(rows), mode="upsert", key=("id",))
    execute(file, "CREATE TABLE plain (id INTEGER, v TEXT)")
    with pytest.raises(StepError, match="ON CONFLICT"):
        write(shop, pa.table({"id": [1], "v": ["x"]}), into="plain", mode="upsert", key=("id",))


def test_columns_that_the_database_fills_may_be_left_out(shop: LocalContext, file: Path) -> None:
    execute(file, "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT, w TEXT DEFAULT 'x', z TEXT)")
    with pytest.raises(StepError, match="no column z"):
        write(shop, pa.table({"v": ["a"]}))
    write(shop, pa.table({"v": ["a"], "z": ["b"]}))
    assert execute(file, "SELECT * FROM t") == [(1, "a", "x", "b")]


def test_a_table_that_appears_meanwhile_is_written_as_it_is(
    shop: LocalContext, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    genuine, others = (
        SqliteSession.lock,
        iter(["CREATE TABLE t (id INTEGER, v INTEGER)", "ALTER TABLE t ADD w DEFAULT 7"]),
    )

    def late(self: SqliteSession, table: Target) -> None:
        if statement := next(others, None):
            execute(file, statement)
        genuine(self, table)

    monkeypatch.setattr(SqliteSession, "lock", late)
    write(shop, pa.table({"id": [1], "v": [2]}))
    assert execute(file, "SELECT * FROM t") == [(1, 2, 7)]


def test_the_effect_is_verified_by_the_table_of_deliveries(shop: LocalContext, file: Path) -> None:
    params = WriteParams(table=shop.table(ROWS), connection="shop", into="t", mode="append")
    outputs = actions.write(params, shop)
    assert effects.write(params, outputs, shop) is None
    assert execute(file, f"SELECT target, delivery, row_count FROM {DELIVERIES}") == [("t", outputs.delivery, 3)]
    execute(file, f"DELETE FROM {DELIVERIES}")
    assert "does not have the delivery" in (effects.write(params, outputs, shop) or "")
    execute(file, "DROP TABLE t")
    assert "no table" in (effects.write(params, outputs, shop) or "")


def test_a_locked_file_is_an_outage_and_a_slow_query_is_not(tmp_path: Path, file: Path) -> None:
    execute(file, "CREATE TABLE t (id INTEGER)")
    connections = {"shop": {"url": f"sqlite:///{file}", "read_only": False, "statement_timeout": 0.3}}
    ctx = LocalContext(tmp_path, settings=Settings(tools={"database": {"connections": connections}}))
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(ToolUnavailable, match="locked"):
            write(ctx, pa.table({"id": [1]}))
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    with pytest.raises(StepError) as slow:
        actions.read(ReadParams(connection="shop", query=endless), ctx)
    assert slow.value.code == "query-too-slow"
    write(ctx, pa.table({"id": [1]}))
    ctx.close()


def test_only_named_connections_can_be_used(shop: LocalContext, file: Path) -> None:
    for name in ("nothing", f"sqlite:///{file}"):
        with pytest.raises(BadInput) as unknown:
            actions.read(ReadParams(connection=name, table="t"), shop)
        assert unknown.value.code == "unknown-connection"
    params = WriteParams(table=shop.table(ROWS), connection="reader", into="t", mode="append")
    with pytest.raises(BadInput, match="only for reading"):
        actions.write(params, shop)
    with pytest.raises(StepError, match="no file"):
        read(shop, table="t")
    assert not file.exists()


@pytest.mark.parametrize(
    "params",
    [
        {}, {"query": "SELECT 1", "table": "t"}, {"table": "t", "params": [1]}, {"table": "a.b.c"}, {"table": ".t"},
        {"table": "t", "columns": {"a": "int"}},
    ],
)  # fmt: skip
def test_parameters_that_contradict_each_other_are_refused(params: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ReadParams(connection="shop", **params)


@given(
    rows=st.lists(
        st.tuples(
            st.integers(-(2**63), 2**63 - 1),
            st.text(st.characters(exclude_categories=["Cs"])),
            st.floats(allow_nan=False),
            st.binary(),
        ),
        min_size=1,
    )
)
@settings(max_examples=40, suppress_health_check=list(HealthCheck))
def test_any_values_come_back_exactly(shop: LocalContext, rows: list[tuple[Any, ...]]) -> None:
    columns = dict(zip(("i", "s", "f", "b"), zip(*rows, strict=True), strict=True))
    table = pa.table({name: list(values) for name, values in columns.items()})
    write(shop, table, mode="replace")
    assert read(shop, table="t").equals(table)
