"""``causal.refute``: what is planted is found, and its clean twin stands."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from called import ask, data
from context import LocalContext
from e2i.catalog.registry import BUILT_IN
from e2i.errors import StepError
from e2i.tools.causal import RefuteOutputs, actions, refuting


def refute(ctx: LocalContext, frame: pd.DataFrame, estimate: Any, **given: Any) -> RefuteOutputs:
    params = {"model": estimate.model, "table": ctx.table(frame), "repeats": 4, **given}
    return actions.refute(BUILT_IN.validate("causal.refute", params), ctx)


def with_control(seed: int = 0) -> pd.DataFrame:
    """``before`` are the sales of the year before: of the same causes, unchanged by the call."""
    frame = data(1500, seed)
    return frame.assign(before=2 * frame["size"] + np.random.default_rng(9).normal(size=len(frame)))


def test_a_clean_estimate_stands(ctx: LocalContext) -> None:
    frame = with_control()
    found = refute(ctx, frame, ask(ctx, frame), negative_controls=["before"], checks={"bootstrap": 2.0})
    checks = ctx.frame(found.checks)
    assert list(checks["check"]) == [
        "placebo treatment",
        "random cause",
        "subset",
        "bootstrap",
        "negative control before",
        "unmeasured confounder",
    ]
    assert checks["passed"].all() and not found.refuted
    assert 0.2 < found.robustness_value < 0.6 and found.e_value > 1.5


def test_a_confounder_that_was_left_out_is_found_by_the_negative_control(ctx: LocalContext) -> None:
    frame = with_control()
    biased = ask(ctx, frame, confounders=())
    with pytest.raises(
        StepError, match="negative control before: the effect on before, which cannot be changed"
    ) as failed:
        refute(ctx, frame, biased, negative_controls=["before"], checks={"placebo": None, "subset": None})
    assert failed.value.code == "refuted"
    warned = refute(ctx, frame, biased, negative_controls=["before"], on_refuted="warn", checks={"subset": None})
    assert warned.refuted and any("the estimate is refuted" in one for one in ctx.warned)
    refute(ctx, frame, biased, checks={"placebo": None, "subset": None})
    assert any("no negative control was given" in one for one in ctx.warned)


def test_an_effect_that_a_weak_confounder_would_remove_is_refuted(ctx: LocalContext) -> None:
    r = np.random.default_rng(3)
    size, called = r.normal(size=1500), r.binomial(1, 0.5, 1500)
    frame = pd.DataFrame({"size": size, "called": called, "sales": 0.02 * called + r.normal(size=1500)})
    estimate = ask(ctx, frame, effect_modifiers=())
    with pytest.raises(StepError, match="unmeasured confounder: an unmeasured confounder that explains"):
        refute(ctx, frame, estimate, checks={"placebo": None, "subset": None, "random_cause": None, "robustness": 0.1})


def test_what_is_adjusted_for_is_no_negative_control(ctx: LocalContext) -> None:
    frame = data(600)
    with pytest.raises(StepError, match="the negative control 'size' is a part of the question"):
        refute(ctx, frame, ask(ctx, frame), negative_controls=["size"], checks={"placebo": None, "subset": None})


def test_other_rows_are_refused(ctx: LocalContext) -> None:
    frame = data(600)
    with pytest.raises(StepError) as failed:
        refute(ctx, frame.iloc[:500], ask(ctx, frame))
    assert failed.value.code == "other-rows"


def test_the_published_figures_of_sensitivity() -> None:
    """Darfur (Cinelli and Hazlett 2020, table 1): t = 4.18 with 783 degrees of freedom has the value 13.9 %."""
    t, freedom = 4.18, 783
    share = t**2 / (t**2 + freedom)
    r = np.random.default_rng(0)
    x = r.normal(size=2000)
    x -= x.mean()
    noise = r.normal(size=2000)
    noise -= noise.mean() + x * (x @ noise) / (x @ x)
    y = np.sqrt(share) * x / x.std() + np.sqrt(1 - share) * noise / noise.std()
    assert refuting.robustness_value(y, x) == pytest.approx(0.139, abs=5e-4)
    assert refuting.e_value(0.0) == 1.0
    assert refuting.e_value(0.5) == pytest.approx(2.53, abs=0.01)  # VanderWeele and Ding 2017: RR of 1.58
