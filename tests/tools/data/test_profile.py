from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from context import LocalContext
from e2i.errors import StepError
from e2i.tools.data import actions, profile
from e2i.tools.data.looking import ProfileOutputs, ProfileParams

RANDOM = np.random.default_rng(0)
ROWS = 1_000
Y = RANDOM.integers(0, 2, ROWS)


def run(ctx: LocalContext, content: dict[str, Any], **options: Any) -> ProfileOutputs:
    table = pa.table(content)
    return actions.profile(ProfileParams.model_validate({"table": ctx.table(table), "plots": False, **options}), ctx)


def test_numbers_texts_and_times_are_described(ctx: LocalContext) -> None:
    made = run(
        ctx,
        {
            "n": [1, 2, None, 4],
            "x": [0.5, float("nan"), float("inf"), 1.5],
            "s": ["b", "a", "b", None],
            "d": [dt.date(2024, 1, 2), dt.date(2023, 1, 1), None, None],
            "l": [[1], [2], None, []],
            "b": [True, False, True, True],
            "p": pa.array([Decimal("1.10"), Decimal("2.20"), None, None], pa.decimal128(8, 2)),
            "e": pa.nulls(4),
            "big": [2**62 + 1, 2**62, 1, 2],
        },
    ).columns
    n, x, s = made["n"], made["x"], made["s"]
    assert (n.type, n.nulls, n.distinct, n.minimum, n.maximum, n.quantiles["0.5"]) == ("int64", 1, 3, 1, 4, 2)
    assert (x.nulls, x.not_finite, x.minimum, x.maximum, x.mean) == (0, 2, 0.5, 1.5, 1)
    assert [(one.value, one.rows) for one in s.frequent] == [("b", 2), ("a", 1)]
    assert (made["d"].minimum, made["d"].maximum) == ("2023-01-01", "2024-01-02")
    assert (made["l"].distinct, made["l"].nulls) == (None, 1)
    assert [one.value for one in made["b"].frequent] == ["true", "false"]
    assert made["p"].maximum == 2.2
    assert (made["e"].constant, made["e"].distinct, made["e"].nulls) == (True, 0, 4)
    assert made["big"].maximum == 2**62 + 1


def test_keys_are_those_of_all_rows(ctx: LocalContext) -> None:
    ids = np.arange(ROWS)
    almost = ids.copy()
    almost[1] = almost[0]
    made = run(
        ctx,
        {"id": ids, "text": ids.astype(str), "almost": almost, "x": RANDOM.normal(size=ROWS), "gap": [None, *ids[1:]]},
        rows=100,
    )
    assert made.keys == ("id", "text")
    assert (made.rows, made.looked_at, made.columns["gap"].nulls) == (ROWS, 100, 1)
    assert made.notes[0].startswith("100 of 1,000 rows were chosen at random")


LEAKS = {
    "copy": Y.astype(float) + RANDOM.normal(size=ROWS) * 0.01,
    "reversed": -Y,
    "said": np.where(Y == 1, "yes", "no"),
    "gone": pa.array(np.where(Y == 1, None, "x")),
    "flag": Y == 1,
}
HARMLESS = {
    "noise": RANDOM.normal(size=ROWS),
    "good": RANDOM.normal(size=ROWS) + Y,
    "id": np.arange(ROWS).astype(str),
    "some": RANDOM.choice(["a", "b", "c"], ROWS),
    "list": [[1]] * ROWS,
}


@pytest.mark.parametrize("target", [Y, np.where(Y == 1, "in", "out"), Y == 1, Y.astype(float)])
def test_columns_that_give_the_target_away_are_suspected(ctx: LocalContext, target: Any) -> None:
    made = run(ctx, {**LEAKS, **HARMLESS, "y": target}, target="y")
    assert set(made.suspects) == set(LEAKS)
    assert made.columns["y"].association is None
    assert 0.6 < (made.columns["good"].auc or 0) < 0.9
    assert (made.columns["list"].auc, made.columns["list"].association) == (None, None)
    assert ctx.metrics["leak_suspects"] == 5
    assert sum("almost perfectly" in note for note in made.notes) == 5


def test_a_numeric_target_is_judged_by_ranks(ctx: LocalContext) -> None:
    target = RANDOM.normal(size=ROWS)
    made = run(ctx, {"log": np.exp(target), "noise": RANDOM.normal(size=ROWS), "y": target}, target="y")
    assert made.suspects == ("log",)
    assert made.columns["log"].auc is None
    assert (made.columns["noise"].association or 0) < 0.1


def test_many_classes_are_a_mean_of_areas(ctx: LocalContext) -> None:
    target = RANDOM.integers(0, 3, ROWS)
    made = run(ctx, {"same": target.astype(str), "noise": RANDOM.normal(size=ROWS), "y": target}, target="y")
    assert made.suspects == ("same",)
    assert 0.5 <= (made.columns["noise"].auc or 0) < 0.6


def test_equal_inputs_have_equal_outputs(ctx: LocalContext) -> None:
    table = ctx.table(pa.table({**HARMLESS, "y": Y}))
    params = ProfileParams(table=table, target="y", rows=500)
    assert actions.profile(params, ctx) == actions.profile(params, ctx)


def test_the_page_escapes_what_it_shows_and_has_plots(ctx: LocalContext) -> None:
    evil = "<script>alert(1)</script>"
    columns = {
        evil: [evil, "b"] * 50,
        "$x^$": np.arange(100.0),
        "漢字": np.arange(100),
        "t": pa.array(range(100), "date32"),
    }
    made = run(ctx, columns, target="$x^$", plots=True)
    page = ctx.open(made.report).read_text("utf-8")
    assert "<script" not in page and "&lt;script&gt;" in page
    assert page.count("<img") == 5  # associations, correlations, three histograms
    assert len(page) < 200_000


@pytest.mark.parametrize(
    "columns",
    [
        {"x": pa.array([], pa.float64()), "s": pa.array([], pa.string())},
        {"x": [1.0], "s": ["a"], "t": pa.array([10**18], pa.timestamp("ns"))},
        {"x": [1.7e308, -1.7e308], "s": [None, None]},
        {"x": [1e300, 1e300 * (1 + 1e-15)], "s": ["", "b" * 1_000]},
    ],
)
def test_odd_tables_have_a_profile(ctx: LocalContext, columns: dict[str, Any]) -> None:
    made = run(ctx, columns, target="x", plots=True)
    assert list(made.columns) == list(columns)
    assert all(len(one.value) <= 100 for one in made.columns["s"].frequent)


def test_a_wide_table_is_looked_at_in_fewer_rows() -> None:
    table = pa.table({f"c{index}": np.zeros(5_000) for index in range(4_000)})
    assert profile.of(table, None, 100_000, 0).looked_at == 2_500


def test_columns_are_chosen_and_absent_ones_refused(ctx: LocalContext) -> None:
    assert list(run(ctx, {"a": [1], "b": [2], "y": [1]}, columns=["a"], target="y").columns) == ["a", "y"]
    with pytest.raises(StepError, match="no column"):
        run(ctx, {"a": [1]}, target="z")
