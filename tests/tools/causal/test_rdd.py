"""``causal.rdd``: equals rdrobust, covers the truth, and finds units that chose their side."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from context import LocalContext
from e2i.catalog.registry import BUILT_IN
from e2i.errors import StepError
from e2i.tools.causal import actions, rdd
from e2i.tools.causal.designs import RddOutputs


def scores(rows: int = 1500, seed: int = 0) -> pd.DataFrame:
    """The effect at a score of 50 is 2; the outcome bends on both sides. Age does not jump."""
    r = np.random.default_rng(seed)
    score = r.normal(52, 10, rows)
    x = (score - 50) / 10
    outcome = 2 * (x >= 0) + x + 0.6 * x**2 - 0.3 * x**3 * (x < 0) + 0.5 * r.normal(size=rows)
    return pd.DataFrame({"score": score, "outcome": outcome, "age": 40 + 3 * x + r.normal(size=rows)})


def run(ctx: LocalContext, frame: pd.DataFrame, **given: Any) -> RddOutputs:
    params = {"table": ctx.table(frame), "running": "score", "outcome": "outcome", "cutoff": 50, **given}
    return actions.rdd(BUILT_IN.validate("causal.rdd", params), ctx)


def test_the_jump_is_found_and_shown(ctx: LocalContext) -> None:
    found = run(ctx, scores(), unchanged=["age"])
    assert found.effect.low < 2 < found.effect.high and abs(found.effect.value - 2) < 0.3 and found.passed
    assert list(ctx.frame(found.checks)["check"]) == ["density", "unchanged age"]
    widths = ctx.frame(found.bandwidths)
    assert widths["bandwidth"].tolist() == pytest.approx([found.bandwidth * factor for factor in (0.5, 1, 2)])
    assert widths["effect"].iloc[1] == found.effect.value
    page = (ctx.open(found.report) / "index.html").read_text()
    assert "At the cutoff, the treatment changes outcome by" in page
    turned = run(ctx, scores(), treated="below")
    assert turned.effect.value == -found.effect.value and turned.effect.low == -found.effect.high


def test_estimate_and_interval_equal_those_of_rdrobust() -> None:
    """The figures are those of rdrobust 2.1.1 with h = b = 8, the triangular kernel and vce = hc1."""
    frame = scores()
    x, y = (frame["score"] - 50).to_numpy(), frame["outcome"].to_numpy()
    found = rdd.jump(x, y, np.arange(len(x)), 8.0, 0.95)
    assert found.effect.value == pytest.approx(1.877741, abs=1e-6)
    assert (found.effect.low + found.effect.high) / 2 == pytest.approx(1.860568, abs=1e-6)
    assert found.effect.standard_error == pytest.approx(0.105265, abs=1e-6)


def taken(rows: int = 2500, seed: int = 0) -> pd.DataFrame:
    """Above a score of 50 far more take the course, whose effect is 2 for all; the eager, unmeasured, do better anyhow."""
    r = np.random.default_rng(seed)
    x, eager = r.normal(0.2, 1, rows), r.normal(size=rows)
    course = ((1.3 * (x >= 0) + 0.3 * x + 0.5 * eager + 0.3 * r.normal(size=rows)) > 0.7).astype(int)
    outcome = 2 * course + x + 0.3 * x**2 + 0.5 * eager + 0.5 * r.normal(size=rows)
    return pd.DataFrame({"score": 50 + 10 * x, "course": course, "outcome": outcome})


def test_where_the_cutoff_decides_for_some_the_jump_is_divided_by_that_of_the_treatment(ctx: LocalContext) -> None:
    frame = taken()
    found = run(ctx, frame, treatment="course", bandwidth=8.0)
    assert found.effect.low < 2 < found.effect.high and found.passed and (found.first_stage_f or 0) > 100
    x = (frame["score"] - 50).to_numpy()
    near = abs(x) < 8
    x, above = x[near] / 8, (x[near] >= 0).astype(float)
    d, y, root = frame["course"].to_numpy()[near], frame["outcome"].to_numpy()[near], np.sqrt(1 - abs(x))
    for degree, same in ((1, found.effect.value), (2, (found.effect.low + found.effect.high) / 2)):
        exogenous = [
            np.ones(len(x)),
            *(x**p for p in range(1, degree + 1)),
            *(above * x**p for p in range(1, degree + 1)),
        ]
        z, w = (np.column_stack([first, *exogenous]) * root[:, None] for first in (above, d))
        by_hand = np.linalg.solve(z.T @ w, z.T @ (y * root))  # weighted two-stage least squares
        assert same == pytest.approx(by_hand[0], abs=1e-9)
    rest = (y * root - w @ by_hand) * np.sqrt(len(x) / (len(x) - w.shape[1]))
    bread = np.linalg.inv(z.T @ w)
    variance = bread @ (z * rest[:, None]).T @ (z * rest[:, None]) @ bread.T
    assert found.effect.standard_error == pytest.approx(variance[0, 0] ** 0.5, rel=1e-9)
    assert "jump of course" in (ctx.open(found.report) / "index.html").read_text()
    weak = frame.assign(course=np.random.default_rng(0).integers(0, 2, len(frame)))
    with pytest.raises(
        StepError, match="first stage: the F statistic of the jump of course in the first stage is"
    ) as failed:
        run(ctx, weak, treatment="course")
    assert failed.value.code == "refuted"
    assert not run(ctx, weak, treatment="course", on_failure="warn").passed


def test_units_that_chose_their_side_are_found(ctx: LocalContext) -> None:
    """Half of those just below the cutoff have moved just above it."""
    frame = scores(3000)
    r = np.random.default_rng(1)
    moved = frame["score"].between(47, 50) & (r.random(3000) < 0.5)
    frame.loc[moved, "score"] = 100 - frame.loc[moved, "score"]
    with pytest.raises(StepError, match="the design does not hold: density: the density of score is") as failed:
        run(ctx, frame)
    assert failed.value.code == "refuted"
    assert not run(ctx, frame, on_failure="warn").passed
    jumping = scores().assign(age=lambda table: table["age"] + 2 * (table["score"] >= 50))
    with pytest.raises(StepError, match="unchanged age: age, which cannot be changed, jumps by"):
        run(ctx, jumping, unchanged=["age"])


def test_rows_of_one_entity_widen_the_interval(ctx: LocalContext) -> None:
    frame = pd.concat([scores(800).assign(unit=range(800))] * 4, ignore_index=True)
    alone, together = (run(ctx, frame, bandwidth=10, density=None, group=group) for group in (None, "unit"))
    assert together.effect.standard_error == pytest.approx(2 * alone.effect.standard_error, rel=0.05)


def test_what_cannot_be_estimated_is_said(ctx: LocalContext) -> None:
    for given, code in (
        ({"cutoff": 500}, "few-rows"),
        ({"bandwidth": 0.01}, "few-rows"),
        ({"running": "x"}, "unknown-column"),
        ({"treatment": "flat"}, "weak-instrument"),
    ):
        with pytest.raises(StepError) as failed:
            run(ctx, scores(300).assign(flat=1), **given)
        assert failed.value.code == code


@pytest.mark.slow
def test_intervals_cover_and_clean_densities_pass_as_often_as_they_say() -> None:
    covered, errors, alarms = 0, [], 0
    for seed in range(200):
        frame = scores(1500, seed)
        x, y = (frame["score"] - 50).to_numpy(), frame["outcome"].to_numpy()
        found = rdd.jump(x, y, np.arange(len(x)), rdd.bandwidth(x, y), 0.95)
        covered += found.effect.low <= 2 <= found.effect.high
        errors.append(found.effect.value - 2)
        alarms += rdd.density(x).ratio > 1.96
    print(f"{covered} of 200 intervals, bias {np.mean(errors):+.3f}, {alarms} alarms at 1.96")
    assert 180 <= covered <= 199 and abs(np.mean(errors)) < 0.1 and alarms <= 24


@pytest.mark.slow
def test_intervals_of_a_fuzzy_design_cover_as_often_as_they_say() -> None:
    covered, errors = 0, []
    for seed in range(200):
        frame = taken(2500, seed)
        x, y, d = (frame["score"] - 50).to_numpy(), frame["outcome"].to_numpy(), frame["course"].to_numpy(dtype=float)
        found = rdd.fuzzy(x, y, d, np.arange(len(x)), rdd.bandwidth(x, y), 0.95)
        covered += found.effect.low <= 2 <= found.effect.high
        errors.append(found.effect.value - 2)
    print(f"{covered} of 200 intervals, bias {np.mean(errors):+.3f}")
    assert 180 <= covered <= 199 and abs(np.mean(errors)) < 0.1
