"""``sql.query``: what is known of a query before the run is what the run returns, whatever the threads."""

from __future__ import annotations

import datetime as dt
import decimal
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pytest

from context import LocalContext
from e2i.catalog.artifacts import Table
from e2i.catalog.columns import UNKNOWN, Flow, KnownTable
from e2i.catalog.context import QueryLimits
from e2i.catalog.files import NO_FILES
from e2i.errors import StepError
from e2i.queries import functions, session
from e2i.tools.sql import QueryParams
from e2i.tools.sql.actions import query as run
from e2i.tools.sql.columns import query as flow
from project import Project

TIME = dt.datetime(2024, 1, 2, 3, tzinfo=dt.UTC)
ROWS = pa.table(
    {
        "i": pa.array([1, 2, None], pa.int64()),
        "i8": pa.array([1, 2, 3], pa.int8()),
        "u64": pa.array([1, 2, 3], pa.uint64()),
        "x": pa.array([0.5, None, 2.5], pa.float64()),
        "f": pa.array([0.5, 1.5, 2.5], pa.float32()),
        "s": pa.array(["x", "y", None], pa.string()),
        "c": pa.array(["p", "q", "p"]).dictionary_encode(),
        "b": pa.array([True, False, None]),
        "t": pa.array([TIME, TIME + dt.timedelta(days=1), None], pa.timestamp("us", "UTC")),
        "n": pa.array([TIME.replace(tzinfo=None)] * 3, pa.timestamp("ns")),
        "tns": pa.array([TIME] * 3, pa.timestamp("ns", "UTC")),
        "ms": pa.array([TIME.replace(tzinfo=None)] * 3, pa.timestamp("ms")),
        "paris": pa.array([TIME] * 3, pa.timestamp("us", "Europe/Paris")),
        "d": pa.array([TIME.date()] * 3, pa.date32()),
        "clock": pa.array([dt.time(1, 2, 3)] * 3, pa.time64("us")),
        "money": pa.array([decimal.Decimal("1.25")] * 3, pa.decimal128(9, 2)),
        "l": pa.array([[1, 2], [], None], pa.list_(pa.int64())),
        "st": pa.array([{"a": 1, "b c": ["x"]}] * 3, pa.struct([("a", pa.int64()), ("b c", pa.list_(pa.string()))])),
        "m": pa.array([[("k", 1)]] * 3, pa.map_(pa.string(), pa.int64())),
        "v": pa.array([[1.0, 2.0]] * 3, pa.list_(pa.float64(), 2)),
        "raw": pa.array([b"1", b"2", None]),
        "empty": pa.array([None, None, None], pa.null()),
    }
)


def known(table: pa.Table, origin: str = "load.table") -> KnownTable:
    return KnownTable({field.name: str(field.type) for field in table.schema}, {}, origin)


def planned(query: str, params: Mapping[str, Any] | None = None, **tables: Any) -> Flow:
    return flow({"query": query, "tables": tables or {"t": known(ROWS)}, "params": params or {}}, NO_FILES)


def ran(ctx: LocalContext, query: str, params: Mapping[str, Any] | None = None, **tables: Table) -> pa.Table:
    given = QueryParams(query=query, tables=tables or {"t": ctx.table(ROWS)}, params=params or {}, memory="200MB")
    return ctx.arrow(run(given, ctx).table)


def codes(found: Flow) -> list[str]:
    return [problem.code for problem in found.problems]


QUERIES = [
    *(f'SELECT "{name}" FROM t' for name in ROWS.column_names),
    "SELECT * FROM t",
    "SELECT count(*) AS n, sum(i) AS s, sum(i8) AS s8, sum(x) AS sx, avg(i) AS a, max(t) AS m, min(s) AS z FROM t",
    "SELECT i * 1.5 AS y, i / 2 AS h, i // 2 AS w, i8 + 1 AS one, x > 1 AS c1, u64 + 1 AS u, f * 2 AS f2 FROM t",
    "SELECT s, list(i ORDER BY i) AS l, string_agg(s, ',' ORDER BY s) AS j FROM t GROUP BY s ORDER BY s",
    "SELECT date_trunc('day', t) AS day, extract(hour FROM t) AS h, t::DATE AS d2, epoch(t - t) AS e, dayname(d) AS n FROM t",
    "SELECT row_number() OVER (ORDER BY i) AS r, lag(x) OVER (ORDER BY i) AS p, sum(x) OVER (ORDER BY i) AS c FROM t",
    "SELECT s IS NULL AS e, coalesce(s, 'none') AS s2, CASE WHEN b THEN 1 ELSE 2 END AS k, length(s) AS n FROM t",
    "SELECT 1 AS a, 1.5 AS b, 'x' AS c, NULL AS d, true AS e, 12345678901 AS f, DATE '2020-01-01' AS g, [1, 2] AS h",
    "SELECT unnest(l) AS e FROM t",
    "WITH r AS (SELECT i, x FROM t WHERE i > 1) SELECT r.*, t.s FROM r JOIN t USING (i)",
    "SELECT (SELECT max(x) FROM t AS o WHERE o.i < t.i) AS before FROM t",
    "WITH RECURSIVE r AS (SELECT 1 AS k UNION ALL SELECT k + 1 FROM r WHERE k < 5) SELECT k FROM r",
    "SELECT s, i FROM t UNION ALL SELECT 'z', 9",
    "SELECT i FROM range(3) AS r(i)",
    "FROM t SELECT i ORDER BY i DESC NULLS LAST LIMIT 2",
    "SELECT uint_col FROM (SELECT 5::UINTEGER AS uint_col)",
    "SELECT 'a'::ENUM('a', 'b') AS kind, i::UHUGEINT AS big FROM t",
]


@pytest.mark.parametrize("query", QUERIES)
def test_the_columns_known_before_the_run_are_those_of_the_result(query: str, ctx: LocalContext) -> None:
    found = planned(query)
    assert not found.problems
    table = found.outputs["table"]
    assert isinstance(table, KnownTable)
    assert table.columns == {field.name: str(field.type) for field in ran(ctx, query).schema}


class TestProblems:
    def test_a_misspelt_column_has_candidates_and_its_place(self) -> None:
        (problem,) = planned("SELECT i,\n  mony FROM t").problems
        assert (problem.code, problem.name, problem.at) == ("unknown-column", "mony", ("SELECT i,\n  mony FROM t", 12))
        assert {"money", "i"} <= set(problem.known)

    def test_bytes_are_not_characters(self) -> None:
        (problem,) = planned("SELECT 'é€𝄞', mony FROM t").problems
        assert problem.at == ("SELECT 'é€𝄞', mony FROM t", 14)

    def test_a_place_after_a_parameter_is_that_of_the_query(self) -> None:
        query = "SELECT i FROM t WHERE s = $long_name AND i < $i AND mony > 1"
        (problem,) = planned(query, {"long_name": "a longer value than its name", "i": 1}).problems
        assert problem.at == (query, query.index("mony"))

    def test_a_misspelt_table(self) -> None:
        (problem,) = planned("SELECT * FROM flihgts", flights=known(ROWS)).problems
        assert (problem.code, problem.name, problem.known) == ("bad-query", "flihgts", ("flights",))

    def test_types_that_do_not_fit(self) -> None:
        assert codes(planned("SELECT sum(s) FROM t")) == ["bad-query"]
        assert codes(planned("SELECT s + t FROM t")) == ["bad-query"]

    @pytest.mark.parametrize(
        "condition", ["a.i = b.x", "b.f = a.i", "a.u64 = b.x", "a.i IS NOT DISTINCT FROM b.x", "a.i IN (1, b.x)"]
    )
    def test_integers_are_no_keys_of_floating_point_numbers(self, condition: str) -> None:
        (problem,) = planned(f"SELECT a.i FROM t AS a JOIN t AS b ON {condition}").problems
        assert "compared as floating-point numbers, where different values can be equal" in problem.message

    @pytest.mark.parametrize(
        "condition", ["a.i = b.t", "a.i = b.s", "a.s = b.i", "a.t > b.x", "b.b = a.s", "a.i = b.s AND a.x = b.x"]
    )
    def test_keys_of_two_families_of_types(self, condition: str) -> None:
        (problem,) = planned(f"SELECT a.i FROM t AS a JOIN t AS b ON {condition}").problems
        assert problem.code == "bad-query"
        assert codes(planned(f"SELECT a.i FROM t AS a, t AS b WHERE {condition}")) == ["bad-query"]

    @pytest.mark.parametrize(
        "condition",
        [
            *(
                "a.i < b.x",
                "a.i8 = b.x",
                "a.i8 = b.f",
                "a.f = b.x",
                "a.money = b.x",
                "a.u64 = b.i",
                "a.i = b.x::BIGINT",
                "a.i::DOUBLE = b.x",
                "a.x IN (1, 2)",
                "a.i = b.i8",
                "a.i = b.money",
                "a.t = b.n",
                "a.t = b.tns",
                "a.paris = b.tns",
                "a.d = b.t",
                "a.s = b.c",
                "a.i = b.s::BIGINT",
            ),
            *(
                "a.i = CAST(b.s AS BIGINT)",
                "a.i = TRY_CAST(b.s AS BIGINT)",
                "a.t > '2020-01-01'",
                "a.s = 'x'",
                "a.i = '5'",
            ),
        ],
    )
    def test_keys_that_can_be_compared(self, condition: str) -> None:
        assert not planned(f"SELECT a.i FROM t AS a JOIN t AS b ON {condition}").problems

    def test_two_columns_of_one_name(self) -> None:
        assert codes(planned("SELECT i, x AS i FROM t")) == ["duplicate-column"]

    def test_a_type_that_tables_do_not_have(self) -> None:
        (problem,) = planned("SELECT t - t AS age FROM t").problems
        assert "INTERVAL" in problem.message and problem.hint == "use epoch(…) for its seconds"

    @pytest.mark.parametrize(
        ("query", "params", "text"),
        [
            ("SELECT $a AS a", {}, 'no parameter "a"'),
            ("SELECT $a AS a", {"a": 1, "b": 2}, "does not use the parameter $b"),
            ("SELECT ? AS a", {}, "parameters have names"),
            ("SELEC 1", {}, "syntax error"),
            ("", {}, "these are 0"),
        ],
    )
    def test_other_errors(self, query: str, params: dict[str, Any], text: str) -> None:
        assert text in planned(query, params).problems[0].message

    @pytest.mark.parametrize(
        "query",
        [
            "SELECT i FROM t LIMIT 3",
            "SELECT * FROM (SELECT i FROM t LIMIT 3) ORDER BY i",
            "SELECT i FROM t LIMIT 10%",
            "SELECT first(i) FROM t",
            "SELECT last(i) FROM t",
            "SELECT any_value(i) FROM t",
            "SELECT list(i) FROM t",
            "SELECT string_agg(s, ',') FROM t",
            "SELECT row_number() OVER (PARTITION BY s) FROM t",
            "SELECT lag(i) OVER () FROM t",
            "SELECT sum(i) OVER (ROWS 2 PRECEDING) FROM t",
            "SELECT first_value(i) OVER (PARTITION BY s) FROM t",
            "SELECT DISTINCT ON (s) s, i FROM t",
            "SELECT * FROM t POSITIONAL JOIN (SELECT i AS j FROM t)",
            "SELECT i FROM t WHERE i IN (SELECT i FROM t LIMIT 1)",
        ],
    )
    def test_an_order_that_shows_must_be_named(self, query: str) -> None:
        assert codes(planned(query)) == ["query-order"]

    def test_unknown_columns_hide_no_error_of_the_syntax(self) -> None:
        assert codes(planned("SELECT now() FROM t", t=UNKNOWN)) == ["query-refused"]
        found = planned("SELECT a FROM t", t=UNKNOWN)
        assert (dict(found.outputs), list(found.problems)) == ({}, [])

    def test_a_column_of_unknown_type_is_still_known_by_name(self) -> None:
        table = KnownTable({"a": None, "b": "int64"})
        assert codes(planned("SELECT aa FROM t", t=table)) == ["unknown-column"]
        query = "SELECT a, b, sum(a) OVER () AS s, count(*) OVER () AS n, lag(a) OVER (ORDER BY b) AS l FROM t"
        found = planned(query, t=table)
        assert not found.problems
        known = {"a": None, "b": "int64", "s": None, "n": "int64", "l": None}
        assert dict(found.outputs["table"].columns) == known  # type: ignore[union-attr]


class TestResults:
    def test_parameters(self, ctx: LocalContext) -> None:
        query = "SELECT i FROM t WHERE s = $s AND x < $x AND i IN (SELECT unnest($ids)) AND ($none IS NULL) AND $yes"
        found = ran(ctx, query, {"s": "x", "x": 1.0, "ids": [1, 2], "none": None, "yes": True})
        assert found["i"].to_pylist() == [1]

    def test_a_sum_beyond_64_bits_fails_with_its_reason(self, ctx: LocalContext) -> None:
        big = ctx.table(pa.table({"i": [2**62, 2**62, 2**62]}))
        with pytest.raises(StepError, match="does not fit"):
            ran(ctx, "SELECT sum(i) AS s FROM t", t=big)

    def test_a_failure_on_rows_is_the_users(self, ctx: LocalContext) -> None:
        with pytest.raises(StepError, match="the query failed") as failed:
            ran(ctx, "SELECT s::INTEGER AS n FROM t")
        assert failed.value.code == "query-failed" and failed.value.hint

    def test_an_empty_result_keeps_its_columns(self, ctx: LocalContext) -> None:
        found = ran(ctx, "SELECT i, s FROM t WHERE i > 10")
        assert (found.num_rows, found.column_names) == (0, ["i", "s"])

    @pytest.mark.parametrize(
        "query",
        [
            "SELECT sum(x) AS s, avg(x) AS a, stddev(x) AS d FROM t",
            "SELECT g, sum(x) AS s FROM t GROUP BY g",
            "SELECT i, x * 2 AS y FROM t WHERE g = 3",
            "SELECT a.i, b.x FROM t AS a JOIN t AS b USING (i)",
            "SELECT DISTINCT g FROM t",
            "SELECT count(*) AS n, max(x) AS m, sum(i) AS s FROM t",
            "SELECT i, sum(x) OVER (PARTITION BY g ORDER BY i) AS c FROM t",
        ],
    )
    def test_the_bytes_are_the_same_on_any_number_of_threads(self, query: str, ctx: LocalContext) -> None:
        import numpy as np

        count = 300_000  # several row groups
        rows = {"i": np.arange(count), "g": np.arange(count) % 97, "x": np.random.default_rng(1).normal(size=count)}
        table = ctx.table(pa.table(rows))
        digests = set()
        for threads in (1, 8, 8, 2):
            ctx.threads = threads
            digests.add(run(QueryParams(query=query, tables={"t": table}), ctx).table.digest)
        assert len(digests) == 1

    def test_more_rows_than_memory_are_spilled_to_the_steps_folder(
        self, ctx: LocalContext, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import numpy as np

        count = 2_000_000
        rows = {"i": np.arange(count)[::-1], "g": np.arange(count) % 7, "x": np.arange(count) * 0.5}
        spilled: list[str] = []
        store = ctx.batches

        def watched(schema: pa.Schema, batches: Any) -> Table:
            def looking() -> Any:
                for batch in batches:
                    spilled.extend(file.name for file in (ctx.scratch / "spill").glob("*"))
                    yield batch

            return store(schema, looking())

        monkeypatch.setattr(ctx, "batches", watched)
        query = "SELECT i, g, sum(x) OVER (PARTITION BY g ORDER BY i) AS s FROM t"
        given = QueryParams(query=query, tables={"t": ctx.table(pa.table(rows))}, memory="64MB")
        assert run(given, ctx).table.rows == count
        assert spilled
        assert not list((ctx.scratch / "spill").glob("*")) if (ctx.scratch / "spill").exists() else True


class TestLineage:
    """What a column was made from."""

    LATE = KnownTable({"id": "int64", "c": "string", "t": "int64", "x": "double", "late": "int64"}, {}, "load.table")

    def leaks(self, query: str, target: str = "late") -> tuple[str, ...]:
        found = planned(query, t=self.LATE)
        assert not found.problems, found.problems
        table = found.outputs["table"]
        assert isinstance(table, KnownTable)
        return table.gives_away(target)

    @pytest.mark.parametrize(
        "expression",
        [
            "late * 2",
            "CASE WHEN late = 1 THEN 'yes' END",
            "coalesce(x, late)",
            "avg(late) OVER (PARTITION BY c)",
            "sum(late) OVER (ORDER BY t)",
            "rank() OVER (ORDER BY late)",
            "(SELECT avg(late) FROM t AS o WHERE o.c = t.c)",
            "list_transform([x], lambda v: v + late)",
            "count(*) FILTER (late = 1) OVER (PARTITION BY c)",
        ],
    )
    def test_the_target_is_found_in_a_feature(self, expression: str) -> None:
        assert self.leaks(f"SELECT late, x, {expression} AS f FROM t") == ("f",)

    @pytest.mark.parametrize(
        "expression",
        [
            "x * 2",
            "lag(late) OVER (PARTITION BY c ORDER BY t)",
            "avg(late) OVER (PARTITION BY c ORDER BY t ROWS BETWEEN 5 PRECEDING AND 1 PRECEDING)",
            "avg(late) OVER (PARTITION BY c ORDER BY t RANGE BETWEEN 5 PRECEDING AND CURRENT ROW EXCLUDE GROUP)",
            "count(*) OVER (PARTITION BY c)",
        ],
    )
    def test_the_target_of_other_rows_is_a_legitimate_feature(self, expression: str) -> None:
        assert self.leaks(f"SELECT late, x, {expression} AS f FROM t") == ()

    @pytest.mark.parametrize(
        "query",
        [
            "SELECT t.*, r FROM t JOIN (SELECT c, avg(late) AS r FROM t GROUP BY c) USING (c)",
            "WITH r AS MATERIALIZED (SELECT c, avg(late) AS r FROM t GROUP BY c) SELECT late, r.r FROM t JOIN r USING (c)",
            "SELECT late, r FROM (SELECT late, late AS q FROM t) AS o(late, r)",
            "SELECT late, x AS y, late + t AS r FROM t ORDER BY late",
            "SELECT late, max(v) AS r FROM (SELECT late, late AS v FROM t UNION ALL SELECT late, x FROM t) GROUP BY late",
        ],
    )
    def test_through_joins_and_subqueries(self, query: str) -> None:
        assert self.leaks(query) == ("r",)

    def test_a_target_that_is_computed_from_a_column_gives_that_column_away(self) -> None:
        assert self.leaks("SELECT x, t, x > 15 AS late, x * 2 AS double_x, t + 1 AS u FROM t") == ("x", "double_x")

    @pytest.mark.parametrize(
        ("history", "rows", "leaks"),
        [
            ("t < 100", "t >= 100", ()),
            ("c = 'a'", "c = 'a'", ("r",)),
            ("true", "x > 0", ("r",)),
            ("late IS NOT NULL", "true", ("r",)),
            ("t < 100", "t < 100 AND x > 0", ("r",)),
            ("t < 100 AND x > 0", "t < 100", ()),
        ],
    )
    def test_a_history_of_other_rows_is_a_legitimate_feature(
        self, history: str, rows: str, leaks: tuple[str, ...]
    ) -> None:
        query = f"""SELECT n.late, n.x, h.r FROM (SELECT * FROM t WHERE {rows}) AS n
            JOIN (SELECT c, avg(late) AS r FROM t WHERE {history} GROUP BY c HAVING count(*) > 20) AS h USING (c)"""
        assert self.leaks(query) == leaks

    def test_a_column_that_is_only_a_part_of_the_target_does_not(self) -> None:
        assert self.leaks("SELECT x, t, x - t > 15 AS late FROM t") == ()


def test_allowed_functions_are_stable_in_the_installed_version() -> None:
    with session.planning() as connection:
        rows = connection.execute(
            "SELECT function_name, bool_and(stability = 'CONSISTENT' OR function_type = 'macro') FROM duckdb_functions() "
            "WHERE function_type IN ('scalar', 'aggregate', 'window', 'macro') GROUP BY function_name"
        ).fetchall()
    stable = {name for name, is_stable in rows if is_stable}
    allowed = functions.SCALARS | functions.OPERATORS | functions.AGGREGATES | functions.WINDOWS
    assert allowed - stable == set()
    assert not allowed & functions.OUTSIDE


def test_a_large_decimal_is_not_rounded(ctx: LocalContext) -> None:
    digits = [decimal.Decimal(2**53), decimal.Decimal(2**70), None, decimal.Decimal("0.1")]
    exact = ctx.table(pa.table({"d": pa.array(digits, pa.decimal128(38, 1))}))
    assert ran(ctx, "SELECT d FROM t", t=exact)["d"].to_pylist() == [2.0**53, 2.0**70, None, 0.1]
    large = ctx.table(pa.table({"d": pa.array([decimal.Decimal(2**53 + 1)], pa.decimal128(38, 1))}))
    with pytest.raises(StepError, match=r"9007199254740993\.0 is rounded to 9007199254740992") as raised:
        ran(ctx, "SELECT d FROM t", t=large)
    assert raised.value.code == "query-failed" and raised.value.hint == "cast it to DOUBLE"
    assert ran(ctx, "SELECT d::DOUBLE AS d FROM t", t=large)["d"].to_pylist() == [2.0**53]


def test_nanoseconds_that_are_cut_off_are_said(ctx: LocalContext) -> None:
    whole, finer = ([1_000, None, -2_000], [1_000, 1_001, None])
    for ticks, said in (
        (whole, []),
        (finer, ["times of w are cut off to microseconds, and those that differ by less become equal"]),
    ):
        found = ran(ctx, "SELECT w FROM t", t=ctx.table(pa.table({"w": pa.array(ticks, pa.timestamp("ns"))})))
        assert found["w"].cast(pa.int64()).to_pylist() == [tick and tick // 1000 for tick in ticks]
        assert ctx.warned == said


class TestLimits:
    """What the policy lets the queries of an author take."""

    def test_rows(self, ctx: LocalContext) -> None:
        ctx.query_limits = QueryLimits(rows=300_000, origin="agent")
        assert ran(ctx, "SELECT i FROM range(300000) AS r(i)").num_rows == 300_000
        with pytest.raises(StepError, match="more than 300,000 rows, which specs of origin agent may have") as raised:
            ran(ctx, "SELECT i FROM range(300001) AS r(i)")
        assert raised.value.code == "policy-budget" and "agent.budgets.query_rows" in (raised.value.hint or "")

    def test_time(self, ctx: LocalContext) -> None:
        ctx.query_limits = QueryLimits(seconds=0.05, origin="agent")
        long = "SELECT sum(a.i * b.i % 7) AS s FROM range(100000000) AS a(i), range(1000) AS b(i)"
        with pytest.raises(
            StepError, match=r"takes longer than 0\.05 s, which specs of origin agent may have"
        ) as raised:
            ran(ctx, long)
        assert raised.value.code == "policy-budget"

    def test_those_of_the_policy_reach_the_step(self, project: Project) -> None:
        project.write("config/policy.yaml", "agent: {budgets: {query_rows: 10}}\n")
        query = "SELECT i FROM range(11) AS r(i)"
        project.write("s.yaml", f"version: 1\nname: s\nsteps:\n  q: {{uses: sql.query, with: {{query: {query}}}}}\n")
        done = project.cli("run", "s.yaml", "--origin", "agent", "--json")
        assert done.returncode == 3 and "more than 10 rows, which specs of origin agent may have" in done.stdout
