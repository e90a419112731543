"""``causal.validate`` and ``causal.compare``: figures equal EconML's and brute force; a false ranking is found."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from called import ask, data
from context import LocalContext
from e2i.catalog.registry import BUILT_IN
from e2i.errors import StepError
from e2i.tools.causal import actions, ranking, validating
from e2i.tools.causal.held_out import HeldOut
from e2i.tools.causal.trust import CompareOutputs, ValidateOutputs


def validate(ctx: LocalContext, model: Any, frame: pd.DataFrame, **given: Any) -> ValidateOutputs:
    params = {"model": model, "table": ctx.table(frame), "repeats": 60, **given}
    return actions.validate(BUILT_IN.validate("causal.validate", params), ctx)


def scored(rows: int = 1500, seed: int = 4) -> tuple[HeldOut, np.ndarray[Any, Any]]:
    """Rows with scores around their effect, and effects that are predicted with an error."""
    r = np.random.default_rng(seed)
    effect = r.normal(size=rows)
    held = HeldOut(pd.DataFrame(index=range(rows)), effect + 2 * r.normal(size=rows), np.arange(rows))
    return held, 0.8 * effect + 0.3 * r.normal(size=rows)


def test_a_true_model_is_valid_and_its_page_says_so(ctx: LocalContext) -> None:
    found = validate(ctx, ask(ctx, data(1200)).model, data(1200, 1), at_least={"autoc": 0.0, "calibration": 0.5})
    assert found.valid and found.autoc.low > 0 and found.qini.low > 0 and found.calibration > 0.7
    assert found.slope.low < 1 < found.slope.high and found.average.low < 1.25 < found.average.high
    groups, curve = ctx.frame(found.groups), ctx.frame(found.curve)
    assert list(groups["rows"]) == [240] * 5 and groups["effect"].iloc[-1] > groups["effect"].iloc[0] + 1
    assert curve["share"].iloc[-1] == 1 and abs(curve["advantage"].iloc[-1]) < 1e-12
    page = (ctx.open(found.report) / "index.html").read_text()
    assert "the model ranks rows by their effect (AUTOC" in page and page.count("data:image/png") == 1
    assert found == validate(
        ctx, ask(ctx, data(1200)).model, data(1200, 1), at_least={"autoc": 0.0, "calibration": 0.5}
    )


def test_effects_that_are_not_there_are_found(ctx: LocalContext) -> None:
    """The model was estimated where the effect depends on the share; here it is 1 for all."""
    model, other = ask(ctx, data(1000)).model, data(1500, 1)
    other["sales"] += (1 - other["true"]) * other["called"]
    with pytest.raises(StepError, match=r"not valid on these rows: the lower bound of autoc is -?0\.\d+, below 0"):
        validate(ctx, model, other, at_least={"autoc": 0})
    found = validate(ctx, model, other, at_least={"slope": 0.5}, on_failure="warn")
    assert not found.valid and found.slope.high < 1
    assert any("do not show that the model ranks rows" in one for one in ctx.warned)
    assert any("differences of effects are smaller than predicted" in one for one in ctx.warned)


def test_figures_equal_those_of_econml() -> None:
    """EconML integrates over percentiles of training predictions; with 2,000 of them the integrals agree."""
    from econml.validate.drtester import DRTester
    from econml.validate.utils import calc_uplift

    held, predicted = scored()
    percent = np.linspace(0, 100, 2001)
    found = validating.validate(held, predicted, 4, 200, 0.95, 1)
    for ours, metric in ((found.autoc, "toc"), (found.qini, "qini")):
        value, error, _ = calc_uplift(predicted, predicted, held.scores, percent, metric, 2)
        assert ours.value == pytest.approx(value, rel=0.02)
        assert ours.standard_error == pytest.approx(error, rel=0.2)
    tester = DRTester(model_regression=None, model_propensity=None, cate=None)
    tester.n_treat, tester.treatments = 1, [0, 1]
    tester.dr_val_, tester.dr_train_, tester.ate_val = held.scores[:, None], held.scores[:, None], [held.scores.mean()]
    tester.cate_preds_val_, tester.cate_preds_train_ = predicted[:, None], predicted[:, None]
    assert found.slope.value == pytest.approx(tester.evaluate_blp().params[0])
    assert found.slope.standard_error == pytest.approx(tester.evaluate_blp().errs[0], rel=0.1)
    assert found.calibration == pytest.approx(tester.evaluate_cal(n_groups=4).cal_r_squared[0], abs=0.01)


def test_areas_equal_brute_force_also_with_ties() -> None:
    r = np.random.default_rng(2)
    predicted, scores = r.integers(0, 6, 80).astype(float), r.normal(size=80)
    tops = []
    for _ in range(400):  # rows of equal prediction in random orders
        order = np.lexsort([r.random(80), -predicted])
        tops.append([scores[order[:count]].mean() - scores.mean() for count in range(1, 81)])
    mean = np.mean(tops, axis=0)
    autoc, qini = ranking.areas(predicted, scores)
    assert autoc == pytest.approx(mean.mean(), abs=0.01)
    assert qini == pytest.approx((mean * np.arange(1, 81) / 80).mean(), abs=0.01)
    turned = r.permutation(80)  # the order of rows does not matter
    assert ranking.areas(predicted[turned], scores[turned]) == pytest.approx((autoc, qini), abs=1e-12)


def test_intervals_allow_for_rows_of_one_entity() -> None:
    held, predicted = scored(400)
    four = HeldOut(held.frame, np.repeat(held.scores, 4), np.repeat(held.groups, 4))
    alone, together = (
        validating.validate(one, values, 4, 200, 0.95, 1)
        for one, values in ((held, predicted), (four, np.repeat(predicted, 4)))
    )
    for name in ("autoc", "qini", "slope", "average"):
        one, two = getattr(alone, name), getattr(together, name)
        assert two.standard_error == pytest.approx(one.standard_error, rel=0.15)


def compare(ctx: LocalContext, frame: pd.DataFrame, **candidates: Any) -> CompareOutputs:
    params = {"candidates": candidates, "table": ctx.table(frame), "repeats": 60}
    return actions.compare(BUILT_IN.validate("causal.compare", params), ctx)


def test_the_model_that_knows_the_modifier_is_better(ctx: LocalContext) -> None:
    frame = data(1000)
    full, blind = ask(ctx, frame), ask(ctx, frame, effect_modifiers=["segment"], confounders=["size", "share"])
    flat = ask(ctx, frame, effect_modifiers=(), confounders=["size", "share"])
    found = compare(ctx, data(1500, 1), blind=blind.model, flat=flat.model, full={"model": full.model})
    ranked = ctx.frame(found.ranking)
    assert found.best == "full" and found.certain and found.model == full.model
    assert list(ranked["candidate"]) == ["full", "blind", "flat"]
    assert ranked["behind"].iloc[0] == 0 and (ranked["behind_low"].iloc[1:] > 0).all()
    assert np.isnan(ranked["slope"].iloc[2]) and ranked["autoc"].iloc[2] == pytest.approx(0, abs=1e-12)
    compare(ctx, data(600, 1), one=full.model, two=full.model)
    assert any("do not show that it is better" in one for one in ctx.warned)


def test_what_cannot_be_judged_is_said(ctx: LocalContext) -> None:
    frame = data(600)
    full = ask(ctx, frame).model
    turned = ask(ctx, frame, control=1, treated=0).model
    for failing, code in (
        (lambda: compare(ctx, frame, one=full, two=turned), "other-question"),
        (lambda: compare(ctx, frame, one=full), "other-question"),
        (lambda: validate(ctx, ask(ctx, frame, effect_modifiers=()).model, frame), "same-effect"),
        (lambda: validate(ctx, full, frame.drop(columns="size")), "unknown-column"),
    ):
        with pytest.raises(StepError) as failed:
            failing()
        assert failed.value.code == code
