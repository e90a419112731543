"""Effects by an instrument: their intervals cover, and other rows judge them by scores of the same instrument."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pandas as pd
import pytest

from called import LINEAR, LOGIT, RIDGE, ask
from context import LocalContext
from e2i.catalog.registry import BUILT_IN
from e2i.errors import StepError
from e2i.estimators.effects import EffectManifest
from e2i.tools.causal import EstimateParams, actions, crossfit, estimation, linear_effects
from e2i.tools.causal import question as questions
from e2i.tools.causal.held_out import hold_out

SEEDS = int(os.environ.get("CHAOS_SEEDS", "100"))
GIVEN: dict[str, Any] = {"effect_modifiers": ["share"], "confounders": ["size"], "instrument": "offer"}


def offered(rows: int = 4000, seed: int = 0) -> pd.DataFrame:
    """An offer at random is taken by those with ``eager``, whom nobody measured, and mostly by those with a share.

    The effect is 1 + share. ``letters`` is an amount of which the offer is made.
    """
    r = np.random.default_rng(seed)
    share, size, eager = r.normal(size=rows), r.normal(size=rows), r.normal(size=rows)
    letters = 0.5 * size + r.logistic(size=rows)
    offer = (letters > 0).astype(int)
    called = ((0.7 + 0.6 * (share > 0)) * offer + 0.5 * eager + 0.3 * r.normal(size=rows) > 0.7).astype(int)
    sales = (1 + share) * called + 2 * eager + size + r.normal(size=rows)
    given = {"share": share, "size": size, "offer": offer, "letters": letters, "called": called, "sales": sales}
    return pd.DataFrame({**given, "true": 1 + share})


def run(ctx: LocalContext, action: str, **given: Any) -> Any:
    return getattr(actions, action)(BUILT_IN.validate(f"causal.{action}", given), ctx)


def test_other_rows_judge_effects_by_the_same_instrument(ctx: LocalContext) -> None:
    frame, other = offered(2000), offered(2000, 1)
    model = ask(ctx, frame, estimator="OrthoIV", **GIVEN).model
    found = run(ctx, "validate", model=model, table=ctx.table(other), repeats=60)
    assert found.average.low < 1 < found.average.high and found.slope.low < 1 < found.slope.high
    assert found.autoc.low > 0
    assert any("those whose called it changes (Imbens and Angrist 1994)" in one for one in ctx.warned)
    page = (ctx.open(found.report) / "index.html").read_text()
    assert "judged by offer" in page
    biased = ask(ctx, frame, effect_modifiers=["share"], confounders=["size"]).model  # what it would be by adjusting
    assert run(ctx, "validate", model=biased, table=ctx.table(other), repeats=60).average.low > 2
    with pytest.raises(StepError, match="the instrument is 'offer' in one and None in another") as failed:
        run(ctx, "compare", candidates={"one": model, "other": biased}, table=ctx.table(other))
    assert failed.value.code == "other-question"


def test_whom_to_treat_is_valued_by_the_instrument(ctx: LocalContext) -> None:
    model = ask(ctx, offered(2000), estimator="IntentToTreatDRIV", **GIVEN).model
    table, held = offered(2000, 2), offered(2000, 3)
    given = {"cost": 0.5, "budget": {"share": 0.4}}
    found = run(ctx, "policy", model=model, table=ctx.table(table), held_out=ctx.table(held), **given)
    gains = np.sort(held["true"].to_numpy() - 0.5)[::-1][: int(0.4 * len(held))]
    oracle = float(gains.clip(0).sum() / len(held))
    assert found.value.low < oracle < found.value.high
    chosen = ctx.frame(found.decisions)
    best = np.sort(table["true"].to_numpy() - 0.5)[::-1][:800].clip(0).sum()
    assert (chosen.loc[chosen["treat"], "true"] - 0.5).sum() > 0.9 * best


def test_an_instrument_of_amounts_judges_by_whether_it_is_above_its_median(ctx: LocalContext) -> None:
    params = {"table": ctx.table(offered(500)), "treatment": "called", "outcome": "sales", **LINEAR, **GIVEN}
    asked = BUILT_IN.validate("causal.estimate", {**params, "estimator": "OrthoIV", "instrument": "letters"})
    assert isinstance(asked, EstimateParams)
    manifest = EffectManifest(
        estimator="OrthoIV", treatment="called", outcome="sales", control=0, treated=1, features=[], question={}
    )
    manifest.question.update(asked.model_dump(mode="json", exclude={"table", "keep"}))
    held = hold_out(offered(3000, 1), asked, [manifest], 0, 1)
    assert abs(held.scores.mean() - 1) < 2.5 * held.scores.std() / len(held.scores) ** 0.5
    assert len(held.warnings) == 1
    noise = offered(1000, 1).assign(letters=np.random.default_rng(0).normal(size=1000))
    assert "is a weak instrument" in hold_out(noise, asked, [manifest], 0, 1).warnings[0]


def covered(estimator: str, seeds: int, *, amounts: bool = False) -> tuple[int, int, float]:
    """Return how many intervals of the average and of the mean score have the truth, and the ratio of errors."""
    table = {"type": "table", "digest": "sha256:" + "0" * 64, "columns": [], "rows": 2000}
    by = {**GIVEN, "estimator": estimator, "folds": 3, "treatment_model": RIDGE if amounts else LOGIT}
    if amounts:
        by = {**by, "instrument": None, "continuous": True}
    asked = {"table": table, "treatment": "called", "outcome": "sales", **LINEAR, **by}
    params = BUILT_IN.validate("causal.estimate", asked)
    assert isinstance(params, EstimateParams)
    own, by_scores, values, errors = 0, 0, [], []
    for seed in range(seeds):
        frame = amount(2000, seed) if amounts else offered(2000, seed)
        rows = questions.ask(frame, params)
        found = estimation.estimate(rows, params, seed, 1).effect
        own += found.low <= 1 <= found.high
        values.append(found.value)
        errors.append(found.standard_error)
        if not amounts:
            fitted = crossfit.cross_fit(rows, params.model_copy(update={"estimator": "IntentToTreatDRIV"}), seed, 1)
            scores = linear_effects.instrumented_scores(rows, fitted)
            by_scores += abs(scores.mean() - 1) <= 1.96 * scores.std() / len(scores) ** 0.5
    return own, by_scores, float(np.mean(errors) / np.std(values, ddof=1))


def amount(rows: int, seed: int) -> pd.DataFrame:
    """Calls as an amount, which varies more where the effect, 1 + share, is larger. Ridge describes what it expects."""
    r = np.random.default_rng(seed)
    share, size = r.normal(size=rows), r.normal(size=rows)
    further = np.exp(0.4 * share) * r.normal(size=rows)
    sales = (1 + share) * further + size + r.normal(size=rows)
    return pd.DataFrame({"share": share, "size": size, "called": size + further, "sales": sales})


@pytest.mark.slow
@pytest.mark.parametrize("estimator", ["OrthoIV", "IntentToTreatDRIV", "LinearDML"])
def test_intervals_cover_the_truth_as_often_as_they_say(estimator: str) -> None:
    amounts = estimator == "LinearDML"
    own, by_scores, ratio = covered(estimator, SEEDS, amounts=amounts)
    print(f"{estimator}: {own} of {SEEDS} intervals, {by_scores} by scores, error over spread {ratio:.2f}")
    few = SEEDS < 50
    assert own >= 0.9 * SEEDS - few and (amounts or by_scores >= 0.9 * SEEDS - few)
    assert few or 0.85 < ratio < 1.25
