"""Statements that do more than compute a table from tables. Each is refused before a run, and in it."""

from __future__ import annotations

import pandas as pd
import pytest

from context import LocalContext
from e2i.catalog.columns import KnownTable
from e2i.catalog.files import NO_FILES
from e2i.errors import StepError
from e2i.tools.sql import QueryParams
from e2i.tools.sql.actions import query as run
from e2i.tools.sql.columns import query as flow

ONLY_SELECT = "only a SELECT is possible"
PLAIN_NAMES = "by their plain names"
NO_TABLE = "there is no table"
NO_FUNCTION = "is not possible in a query"
NO_ROWS = "is not possible in FROM"
OUTSIDE = "depends on the time or the session"
GROWING = "is computed while the query is checked"

HOSTILE = {
    # Other statements.
    "CREATE TABLE x AS SELECT 1": ONLY_SELECT,
    "CREATE MACRO f() AS 1": ONLY_SELECT,
    "DROP TABLE t": ONLY_SELECT,
    "ALTER TABLE t ADD COLUMN z INT": ONLY_SELECT,
    "INSERT INTO t VALUES (1, 2, 'x')": ONLY_SELECT,
    "UPDATE t SET a = 1": ONLY_SELECT,
    "DELETE FROM t": ONLY_SELECT,
    "ATTACH 'other.db'": ONLY_SELECT,
    "ATTACH 'host=localhost' AS pg (TYPE postgres)": ONLY_SELECT,
    "USE other": ONLY_SELECT,
    "COPY t TO 'out.csv'": ONLY_SELECT,
    "COPY t FROM 'in.csv'": ONLY_SELECT,
    "EXPORT DATABASE 'folder'": ONLY_SELECT,
    "INSTALL httpfs": ONLY_SELECT,
    "LOAD httpfs": ONLY_SELECT,
    "SET lock_configuration = false": ONLY_SELECT,
    "RESET memory_limit": ONLY_SELECT,
    "PRAGMA database_list": ONLY_SELECT,
    "CALL pragma_version()": ONLY_SELECT,
    "PREPARE p AS SELECT 1": ONLY_SELECT,
    "EXECUTE p": ONLY_SELECT,
    "EXPLAIN SELECT * FROM t": ONLY_SELECT,
    "EXPLAIN ANALYZE SELECT * FROM t": ONLY_SELECT,
    "CHECKPOINT": ONLY_SELECT,
    "VACUUM": ONLY_SELECT,
    "BEGIN": ONLY_SELECT,
    "CREATE SECRET (TYPE s3)": ONLY_SELECT,
    "PIVOT t ON c USING sum(b)": ONLY_SELECT,
    "DESCRIBE t": "DESCRIBE, SHOW and SUMMARIZE",
    "SHOW TABLES": "DESCRIBE, SHOW and SUMMARIZE",
    "SUMMARIZE t": "DESCRIBE, SHOW and SUMMARIZE",
    "SELECT * FROM (DESCRIBE t)": "DESCRIBE, SHOW and SUMMARIZE",
    "SELECT 1; SELECT 2": "a query is one SELECT, and these are 2",
    "SELECT a FROM t; DROP TABLE t": ONLY_SELECT,
    "WITH x AS (INSERT INTO t VALUES (1, 2, 'x') RETURNING *) SELECT * FROM x": "cannot insert rows",
    "WITH x AS (DELETE FROM t RETURNING *) SELECT * FROM x": "cannot delete rows",
    # Other tables.
    "SELECT * FROM 'secrets.csv'": NO_TABLE,
    "SELECT * FROM '/etc/passwd'": NO_TABLE,
    "SELECT * FROM 'https://example.org/x.parquet'": NO_TABLE,
    "SELECT * FROM main.t": PLAIN_NAMES,
    "SELECT * FROM memory.main.t": PLAIN_NAMES,
    "SELECT * FROM information_schema.tables": PLAIN_NAMES,
    "SELECT * FROM pg_catalog.pg_class": PLAIN_NAMES,
    "SELECT * FROM sqlite_master": NO_TABLE,
    "SELECT * FROM duckdb_tables": NO_TABLE,
    "SELECT * FROM sqlite_master AS m, (WITH sqlite_master AS (SELECT 1) SELECT * FROM sqlite_master)": NO_TABLE,
    "WITH a AS (SELECT * FROM sqlite_master), sqlite_master AS (SELECT 1) SELECT * FROM a": NO_TABLE,
    "SELECT * FROM t AT (VERSION => 1)": "tables have no versions",
    # Functions that return tables.
    "SELECT * FROM read_csv('secrets.csv')": NO_ROWS,
    "SELECT * FROM read_text('/etc/passwd')": NO_ROWS,
    "FROM read_parquet('s3://bucket/x')": NO_ROWS,
    "SELECT * FROM glob('/*')": NO_ROWS,
    "SELECT * FROM query('SELECT 1')": NO_ROWS,
    "SELECT * FROM query_table('t')": NO_ROWS,
    "SELECT * FROM duckdb_settings()": NO_ROWS,
    "SELECT * FROM duckdb_secrets()": NO_ROWS,
    "SELECT * FROM json_execute_serialized_sql('x')": NO_ROWS,
    "SELECT * FROM enable_logging()": NO_ROWS,
    "SELECT * FROM test_all_types()": NO_ROWS,
    "SELECT * FROM python_map_function(1)": NO_ROWS,
    # Functions with effects, of the clock, of the session, of chance.
    "SELECT getenv('HOME')": NO_FUNCTION,
    "SELECT write_log('x')": NO_FUNCTION,
    "SELECT sleep_ms(10000)": NO_FUNCTION,
    "SELECT pg_sleep(10)": NO_FUNCTION,
    "SELECT random() FROM t": NO_FUNCTION,
    "SELECT uuid() FROM t": NO_FUNCTION,
    "SELECT setseed(0.5)": NO_FUNCTION,
    "SELECT nextval('s')": NO_FUNCTION,
    "SELECT error('x')": NO_FUNCTION,
    "SELECT json_serialize_plan('SELECT 1')": NO_FUNCTION,
    "SELECT system.main.random()": "without a schema",
    "SELECT t.a.random()": "without a schema",
    "SELECT now()": OUTSIDE,
    "SELECT current_timestamp": OUTSIDE,
    "SELECT current_user FROM t": OUTSIDE,
    "SELECT current_setting('memory_limit')": OUTSIDE,
    "SELECT current_localtimestamp()": OUTSIDE,
    "SELECT age(TIMESTAMP '2020-01-01')": "depends on the current day",
    "SELECT list_aggregate([1], 'reservoir_quantile', 0.5)": "name of an aggregate",
    "SELECT * FROM t TABLESAMPLE 10%": "TABLESAMPLE",
    "SELECT * FROM t USING SAMPLE 10": "TABLESAMPLE",
    # What is computed while the query is checked.
    "SELECT " + "abs(" * 900 + "a" + ")" * 900 + " AS x FROM t": "nested too deep",
    "SELECT repeat('a', 2000000000)": GROWING,
    "SELECT * FROM range(length(repeat('a', 2000000000)))": "use numbers",
    "SELECT quantile_cont(a, length(lpad('a', 2000000000, 'x'))) FROM t": GROWING,
    "SELECT list_transform(range(9000000), lambda x: repeat('a', 9000)) FROM t": GROWING,
    "WITH c0 AS (SELECT *, * FROM t), c1 AS (SELECT *, *, *, * FROM c0), c2 AS (SELECT *, *, *, * FROM c1), "
    "c3 AS (SELECT *, *, *, *, *, *, *, * FROM c2), c4 AS (SELECT *, *, *, *, *, *, *, * FROM c3), "
    "c5 AS (SELECT *, *, *, * FROM c4) SELECT count(*) FROM c5": "multiply its columns",
}  # fmt: skip
TABLE = KnownTable({"a": "int64", "b": "double", "c": "string"})


def test_there_are_enough_of_them() -> None:
    assert len(HOSTILE) >= 60


@pytest.mark.parametrize("statement", HOSTILE)
def test_it_is_refused_before_the_run_with_its_reason(statement: str) -> None:
    for table in (TABLE, None):  # with and without known columns
        found = flow({"query": statement, "tables": {"t": table}, "params": {}, "memory": "1GB"}, NO_FILES)
        assert HOSTILE[statement] in found.problems[0].message, found.problems
        assert not found.outputs


@pytest.mark.parametrize("statement", HOSTILE)
def test_it_is_refused_in_the_run_when_it_is_known_only_then(statement: str, ctx: LocalContext) -> None:
    table = ctx.table(pd.DataFrame({"a": [1, 2], "b": [0.5, 1.5], "c": ["x", "y"]}))
    with pytest.raises(StepError) as refused:
        run(QueryParams(query=statement, tables={"t": table}), ctx)
    assert refused.value.code in ("query-refused", "bad-query")
    assert HOSTILE[statement] in refused.value.message


@pytest.mark.parametrize("value", ["x'; DROP TABLE t; --", "' OR 1=1 --", '"', "$a", "\\'", "é"])
def test_a_parameter_is_a_value_and_never_sql(value: str, ctx: LocalContext) -> None:
    table = ctx.table(pd.DataFrame({"a": [1, 2]}))
    params = QueryParams(query="SELECT $v AS v, a FROM t WHERE $v = $v", tables={"t": table}, params={"v": value})
    assert ctx.frame(run(params, ctx).table)["v"].tolist() == [value, value]
