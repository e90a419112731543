"""``causal.iv``: equals linearmodels, finds weak instruments, and refuses those that the graph does not allow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from context import LocalContext
from e2i.catalog.registry import BUILT_IN
from e2i.errors import StepError
from e2i.tools.causal import actions, iv
from e2i.tools.causal.designs import IvOutputs

Array = np.ndarray[Any, Any]


def arrays() -> tuple[Array, Array, Array, Array]:
    """The effect of t on y is 1.5; u is common to both and unmeasured."""
    r = np.random.default_rng(5)
    n = 600
    u, x = r.normal(size=n), r.normal(size=n)
    z = np.column_stack([r.normal(size=n) + 0.3 * x, r.normal(size=n)])
    t = 0.4 * z[:, 0] + 0.2 * z[:, 1] + u + 0.5 * x + r.normal(size=n)
    return 1.5 * t - 2 * u + x + r.normal(size=n) * (1 + 0.5 * abs(z[:, 0])), t, z, x[:, None]


def table(strength: float = 0.5, seed: int = 0, rows: int = 800) -> pd.DataFrame:
    r = np.random.default_rng(seed)
    u, z = r.normal(size=rows), r.normal(size=(rows, 2))
    t = strength * z[:, 0] + 0.3 * z[:, 1] * (strength > 0.1) + u + r.normal(size=rows)
    frame = {"z": z[:, 0], "other": z[:, 1], "t": t, "y": 1.5 * t - 2 * u + r.normal(size=rows)}
    return pd.DataFrame({**frame, "region": r.choice(["north", "south"], rows)})


def run(ctx: LocalContext, frame: pd.DataFrame, **given: Any) -> IvOutputs:
    params = {"table": ctx.table(frame), "treatment": "t", "outcome": "y", "instruments": ["z"], **given}
    return actions.iv(BUILT_IN.validate("causal.iv", params), ctx)


def test_figures_equal_those_of_linearmodels() -> None:
    """The figures are those of linearmodels 7.1, IV2SLS, robust or clustered, with ``debiased=True``."""
    y, t, z, x = arrays()
    alone, threes = np.arange(600), np.arange(600) // 3
    two = iv.estimate(y, t, z, x, alone, 0.95)
    assert two.effect.value == pytest.approx(1.568138085874192, abs=1e-12)
    assert two.effect.standard_error == pytest.approx(0.2280850049324743, abs=1e-12)
    assert two.first_stage_f == pytest.approx(80.34131246207787 / 2, rel=1e-9)
    assert two.overidentified is not None and two.overidentified == pytest.approx((0.3643776288702938, 1), rel=1e-9)
    grouped = iv.estimate(y, t, z, x, threes, 0.95)
    assert grouped.effect.standard_error == pytest.approx(0.22411469949127322, abs=1e-12)
    one = iv.estimate(y, t, z[:, :1], x, alone, 0.95)
    assert one.effect.value == pytest.approx(1.6516548961477768, abs=1e-12)
    assert one.effect.standard_error == pytest.approx(0.2894808386147749, abs=1e-12)
    assert one.first_stage_f == pytest.approx(57.27373143588386, rel=1e-9)


def test_the_robust_interval_has_the_effects_that_are_not_rejected() -> None:
    import statsmodels.api as sm

    y, t, z, x = arrays()
    found = iv.estimate(y, t, z[:, :1], x, np.arange(600), 0.95)
    design = np.column_stack([np.ones(600), x, z[:, 0]])
    for bound in found.robust:
        assert bound is not None
        fitted = sm.OLS(y - bound * t, design).fit(cov_type="HC1")
        assert abs(fitted.tvalues[-1]) == pytest.approx(1.959964, abs=1e-6)


def test_the_effect_is_found_where_least_squares_is_wrong(ctx: LocalContext) -> None:
    found = run(ctx, table(), confounders=["region"])
    assert found.effect.low < 1.5 < found.effect.high and found.naive.high < 1.2 and found.passed
    assert found.robust_low is not None and found.robust_high is not None and found.robust_low < 1.5 < found.robust_high
    both = run(ctx, table(), instruments=["z", "other"])
    assert both.robust_low is None and list(ctx.frame(both.checks)["check"]) == ["first stage", "overidentification"]
    wrong = table().assign(y=lambda frame: frame["y"] + frame["other"])
    with pytest.raises(StepError, match="the instruments disagree about the effect"):
        run(ctx, wrong, instruments=["z", "other"], on_failure="fail")
    assert "two-stage least squares" in (ctx.open(found.report) / "index.html").read_text()


def test_a_weak_instrument_is_found(ctx: LocalContext) -> None:
    found = run(ctx, table(0.03))
    assert not found.passed and found.first_stage_f < 10 and any("they are weak" in one for one in ctx.warned)
    assert found.robust_low is None or found.robust_low < 1.5
    with pytest.raises(StepError, match="the design does not hold: first stage") as failed:
        run(ctx, table(0.03), on_failure="fail")
    assert failed.value.code == "refuted"


def test_an_instrument_that_the_graph_does_not_allow_is_refused(ctx: LocalContext) -> None:
    assert run(ctx, table(), graph=["z -> t -> y", "t <-> y"]).passed
    for graph, says in (
        (["z -> t -> y", "z -> y"], "the path z -> y does not go through the treatment"),
        (["t -> y", "z -> y"], 'it does not change "t"'),
        (["t -> z", "t -> y"], '"t" changes it'),
        (["z -> t -> y", "z <- region -> y"], "the path z <- region -> y does not"),
    ):
        with pytest.raises(StepError, match=says) as failed:
            run(ctx, table(200), graph=graph)
        assert failed.value.code == "bad-instrument"
    assert run(ctx, table(), graph=["z -> t -> y", "z <- region -> y"], confounders=["region"]).passed


def test_what_cannot_be_estimated_is_said(ctx: LocalContext) -> None:
    frame = table(rows=200).assign(flat=1.0, copy=lambda found: found["z"])
    for given, code in (
        ({"instruments": ["flat"]}, "no-variation"),
        ({"instruments": ["z", "copy"]}, "no-variation"),
        ({"instruments": ["region"]}, "bad-target"),
        ({"instruments": ["no"]}, "unknown-column"),
    ):
        with pytest.raises(StepError) as failed:
            run(ctx, frame, **given)
        assert failed.value.code == code
