"""Tables with nulls in integers and booleans, with decimals and dictionaries, in every tool that works on frames."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from context import LocalContext
from e2i.catalog.artifacts import Table
from e2i.tools.bentoml import predicting
from e2i.tools.data import LoadParams, SelectParams
from e2i.tools.data.actions import load, select
from e2i.tools.feast import ApplyParams, HistoricalFeaturesParams
from e2i.tools.feast import actions as feast
from e2i.tools.great_expectations import ValidateParams
from e2i.tools.great_expectations.actions import validate
from e2i.tools.model import actions as model
from e2i.tools.model.params.applying import PredictParams
from e2i.tools.model.params.judging import EvaluateParams
from e2i.tools.model.params.training import TrainParams
from e2i.tools.python import CallParams
from e2i.tools.python.actions import call
from e2i.tools.shap import ExplainParams
from e2i.tools.shap import actions as shap

KEYS = [123456789012345678, 123456789012345679, None]
ACCOUNTS = "acct,x\n123456789012345678,1\n123456789012345679,2\n,3\n"


@pytest.fixture
def accounts(ctx: LocalContext) -> Table:
    (ctx.workspace / "accounts.csv").write_text(ACCOUNTS)
    return load(LoadParams(path="accounts.csv", types={"acct": "integer"}), ctx).table


def test_a_filter_finds_one_key_of_18_digits(ctx: LocalContext, accounts: Table) -> None:
    where = [{"column": "acct", "op": "eq", "value": 123456789012345678}]
    out = select(SelectParams.model_validate({"table": accounts, "where": where}), ctx)
    assert ctx.arrow(out.table).to_pydict() == {"acct": [123456789012345678], "x": [1]}


@pytest.mark.parametrize(
    ("expectation", "holds"),
    [
        ({"type": "expect_column_values_to_be_unique"}, True),
        ({"type": "expect_column_values_to_match_regex", "regex": "^[0-9]{18}$"}, True),
        ({"type": "expect_column_value_lengths_to_equal", "value": 18}, True),
        ({"type": "expect_column_values_to_be_in_set", "value_set": KEYS[:2]}, True),
        ({"type": "expect_column_values_to_be_in_set", "value_set": KEYS[:1]}, False),
        ({"type": "expect_column_values_to_be_between", "min_value": 10**17, "max_value": 2 * 10**17}, True),
        ({"type": "expect_column_values_to_not_be_null"}, False),
        ({"type": "expect_column_values_to_not_be_null", "mostly": 0.6}, True),
        ({"type": "expect_column_distinct_values_to_be_in_set", "value_set": KEYS[:2]}, True),
    ],
    ids=str,
)
def test_an_expectation_sees_integers(
    ctx: LocalContext, accounts: Table, expectation: dict[str, Any], holds: bool
) -> None:
    params = ValidateParams.model_validate(
        {"table": accounts, "suite": [{"column": "acct", **expectation}], "fail_on": "never"}
    )
    (outcome,) = asyncio.run(validate(params, ctx)).results
    if expectation["type"] == "expect_column_value_lengths_to_equal" and outcome.broken:
        pytest.skip("the library measures texts only")
    assert (outcome.success, outcome.broken) == (holds, None)


def test_a_feature_is_joined_by_keys_of_18_digits_beside_a_null(ctx: LocalContext) -> None:
    at = pd.Timestamp("2024-01-01", tz="UTC")
    log = pa.table({"acct": pa.array([*KEYS[:2], None]), "at": pa.array([at] * 3), "limit": pa.array([10, None, 30])})
    params = ApplyParams.model_validate({
        "project": "e2i", "entities": {"account": {"join_key": "acct", "type": "int64"}},
        "views": {"limits": {"table": ctx.table(log), "entity": "account", "timestamp": "at"}},
    })  # fmt: skip
    repo = asyncio.run(feast.apply(params, ctx)).repo
    rows = ctx.table(pa.table({"acct": pa.array([KEYS[1], None, KEYS[0]]), "at": pa.array([at] * 3)}))
    asked = HistoricalFeaturesParams(repo=repo, table=rows, timestamp="at", features=("limits",))
    joined = ctx.arrow(asyncio.run(feast.historical_features(asked, ctx)).table)
    assert joined["acct"].to_pylist() == [KEYS[1], None, KEYS[0]]
    assert joined["limit"].to_pylist() == [None, None, 10]


def mixed(rows: int = 300) -> pa.Table:
    rng = np.random.default_rng(3)
    number, gap = rng.integers(0, 50, rows), rng.random(rows) < 0.2
    flag, kind = rng.random(rows) < 0.5, rng.choice(["a", "b", "c"], rows)
    return pa.table({
        "n": pa.array(number, mask=gap), "flag": pa.array(flag, mask=np.roll(gap, 1)),
        "price": pa.array([None if none else Decimal(int(value)) / 4 for value, none in zip(number, np.roll(gap, 2), strict=True)], pa.decimal128(10, 2)),
        "kind": pa.array(kind, mask=np.roll(gap, 3)).dictionary_encode(),
        "x": pa.array(rng.normal(size=rows), mask=np.roll(gap, 4)), "y": ((number > 25) ^ (kind == "a")).astype(np.int64),
    })  # fmt: skip


def plain(table: pa.Table) -> pa.Table:
    """The same values as floats and texts, as they were before types were kept."""
    kinds = {"n": pa.float64(), "flag": pa.float64(), "price": pa.float64(), "kind": pa.string()}
    flags = table["flag"].cast(pa.int8())
    return table.set_column(1, "flag", flags).cast(
        pa.schema([pa.field(f.name, kinds.get(f.name, f.type)) for f in table.schema])
    )


@pytest.mark.parametrize("algorithm", ["XGBoost", "LightGBM", "CatBoost", "RandomForest", "LogisticRegression"])
def test_a_model_sees_the_same_numbers_whatever_holds_them(ctx: LocalContext, algorithm: str) -> None:
    found = []
    for table in (mixed(), plain(mixed())):
        stored = ctx.table(table)
        fitted = model.train(
            TrainParams.model_validate({"table": stored, "target": "y", "algorithm": algorithm}), ctx
        ).model
        metrics = model.evaluate(EvaluateParams(model=fitted, table=stored), ctx).metrics
        predicted = model.predict(PredictParams(model=fitted, table=stored), ctx).table
        assert [column.type for column in predicted.columns][: len(table.schema)] == [
            str(kind) for kind in table.schema.types
        ]
        found.append((metrics, ctx.frame(predicted)["probability"].tolist()))
    assert found[0] == found[1]


def test_values_are_explained_and_served(ctx: LocalContext) -> None:
    stored = ctx.table(mixed(60))
    fitted = model.train(
        TrainParams.model_validate({"table": stored, "target": "y", "algorithm": "XGBoost"}), ctx
    ).model
    out = asyncio.run(shap.explain(ExplainParams(model=fitted, table=stored, rows=20), ctx))
    assert set(out.importance) == {"n", "flag", "price", "kind", "x"}
    rows = predicting.plain(ctx.frame(stored, ["n", "flag", "price", "kind", "x"]))
    assert {type(value) for row in rows for value in row.values()} == {int, bool, float, str, type(None)}


CHANGES: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "dropna": lambda frame: frame.dropna(), "fillna": lambda frame: frame.fillna({"n": 0}), "groupby": lambda frame: frame.groupby("kind", observed=True)[["n"]].sum(),
    "merge": lambda frame: frame.merge(frame[["n"]].dropna().drop_duplicates(), on="n"), "assign": lambda frame: frame.assign(m=frame["n"] + 1, late=frame["flag"] & True),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_a_function_works_on_nullable_columns(ctx: LocalContext, change: str) -> None:
    frame = ctx.frame(ctx.table(mixed(40)))
    stored = ctx.arrow(ctx.table(CHANGES[change](frame)))
    assert str(stored.schema.field("n").type) == "int64"
    if change == "groupby":
        assert stored.column_names == ["kind", "n"]
    if change == "assign":
        assert stored["m"].null_count == stored["n"].null_count > 0 and str(stored.schema.field("late").type) == "bool"


def test_a_python_function_that_returns_its_table_returns_the_same(ctx: LocalContext) -> None:
    (ctx.workspace / "steps.py").write_text("def same(table):\n    return table\n")
    stored = ctx.table(mixed())
    out = call(CallParams(file="steps.py", function="same", arguments={"table": stored}), ctx)
    assert out.table == stored
