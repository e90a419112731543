"""A real PostgreSQL: types, one SELECT that cannot write, rows delivered once although processes die, and a server that is down."""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest

from context import LocalContext
from e2i.errors import AuthenticationFailed, StepError, ToolUnavailable
from e2i.settings import Settings
from e2i.tools.database import ReadParams, WriteParams, actions, effects
from live.servers import Postgres
from project import Project

ROWS = pa.table(
    {
        "id": pa.array([1, 2, 3], pa.int64()),
        "small": pa.array([1, None, -3], pa.int16()),
        "name": ["ann", None, 'o\'brien "x"; DROP TABLE t; --'],
        "x": [0.1, float("nan"), None],
        "y": pa.array([0.5, float("inf"), None], pa.float32()),
        "flag": [True, None, False],
        "amount": pa.array([Decimal("1.10"), None, Decimal("-99999999.99")], pa.decimal128(10, 2)),
        "day": pa.array([dt.date(2026, 1, 1), None, dt.date(1, 1, 1)], pa.date32()),
        "at": pa.array([0, 1, -1], pa.timestamp("us", "UTC")),
        "local": pa.array([0, 1, None], pa.timestamp("us")),
        "clock": pa.array([dt.time(1, 2, 3, 4), None, dt.time()], pa.time64("us")),
        "raw": pa.array([b"\x00\xff", b"", None], pa.binary()),
    }
)


class Shop:
    """A step context with one database."""

    def __init__(self, root: Path, url: str, **settings: Any) -> None:
        self.url = url
        connections = {
            "shop": {"url": url, "read_only": False, "statement_timeout": 20, **settings},
            "reader": {"url": url, "statement_timeout": 20, **settings},
        }
        self.ctx = LocalContext(root, settings=Settings(tools={"database": {"connections": connections}}))

    def write(self, rows: pa.Table, into: str = "t", mode: Any = "append", **params: Any) -> Any:
        given = WriteParams(table=self.ctx.table(rows), connection="shop", into=into, mode=mode, **params)
        return actions.write(given, self.ctx)

    def read(self, **params: Any) -> pa.Table:
        return self.ctx.arrow(actions.read(ReadParams(connection="reader", **params), self.ctx).table)

    def execute(self, *statements: str) -> list[Any]:
        with psycopg.connect(self.url) as connection:
            for statement in statements:
                cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []


@pytest.fixture
def shop(tmp_path: Path, postgres: Postgres) -> Iterator[Shop]:
    made = Shop(tmp_path, postgres.database())
    yield made
    made.ctx.close()


def test_a_table_comes_back_as_it_was(shop: Shop) -> None:
    shop.write(ROWS)
    found = shop.read(table="t")
    assert found.schema == ROWS.schema and str(found.to_pylist()) == str(ROWS.to_pylist())


OTHER_NAMES = ("t; DROP TABLE x", "select", "a b", "ü", "$1", "--", "A")


@pytest.mark.parametrize(
    "name", ['a"b', "'", "%s", *(pytest.param(name, marks=pytest.mark.slow) for name in OTHER_NAMES)]
)
def test_names_are_quoted(shop: Shop, name: str) -> None:
    rows = pa.table({name: [1, 2], "other": ["a", "b"]})
    shop.execute('CREATE SCHEMA "s p"')
    for mode, key, delivery in (("upsert", (name,), "a"), ("upsert", (name,), "b"), ("replace", (), name)):
        shop.write(rows, into=f"s p.{name}", mode=mode, key=key, delivery=delivery)
        assert shop.read(table=f"s p.{name}") == rows
    assert shop.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 's p'") == [(2,)]


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM t", "DROP TABLE t", "SELECT 1; DROP TABLE t", "WITH x AS (DELETE FROM t RETURNING id) SELECT * FROM x",
        "SELECT 1 INTO y", "COPY t TO STDOUT", "SELECT * FROM t FOR UPDATE", "SET ROLE e2i", "COMMIT", "SELECT * FROM nothing", "SELEC",
        "SELECT set_config('transaction_read_only', 'off', true), (SELECT 1 FROM t LIMIT 1)", "SELECT nextval('n')",
        "SELECT 1) UNION (DELETE FROM t", "VALUES (1); COMMIT; DROP TABLE t",
    ],
)  # fmt: skip
@pytest.mark.parametrize("connection", ["reader", "shop"])
def test_only_one_select_can_be_read(shop: Shop, query: str, connection: str) -> None:
    shop.write(ROWS)
    shop.execute("CREATE SEQUENCE n")
    with pytest.raises(StepError):
        actions.read(ReadParams(connection=connection, query=query), shop.ctx)
    assert shop.execute("SELECT count(*) FROM t") == [(3,)]


def test_what_a_read_does_beside_reading_is_undone(shop: Shop) -> None:
    shop.read(query="SELECT lo_creat(1)::bigint AS made")
    assert shop.execute("SELECT count(*) FROM pg_largeobject_metadata") == [(0,)]


def test_values_are_bound_and_never_text(shop: Shop) -> None:
    shop.write(ROWS)
    name = ROWS["name"][2].as_py()
    assert shop.read(query="SELECT id FROM t WHERE name = $1 -- the end", params=[name])["id"].to_pylist() == [3]
    assert shop.read(query="SELECT id FROM t WHERE name = $1 OR id = $2", params=["' OR 1=1 --", 1]).num_rows == 1
    assert shop.read(query="SELECT id FROM t WHERE flag = $1 OR x = $2", params=[False, 0.1]).num_rows == 2


def test_types_without_a_faithful_form_are_refused_by_name(shop: Shop) -> None:
    shop.execute("CREATE TABLE odd (n numeric, u uuid, j jsonb, p interval, l int[], e int4range)")
    shop.execute(
        "INSERT INTO odd VALUES (1.5, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{\"a\": 1}', '1 day', '{1}', '[1,2)')"
    )
    for column in ("n", "p", "l", "e"):
        with pytest.raises(StepError, match=f"'{column}'"):
            shop.read(query=f"SELECT {column} FROM odd")
    assert shop.read(query="SELECT u, j FROM odd").to_pylist() == [
        {"u": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "j": '{"a": 1}'}
    ]
    found = shop.read(query="SELECT n, p::text p FROM odd", columns={"n": "decimal(5,2)", "p": "string"})
    assert found.to_pylist() == [{"n": Decimal("1.50"), "p": "1 day"}]
    shop.execute("INSERT INTO odd (n) VALUES ('NaN')")
    with pytest.raises(StepError, match="'n'"):
        shop.read(query="SELECT n FROM odd", columns={"n": "decimal(5,2)"})
    for column in (pa.array([1], pa.uint64()), pa.array([[1]]), pa.array([1], pa.timestamp("ns")), pa.nulls(1)):
        with pytest.raises(StepError, match="'odd'"):
            shop.write(pa.table({"odd": column}), into="new")
    assert shop.execute("SELECT to_regclass('new')") == [(None,)]


@pytest.mark.parametrize(
    ("kind", "values", "is_kept"),
    [
        ("varchar(3)", ["abc"], True), ("varchar(3)", ["abcd"], False), ("varchar(3)", ["abc "], False), ("integer", [1], True),
        ("integer", [2**31], False), ("numeric(6,2)", [Decimal("1.10")], True), ("numeric(3,1)", [Decimal("1.11")], False),
        ("jsonb", ['{"a": 1}'], True), ("jsonb", ["{"], False), ("real", [0.1], False), ("real", [0.5], True),
        ("timestamp", pa.array([1], pa.timestamp("us", "UTC")), False), ("date", pa.array([1], pa.timestamp("us")), False),
        ("uuid", ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"], True),
    ],
)  # fmt: skip
def test_a_present_table_gets_no_value_that_it_would_change(shop: Shop, kind: str, values: Any, is_kept: bool) -> None:
    shop.execute(f"CREATE TABLE t (odd {kind})")
    rows = pa.table({"odd": values})
    if is_kept:
        shop.write(rows)
    else:
        with pytest.raises(StepError, match="'odd'"):
            shop.write(rows)
    assert shop.execute("SELECT count(*) FROM t") == [(int(is_kept),)]


def test_rows_are_delivered_once_and_again_when_they_are_gone(shop: Shop) -> None:
    a, b = pa.table({"id": [1, 2], "v": ["a", "a"]}), pa.table({"v": ["b", "b"], "id": [2, 3]})
    for _ in range(3):
        shop.write(a)
    assert shop.execute("SELECT count(*) FROM t") == [(2,)]
    shop.write(b, mode="replace")
    shop.write(a)
    assert shop.execute("SELECT count(*) FROM t") == [(4,)]
    for rows in (a, b, a):
        shop.write(rows, into="u", mode="upsert", key=("id",))
    assert shop.execute("SELECT id, v FROM u ORDER BY id") == [(1, "a"), (2, "a"), (3, "b")]
    params = WriteParams(table=shop.ctx.table(a), connection="shop", into="u", mode="upsert", key=("id",))
    outputs = actions.write(params, shop.ctx)
    assert effects.write(params, outputs, shop.ctx) is None
    shop.execute("DROP TABLE u")
    assert "no table" in (effects.write(params, outputs, shop.ctx) or "")


def test_columns_that_the_database_fills_may_be_left_out(shop: Shop) -> None:
    shop.execute(
        "CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY, at timestamptz DEFAULT now(), v text, w text)"
    )
    with pytest.raises(StepError, match="no column w"):
        shop.write(pa.table({"v": ["a"]}))
    shop.write(pa.table({"w": ["b"], "v": ["a"]}))
    assert shop.execute("SELECT id, v, w FROM t WHERE at IS NOT NULL") == [(1, "a", "b")]


@pytest.mark.parametrize("is_equal", [True, False])
def test_those_who_deliver_at_once_deliver_once(shop: Shop, tmp_path: Path, is_equal: bool) -> None:
    others = [Shop(tmp_path / str(number), shop.url) for number in range(4)]
    rows = [pa.table({"id": range(1000), "by": [0 if is_equal else number] * 1000}) for number in range(4)]
    with ThreadPoolExecutor(4) as threads:
        assert [one.rows for one in threads.map(Shop.write, others, rows)] == [1000] * 4
    assert shop.write(rows[0]).rows == 1000
    assert shop.execute("SELECT count(*) FROM t") == [(1000 if is_equal else 4000,)]
    for other in others:
        other.ctx.close()


def test_a_million_rows_are_read_in_batches(shop: Shop) -> None:
    query = "SELECT i AS id, i / 2.0::float8 AS x, 'name ' || i AS name FROM generate_series(1, $1::int) AS i"
    found = shop.read(query=query, params=[1_000_000])
    assert found.num_rows == 1_000_000 and found["id"][-1].as_py() == 1_000_000
    assert found.schema.types == [pa.int32(), pa.float64(), pa.string()]
    assert shop.read(query=query, params=[0]).schema == found.schema


def test_a_slow_query_is_no_outage_and_a_server_that_is_down_is_one(tmp_path: Path, postgres: Postgres) -> None:
    shop = Shop(tmp_path, postgres.database(), statement_timeout=0.5)
    with pytest.raises(StepError) as slow:
        shop.read(query="SELECT pg_sleep(60)::text")
    assert slow.value.code == "query-too-slow"
    postgres.kill()
    for number in range(6):
        with pytest.raises(ToolUnavailable) as down:
            shop.read(query="SELECT 1 AS a")
        assert (down.value.code == "circuit-open") == (number == 5)
    postgres.start()
    shutil.rmtree(shop.ctx.worker.store.root / "breakers")
    assert Shop(tmp_path, shop.url).read(query="SELECT 1 AS a").num_rows == 1


def test_a_server_that_hangs_misses_the_deadline(tmp_path: Path, postgres: Postgres) -> None:
    shop = Shop(tmp_path, postgres.database(), statement_timeout=0.5)
    with shop.ctx.connect(actions.Databases).opened("shop") as session:
        (backend,) = session.run("SELECT pg_backend_pid()")[0]
        os.kill(backend, signal.SIGSTOP)
        started = time.monotonic()
        try:
            with pytest.raises(ToolUnavailable) as hung:
                session.run("SELECT 1")
        finally:
            os.kill(backend, signal.SIGCONT)
    assert hung.value.code == "deadline-missed" and time.monotonic() - started < 30


def test_the_doctor_asks_each_server(project: Project, postgres: Postgres) -> None:
    down = postgres.database().replace(str(postgres.port), "1")
    places = {"up": {"url": postgres.database()}, "down": {"url": down}, "file": {"url": "sqlite:///x.db"}}
    project.write("config/default.yaml", json.dumps({"sinks": [], "tools": {"database": {"connections": places}}}))
    found = json.loads(project.cli("doctor", "--json").stdout)
    (database,) = [tool for tool in found["tools"] if tool["tool"] == "database"]
    assert {service["service"]: service["reachable"] for service in database["services"]} == {"up": True, "down": False}


def test_wrong_credentials_are_no_outage(tmp_path: Path, postgres: Postgres) -> None:
    url = postgres.database()
    shop = Shop(tmp_path, url)
    shop.execute("DROP ROLE IF EXISTS guest", "CREATE ROLE guest LOGIN", "CREATE TABLE t (id int)")
    guest = Shop(tmp_path / "guest", url.replace("e2i@", "guest:canary-password@"))
    with pytest.raises(AuthenticationFailed) as refused:
        guest.read(table="t")
    assert "canary" not in str(refused.value)
    nobody = Shop(tmp_path / "nobody", url.replace("e2i@", "nobody-there:canary-password@"))
    with pytest.raises(AuthenticationFailed) as unknown:
        nobody.read(table="t")
    assert "canary" not in str(unknown.value)
