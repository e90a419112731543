"""``table.*`` on real tables: results as pandas computes them, columns as they were known before the run."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from context import LocalContext
from e2i.catalog.artifacts import Table
from e2i.catalog.columns import Flow, KnownTable
from e2i.catalog.files import NO_FILES
from e2i.catalog.registry import BUILT_IN
from e2i.errors import StepError

FLIGHTS = pd.DataFrame(
    {
        "id": [3, 1, 2, 5, 4],
        "carrier": ["AA", "UA", "AA", None, "ZZ"],
        "t": pd.to_datetime(["2013-01-03", "2013-01-01", "2013-01-02", "2013-01-02", "2013-01-05"], utc=True),
        "delay": [10.0, None, 30.0, 5.0, -2.0],
        "late": [0, 0, 1, 0, 0],
    }
)
CARRIERS = pd.DataFrame({"carrier": ["UA", "AA", "DL"], "name": ["United", "American", "Delta"], "fleet": [2, 1, 3]})
WEATHER = pd.DataFrame(
    {"at": pd.to_datetime(["2013-01-01", "2013-01-02", "2013-01-04"], utc=True), "temp": [1.0, 2.0, 4.0]}
)


def flow(action: str, **given: Any) -> Flow:
    found, column_flow = BUILT_IN.action(f"table.{action}"), BUILT_IN.column_flow(f"table.{action}")
    assert found is not None and column_flow is not None
    known = {
        name: [known_of(item) for item in value] if isinstance(value, list) and isinstance(value[0], pd.DataFrame) else
        known_of(value)
        for name, value in given.items()
    }  # fmt: skip
    defaults = {
        name: field.get_default(call_default_factory=True)
        for name, field in found.params.model_fields.items()
        if not field.is_required()
    }
    return column_flow({**defaults, **known}, NO_FILES)


def known_of(value: Any) -> Any:
    if not isinstance(value, pd.DataFrame):
        return value
    schema = pa.Table.from_pandas(stored(value), preserve_index=False).schema
    return KnownTable({field.name: str(field.type) for field in schema}, {}, "load.table")


def stored(frame: pd.DataFrame) -> pd.DataFrame:
    times = {name: frame[name].dt.as_unit("us") for name in frame if str(frame[name].dtype).startswith("datetime")}
    return frame.assign(**times)


def run(ctx: LocalContext, action: str, **given: Any) -> pd.DataFrame:
    """The result of an action, whose columns must be those that were known before."""
    found = BUILT_IN.action(f"table.{action}")
    assert found is not None
    planned = flow(action, **given)
    assert not planned.problems, planned.problems

    def put(value: Any) -> Any:
        if isinstance(value, pd.DataFrame):
            return ctx.table(pa.Table.from_pandas(stored(value), preserve_index=False))
        return [put(item) for item in value] if isinstance(value, list) else value

    params = found.params.model_validate({name: put(value) for name, value in given.items()})
    table: Table = BUILT_IN.function(f"table.{action}")(params, ctx).table
    known = planned.outputs["table"]
    assert isinstance(known, KnownTable)
    assert {column.name: column.type for column in table.columns} == known.columns
    return ctx.frame(table)


def codes(found: Flow) -> list[tuple[tuple[Any, ...], str]]:
    return [(problem.path, problem.code) for problem in found.problems]


class TestJoin:
    def test_left_keeps_all_rows_in_their_order(self, ctx: LocalContext) -> None:
        found = run(ctx, "join", left=FLIGHTS, right=CARRIERS, on=["carrier"])
        assert found["id"].tolist() == [3, 1, 2, 5, 4]
        assert found["name"].fillna("-").tolist() == ["American", "United", "American", "-", "-"]

    @pytest.mark.parametrize(
        ("how", "ids"), [("inner", [3, 1, 2]), ("semi", [3, 1, 2]), ("anti", [5, 4]), ("full", [3, 1, 2, 5, 4, None])]
    )
    def test_how(self, how: str, ids: list[Any], ctx: LocalContext) -> None:
        found = run(ctx, "join", left=FLIGHTS, right=CARRIERS, on={"carrier": "carrier"}, how=how)
        assert [None if pd.isna(one) else int(one) for one in found["id"]] == ids
        if how == "full":
            assert found["carrier"].tolist()[-1] == "DL"

    def test_a_repeated_key_fails_when_one_is_expected(self, ctx: LocalContext) -> None:
        twice = pd.concat([CARRIERS, CARRIERS.head(1)])
        with pytest.raises(StepError, match=r"2 rows of one key: carrier = 'UA'") as failed:
            run(ctx, "join", left=FLIGHTS, right=twice, on=["carrier"])
        assert failed.value.code == "repeated-key"
        assert len(run(ctx, "join", left=FLIGHTS, right=twice, on=["carrier"], expect="many")) == 6

    def test_problems(self) -> None:
        assert codes(flow("join", left=FLIGHTS, right=CARRIERS, on=["carier"])) == [(("on", 0), "unknown-column")]
        assert codes(flow("join", left=FLIGHTS, right=CARRIERS, on={"id": "carrier"})) == [(("on", "id"), "bad-column")]
        clash = CARRIERS.rename(columns={"fleet": "delay"})
        assert codes(flow("join", left=FLIGHTS, right=clash, on=["carrier"])) == [(("right",), "duplicate-column")]

    def test_keys_are_never_rounded_to_be_compared(self, ctx: LocalContext) -> None:
        left, right = pd.DataFrame({"k": [2**53, 2**53 + 1]}), pd.DataFrame({"k": [2.0**53], "v": [1]})
        assert codes(flow("join", left=left, right=right, on=["k"])) == [(("on", 0), "bad-column")]
        whole = run(ctx, "join", left=left, right=right.astype({"k": "int64"}), on=["k"])
        assert whole["v"].isna().tolist() == [False, True]
        small = run(ctx, "join", left=left.astype("int64"), right=pd.DataFrame({"k": [1], "v": [1]}), on=["k"])
        assert small["v"].isna().all()

    def test_a_suffix_separates_equal_names(self, ctx: LocalContext) -> None:
        clash = CARRIERS.rename(columns={"fleet": "delay"})
        found = run(ctx, "join", left=FLIGHTS, right=clash, on=["carrier"], suffix="_of_carrier")
        assert list(found)[-2:] == ["name", "delay_of_carrier"]


class TestAsof:
    @pytest.mark.parametrize(
        ("given", "temps"),
        [
            ({}, [2.0, None, 1.0, 1.0, 4.0]),
            ({"strict": False}, [2.0, 1.0, 2.0, 2.0, 4.0]),
            ({"tolerance": "12h"}, [None, None, None, None, None]),
            ({"tolerance": "1d"}, [2.0, None, 1.0, 1.0, 4.0]),
        ],
    )
    def test_the_latest_value_before(self, given: dict[str, Any], temps: list[Any], ctx: LocalContext) -> None:
        found = run(ctx, "asof", left=FLIGHTS, right=WEATHER, left_time="t", right_time="at", **given)
        assert [None if pd.isna(one) else one for one in found["temp"]] == temps
        assert found["id"].tolist() == [3, 1, 2, 5, 4]

    def test_as_pandas_merges(self, ctx: LocalContext) -> None:
        draw = np.random.default_rng(3)
        left = pd.DataFrame({"k": draw.integers(0, 5, 200), "t": draw.integers(0, 1000, 200)}).sort_values("t")
        right = pd.DataFrame({"k": draw.integers(0, 5, 300), "u": draw.integers(0, 1000, 300)})
        right = right.drop_duplicates(["k", "u"]).sort_values("u").assign(v=lambda rows: range(len(rows)))
        found = run(ctx, "asof", left=left, right=right, by=["k"], left_time="t", right_time="u", tolerance=50.0)
        expected = pd.merge_asof(
            left, right, left_on="t", right_on="u", by="k", allow_exact_matches=False, tolerance=50
        )
        assert found["v"].astype(float).fillna(-1).tolist() == expected["v"].fillna(-1).tolist()

    def test_problems(self, ctx: LocalContext) -> None:
        keys = {"left_time": "id", "right_time": "temp"}
        assert codes(flow("asof", left=FLIGHTS, right=WEATHER, **keys)) == [(("right_time",), "bad-column")]
        keys = {"left_time": "t", "right_time": "temp"}
        assert codes(flow("asof", left=FLIGHTS, right=WEATHER, **keys)) == [(("right_time",), "bad-column")]
        keys = {"left_time": "id", "right_time": "temp"}
        assert codes(flow("asof", left=FLIGHTS, right=WEATHER.astype({"temp": int}), tolerance="1d", **keys)) == [
            (("tolerance",), "bad-column")
        ]
        twice = pd.concat([WEATHER, WEATHER.head(1)])
        with pytest.raises(StepError, match="2 rows of one key and time"):
            run(ctx, "asof", left=FLIGHTS, right=twice, left_time="t", right_time="at")

    def test_earlier_values_of_the_target_are_features_and_equal_ones_are_not(self) -> None:
        past = FLIGHTS[["t", "late"]].rename(columns={"late": "before", "t": "u"})
        for strict, leaks in ((True, ()), (False, ("before",))):
            right = KnownTable({"u": "timestamp[us, tz=UTC]", "before": "int64"},
                               {"before": known_of(FLIGHTS).lineage("late")}, "x")  # fmt: skip
            found = flow("asof", left=known_of(FLIGHTS), right=right, left_time="t", right_time="u", strict=strict)
            assert found.outputs["table"].gives_away("late") == leaks, past  # type: ignore[union-attr]


class TestGroups:
    def test_aggregate(self, ctx: LocalContext) -> None:
        found = run(
            ctx, "aggregate", table=FLIGHTS, by=["carrier"],
            columns={
                "n": {"fn": "count"}, "delays": {"fn": "count", "of": "delay"}, "mean": {"fn": "mean", "of": "delay"},
                "late": {"fn": "sum", "of": "late", "where": [{"column": "delay", "op": "gt", "value": 20}]},
                "last": {"fn": "max", "of": "t"}, "ids": {"fn": "count_distinct", "of": "id"},
                "after": {"fn": "count", "where": [{"column": "t", "op": "ge", "value": "2013-01-02"}]},
            },
        )  # fmt: skip
        assert found["carrier"].fillna("-").tolist() == ["AA", "UA", "ZZ", "-"]
        assert found["n"].tolist() == [2, 1, 1, 1] and found["mean"].fillna(-9).tolist() == [20.0, -9, -2.0, 5.0]
        assert found["late"].fillna(-9).tolist() == [1, -9, -9, -9] and found["after"].tolist() == [2, 0, 1, 1]
        assert len(run(ctx, "aggregate", table=FLIGHTS, columns={"n": {"fn": "count"}})) == 1

    def test_problems_of_aggregates(self) -> None:
        columns = {
            "m": {"fn": "mean", "of": "carrier"},
            "x": {"fn": "sum", "of": "dleay"},
            "a": {"fn": "any", "of": "late"},
        }
        assert codes(flow("aggregate", table=FLIGHTS, by=["id"], columns=columns)) == [
            (("columns", "m", "of"), "bad-column"),
            (("columns", "x", "of"), "unknown-column"),
            (("columns", "a", "of"), "bad-column"),
        ]
        where = [{"column": "carrier", "op": "gt", "value": 3}]
        found = flow("aggregate", table=FLIGHTS, columns={"n": {"fn": "count", "where": where}})
        assert codes(found) == [(("columns", "n", "where", 0, "value"), "bad-column")]

    @pytest.mark.parametrize(
        ("column", "current", "expected"),
        [
            ({"fn": "sum", "of": "id"}, False, [8, None, 1, 1, 11]),
            ({"fn": "sum", "of": "id"}, True, [11, 1, 8, 8, 15]),
            ({"fn": "count"}, False, [3, 0, 1, 1, 4]),
            ({"fn": "sum", "of": "id", "rows": 1}, False, [5, None, 1, 2, 3]),
            ({"fn": "sum", "of": "id", "rows": 2}, True, [8, 1, 3, 7, 7]),
            ({"fn": "count", "range": "1d"}, False, [2, 0, 1, 1, 0]),
            ({"fn": "count", "range": "1d"}, True, [3, 1, 3, 3, 1]),
            ({"fn": "lag", "of": "id"}, False, [5, None, 1, 2, 3]),
            ({"fn": "lag", "of": "id", "rows": 2}, False, [2, None, None, 1, 5]),
            ({"fn": "row_number"}, False, [4, 1, 2, 3, 5]),
            ({"fn": "rank"}, False, [4, 1, 2, 2, 5]),
            ({"fn": "first", "of": "id"}, False, [1, None, 1, 1, 1]),
        ],
    )
    def test_window(self, column: dict[str, Any], current: bool, expected: list[Any], ctx: LocalContext) -> None:
        found = run(ctx, "window", table=FLIGHTS, order=["t"], columns={"w": column}, include_current=current)
        assert [None if pd.isna(one) else int(one) for one in found["w"]] == expected
        assert found["id"].tolist() == [3, 1, 2, 5, 4]

    def test_the_target_of_earlier_rows_is_no_leak_and_that_of_the_row_is(self) -> None:
        for column in (
            {"fn": "mean", "of": "late"},
            {"fn": "sum", "of": "late", "rows": 3},
            {"fn": "lag", "of": "late"},
        ):
            for current in (False, True):
                given = {"order": ["t"], "columns": {"w": column}, "include_current": current}
                found = flow("window", table=FLIGHTS, **given).outputs["table"]
                leaks = ("w",) if current and column["fn"] != "lag" else ()
                assert found.gives_away("late") == leaks  # type: ignore[union-attr]

    def test_problems_of_windows(self) -> None:
        columns = {"w": {"fn": "count", "range": 5}}
        assert codes(flow("window", table=FLIGHTS, order=["t"], columns=columns)) == [
            (("columns", "w", "range"), "bad-column")
        ]
        assert codes(flow("window", table=FLIGHTS, order=["t"], columns={"id": {"fn": "count"}})) == [
            (("columns", "id"), "duplicate-column")
        ]

    def test_pivot_and_unpivot(self, ctx: LocalContext) -> None:
        given = {"by": ["late"], "column": "carrier", "values": ["AA", "UA"], "fn": "sum", "of": "id", "prefix": "of_"}
        wide = run(ctx, "pivot", table=FLIGHTS, **given)
        assert wide.fillna(0).values.tolist() == [[0, 3, 1], [1, 2, 0]] and list(wide) == ["late", "of_AA", "of_UA"]
        long = run(ctx, "unpivot", table=FLIGHTS, columns=["id", "late"], keep=["carrier"], name="what", value="v")
        assert long["what"].tolist() == ["id", "late"] * 5 and long["v"].tolist()[:4] == [3, 0, 1, 0]
        assert codes(flow("unpivot", table=FLIGHTS, columns=["id", "carrier"])) == [(("columns",), "bad-column")]
        assert codes(flow("pivot", table=FLIGHTS, **{**given, "values": [1]})) == [(("values",), "bad-column")]

    def test_dedupe(self, ctx: LocalContext) -> None:
        assert run(ctx, "dedupe", table=FLIGHTS, by=["carrier"])["id"].tolist() == [3, 1, 5, 4]
        assert run(ctx, "dedupe", table=FLIGHTS, by=["carrier"], keep="last")["id"].tolist() == [1, 2, 5, 4]
        assert run(ctx, "dedupe", table=FLIGHTS, by=["carrier"], order=["t"])["id"].tolist() == [1, 2, 5, 4]
        assert len(run(ctx, "dedupe", table=pd.concat([FLIGHTS, FLIGHTS]))) == 5


class TestRows:
    def test_derive(self, ctx: LocalContext) -> None:
        found = run(
            ctx, "derive", table=FLIGHTS,
            columns={"late2": "delay > 15", "cat": "coalesce(carrier, 'none') || '-' || id -- a comment", "half": "id / 2"},
        )  # fmt: skip
        assert found["late2"].astype(object).where(found["late2"].notna(), None).tolist() == [
            False,
            None,
            True,
            False,
            False,
        ]
        assert found["cat"].tolist()[3] == "none-5" and found["half"].tolist() == [1.5, 0.5, 1.0, 2.5, 2.0]

    @pytest.mark.parametrize(
        ("expression", "code"),
        [
            ("dealy > 15", "unknown-column"),
            ("carrier + t", "bad-query"),
            ("delay >", "bad-query"),
            ("1) AS x, (2", "query-refused"),
            ("1) AS x FROM 'secrets.csv' --", "bad-query"),
            ("SELECT 1", "query-refused"),
            ("(SELECT max(id) FROM \"table\")", "query-refused"),
            ("sum(delay)", "query-refused"),
            ("row_number() OVER (ORDER BY t)", "query-refused"),
            ("now()", "query-refused"),
            ("random()", "query-refused"),
            ("*", "query-refused"),
            ("$x", "query-refused"),
            ("unnest([1, 2])", "query-refused"),
            ("delay > 999999999999999999999999999999999999999999", "query-refused"),
        ],
    )  # fmt: skip
    def test_what_derive_refuses_with_its_place(self, expression: str, code: str, ctx: LocalContext) -> None:
        (problem, *_) = flow("derive", table=FLIGHTS, columns={"y": expression}).problems
        assert (problem.path, problem.code) == (("columns", "y"), code)
        if problem.at:
            assert problem.at[0] == expression and 0 <= problem.at[1] < len(expression)
        action = BUILT_IN.action("table.derive")
        assert action is not None
        params = action.params.model_validate({"table": ctx.table(stored(FLIGHTS)), "columns": {"y": expression}})
        with pytest.raises(StepError) as failed:
            BUILT_IN.function("table.derive")(params, ctx)
        assert failed.value.code == code

    def test_dates(self, ctx: LocalContext) -> None:
        given = {"parts": ["year", "weekday", "hour", "weekend", "holiday", "epoch"], "cyclic": ["month"]}
        found = run(ctx, "dates", table=FLIGHTS, column="t", holidays=["2013-01-01"], **given)
        times = FLIGHTS["t"].dt
        assert found["t_weekday"].tolist() == times.weekday.tolist() and found["t_year"].tolist() == times.year.tolist()
        assert found["t_holiday"].tolist() == [False, True, False, False, False]
        assert found["t_weekend"].tolist() == [False, False, False, False, True]
        assert np.allclose(found["t_month_sin"], 0.5) and found["t_epoch"][1] == 1356998400.0
        assert codes(flow("dates", table=FLIGHTS, column="id", parts=["year"])) == [(("column",), "bad-column")]

    def test_stack(self, ctx: LocalContext) -> None:
        assert run(ctx, "stack", tables=[FLIGHTS, FLIGHTS.head(2)])["id"].tolist() == [3, 1, 2, 5, 4, 3, 1]
        less = FLIGHTS.drop(columns=["t"])
        assert codes(flow("stack", tables=[FLIGHTS, less])) == [(("tables", 1), "unknown-column")]
        assert (
            run(ctx, "stack", tables=[FLIGHTS, less], missing="null")["t"].isna().tolist() == [False] * 5 + [True] * 5
        )
        other = FLIGHTS.assign(id="x")
        assert codes(flow("stack", tables=[FLIGHTS, other])) == [(("tables", 1), "bad-column")]
        numbers = [pd.DataFrame({"n": [2**53, -3]}), pd.DataFrame({"n": [0.5]})]
        assert run(ctx, "stack", tables=numbers)["n"].tolist() == [2.0**53, -3.0, 0.5]
        with pytest.raises(StepError, match=r'"n" has the BIGINT 9007199254740993, which is rounded'):
            run(ctx, "stack", tables=[numbers[0].assign(n=[1, 2**53 + 1]), numbers[1]])

    def test_sort_rename_cast_fill(self, ctx: LocalContext) -> None:
        assert run(ctx, "sort", table=FLIGHTS, by=["late", "delay"], descending=["delay"])["id"].tolist() == [
            3,
            5,
            4,
            1,
            2,
        ]
        assert list(run(ctx, "rename", table=FLIGHTS, columns={"id": "key", "t": "id"}))[:3] == ["key", "carrier", "id"]
        found = run(ctx, "cast", table=FLIGHTS, columns={"id": "string", "late": "boolean", "t": "date"})
        assert found["id"].tolist() == ["3", "1", "2", "5", "4"] and found["late"].tolist()[2] is True
        assert run(ctx, "fill", table=FLIGHTS, columns={"delay": 0, "carrier": "?"})["carrier"].tolist()[3] == "?"
        assert codes(flow("fill", table=FLIGHTS, columns={"delay": "none"})) == [(("columns", "delay"), "bad-column")]
        assert codes(flow("rename", table=FLIGHTS, columns={"id": "late"})) == [(("columns", "id"), "duplicate-column")]
        with pytest.raises(StepError, match="the query failed"):
            run(ctx, "cast", table=FLIGHTS, columns={"carrier": "number"})
        assert run(ctx, "cast", table=FLIGHTS, columns={"carrier": "number"}, errors="null")["carrier"].isna().all()

    @pytest.mark.parametrize(
        ("values", "right"),
        [
            ([1.0, -2.0, None], [1, -2, None]),
            (["9007199254740993", " 7 ", None], [9007199254740993, 7, None]),
            ([Decimal("2.00"), Decimal("-9.00")], [2, -9]),
            ([1.5, 2.0], None),
            (["1.5", "2"], None),
            ([Decimal("2.50"), Decimal("1.00")], None),
        ],
    )
    def test_a_fraction_is_no_integer(self, ctx: LocalContext, values: list[object], right: list[int] | None) -> None:
        table = pd.DataFrame({"x": pd.Series(values, dtype=pd.ArrowDtype(pa.array(values).type))})
        if right is None:
            with pytest.raises(StepError, match="which is no integer"):
                run(ctx, "cast", table=table, columns={"x": "integer"})
            assert run(ctx, "cast", table=table, columns={"x": "integer"}, errors="null")["x"].isna().sum() == 1
        else:
            found = run(ctx, "cast", table=table, columns={"x": "integer"})["x"]
            assert found.astype(object).where(found.notna(), None).tolist() == right

    def test_a_sample_keeps_keys_together_when_rows_are_added(self, ctx: LocalContext) -> None:
        many = pd.DataFrame({"k": np.arange(20_000) // 2, "x": np.arange(20_000)})
        found = run(ctx, "sample", table=many, by=["k"], fraction=0.3, seed=1)
        assert 0.28 < len(found) / len(many) < 0.32 and (found.groupby("k").size() == 2).all()
        more = run(
            ctx, "sample", table=pd.concat([many.assign(k=many["k"] + 100_000), many]), by=["k"], fraction=0.3, seed=1
        )
        assert set(found["k"]) <= set(more["k"])
        assert set(run(ctx, "sample", table=many, by=["k"], fraction=0.3, seed=2)["k"]) != set(found["k"])


@pytest.mark.parametrize("name", ['a"b', "select", "x; DROP TABLE t", "é ü", "a.b", "'"])
def test_names_of_columns_are_never_sql(name: str, ctx: LocalContext) -> None:
    frame = FLIGHTS.rename(columns={"id": name})
    assert run(ctx, "sort", table=frame, by=[name])[name].tolist() == [1, 2, 3, 4, 5]
    assert name in run(
        ctx, "window", table=frame, by=["carrier"], order=[name], columns={"w": {"fn": "sum", "of": name}}
    )
    found = run(ctx, "aggregate", table=frame, by=[name], columns={f"{name}!": {"fn": "max", "of": name}})
    assert list(found) == [name, f"{name}!"]
    assert len(run(ctx, "join", left=frame, right=frame[[name]], on=[name])) == 5


@pytest.mark.parametrize(
    ("action", "given"),
    [
        ("join", {"left": FLIGHTS, "right": CARRIERS, "on": ["carrier"]}),
        ("window", {"table": FLIGHTS, "order": ["t"], "columns": {"w": {"fn": "mean", "of": "delay"}}}),
        ("aggregate", {"table": FLIGHTS, "by": ["late"], "columns": {"w": {"fn": "std", "of": "delay"}}}),
        ("derive", {"table": FLIGHTS, "columns": {"y": "delay * 2"}}),
    ],
)
def test_the_bytes_do_not_depend_on_threads(action: str, given: dict[str, Any], ctx: LocalContext) -> None:
    found = BUILT_IN.action(f"table.{action}")
    assert found is not None
    stored_ = {
        key: ctx.table(stored(value)) if isinstance(value, pd.DataFrame) else value for key, value in given.items()
    }
    digests = set()
    for threads in (1, 8, 8):
        ctx.threads = threads
        digests.add(BUILT_IN.function(f"table.{action}")(found.params.model_validate(stored_), ctx).table.digest)
    assert len(digests) == 1
