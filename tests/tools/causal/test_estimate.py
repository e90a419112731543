"""``causal.estimate`` and ``causal.effects`` on generated data whose true effect is known, beside EconML's own classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from called import LINEAR, RIDGE, ask, data
from context import LocalContext
from e2i.catalog.registry import BUILT_IN
from e2i.errors import StepError
from e2i.tools.causal import EstimateParams, actions, estimation, question


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return data()


@pytest.mark.parametrize("estimator", ["LinearDML", "DRLearner", "CausalForest", "ForestDRLearner"])
def test_the_effect_is_found_on_average_and_by_row_and_its_model_gives_the_same(
    ctx: LocalContext, frame: pd.DataFrame, estimator: str
) -> None:
    params = {"n_estimators": 40} if "Forest" in estimator else {}
    found = ask(ctx, frame, estimator=estimator, params=params)
    truth = frame["true"].mean()
    assert found.effect.low < truth < found.effect.high and abs(found.effect.value - truth) < 0.15
    assert found.averages["naive"].low > truth  # the treated were larger
    att = found.averages["ATT"]
    assert att.low < frame["true"][frame["called"] == 1].mean() < att.high
    by_row = ctx.frame(found.effects)
    assert np.corrcoef(by_row["effect"], frame["true"])[0, 1] > (0.99 if "Forest" not in estimator else 0.8)
    again = BUILT_IN.validate("causal.effects", {"model": found.model, "table": ctx.table(frame), "keep": ["size"]})
    other = ctx.frame(actions.effects(again, ctx).effects)
    assert list(other.columns) == ["size", "effect", "effect_low", "effect_high"]
    for name in other.columns:
        pd.testing.assert_series_equal(other[name], by_row[name], check_exact=True)
    page = (ctx.open(found.report) / "index.html").read_text()
    assert "On average in all rows, called raises sales by" in page and "Without adjustment the difference is" in page


def test_a_linear_effect_has_the_coefficients_and_intervals_of_econml(ctx: LocalContext, frame: pd.DataFrame) -> None:
    from econml.dml import LinearDML
    from sklearn.linear_model import LogisticRegression, Ridge

    found = ask(ctx, frame, effect_modifiers=["share"], folds=5)
    theirs = LinearDML(
        model_y=Ridge(), model_t=LogisticRegression(), discrete_treatment=True, cv=5, random_state=1
    ).fit(frame["sales"], frame["called"], X=frame[["share"]], W=frame[["size"]])
    low, high = theirs.effect_interval(frame[["share"]], alpha=0.05)
    ours = ctx.frame(found.effects)
    assert np.abs(ours["effect"] - theirs.effect(frame[["share"]])).max() < 0.05
    assert np.median((ours["effect_high"] - ours["effect_low"]) / (high - low)) == pytest.approx(1, abs=0.05)


def test_overlap_and_balance_are_shown_before_the_figure(ctx: LocalContext) -> None:
    r = np.random.default_rng(1)
    size = r.normal(size=2000)
    called = (size + 0.2 * r.normal(size=2000) > 0).astype(int)
    frame = pd.DataFrame({"size": size, "called": called, "sales": size + called + r.normal(size=2000)})
    found = ask(ctx, frame, effect_modifiers=())
    assert found.overlap is not None and found.overlap.outside > 0.5
    assert "% of the rows are outside the overlap of 0.05 to 0.95" in ctx.warned[0]
    with pytest.raises(StepError, match="have a propensity outside") as failed:
        ask(ctx, frame, effect_modifiers=(), overlap={"outside": "fail"})
    assert failed.value.code == "no-overlap"
    trimmed = ask(ctx, frame, effect_modifiers=(), overlap={"outside": "trim"})
    assert trimmed.overlap is not None and trimmed.overlap.trimmed > 1000
    balance = ctx.frame(ask(ctx, data(), effect_modifiers=()).balance).set_index("covariate")
    assert balance.loc["size", "difference"] > 0.5 and abs(balance.loc["size", "weighted_difference"]) < 0.1


def test_an_estimate_that_adjusts_for_nothing_says_so_first(ctx: LocalContext) -> None:
    frame = data(200)
    given = {"table": ctx.table(frame), "treatment": "called", "outcome": "sales", "folds": 2, **LINEAR}
    params = BUILT_IN.validate("causal.estimate", given)
    assert isinstance(params, EstimateParams)
    found = estimation.estimate(question.ask(frame, params), params, 1, 1)
    assert found.warnings[0].startswith("adjusted for nothing: this is the difference without adjustment")
    assert estimation.unadjusted(params.model_copy(update={"confounders": ("size",)})) == []
    assert estimation.unadjusted(params.model_copy(update={"graph": ("called -> sales",)})) == []


def test_an_amount_has_an_effect_per_unit(ctx: LocalContext) -> None:
    r = np.random.default_rng(2)
    size = r.normal(size=2000)
    calls = 5 + size + r.normal(size=2000)
    frame = pd.DataFrame({"size": size, "calls": calls, "sales": 0.7 * calls + 2 * size + r.normal(size=2000)})
    found = ask(
        ctx, frame, treatment="calls", continuous=True, effect_modifiers=(), confounders=["size"], treatment_model=RIDGE
    )
    assert found.effect.low < 0.7 < found.effect.high and found.effect.standard_error < 0.05
    assert found.overlap is None and set(found.averages) == {"ATE", "naive"}


def test_the_rows_of_an_entity_widen_the_interval(ctx: LocalContext) -> None:
    frame = pd.concat([data(400)] * 4, ignore_index=True)
    frame["hcp"] = [f"H{number % 400}" for number in range(len(frame))]
    alone, together = ask(ctx, frame), ask(ctx, frame, group="hcp")
    ratio = together.effect.standard_error / alone.effect.standard_error
    assert 1.7 < ratio < 2.3  # four copies of a row tell no more than one
    assert together.effect == ask(ctx, frame, group="hcp").effect  # equal seeds, equal results


@pytest.mark.parametrize(
    ("change", "given", "code"),
    [
        ({"called": "email"}, {}, "bad-treatment"),
        ({"called": None}, {}, "bad-treatment"),
        ({}, {"control": 0, "treated": 2}, "bad-treatment"),
        ({}, {"confounders": ["size", "sales"]}, "bad-covariate"),
        ({}, {"confounders": ["siez"]}, "unknown-column"),
        ({}, {"group": "segment"}, "bad-group"),
        ({"effect": 1.0}, {}, "duplicate-column"),
    ],
)
def test_what_cannot_be_asked_is_said(ctx: LocalContext, change: Any, given: Any, code: str) -> None:
    with pytest.raises(StepError) as failed:
        ask(ctx, data(200).assign(**change), **given)
    assert failed.value.code == code


def test_two_values_of_several_are_compared(ctx: LocalContext) -> None:
    frame = data(1500)
    frame["called"] = np.where(frame.index % 3 == 0, "email", np.where(frame["called"] == 1, "visit", "none"))
    with pytest.raises(StepError, match="3 different values, not two: 'email', 'none', 'visit'"):
        ask(ctx, frame)
    found = ask(ctx, frame, control="none", treated="visit")
    assert found.effects.rows == 1000 and found.effect.low < frame["true"].mean() < found.effect.high


def test_a_damaged_forest_is_refused(ctx: LocalContext, tmp_path: Path) -> None:
    from e2i.estimators import effects

    found = ask(ctx, data(300), estimator="CausalForest", params={"n_estimators": 8})
    folder = tmp_path / "copy"
    folder.mkdir()
    for file in ctx.open(found.model).iterdir():
        content = file.read_bytes()
        (folder / file.name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]) if file.suffix == ".npz" else content)
    with pytest.raises(ValueError, match="not the file that was saved"):
        effects.load(folder)
