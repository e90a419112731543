"""``dataset.causaldata``: published studies are found again by the actions of the causal tool."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
import pandas as pd
import pytest

from context import LocalContext
from e2i.catalog.registry import BUILT_IN
from e2i.tools.causal import actions as causal
from e2i.tools.dataset import actions
from e2i.tools.dataset.columns import PUBLISHED

pytestmark = pytest.mark.skipif(find_spec("causaldata") is None, reason="needs the package causaldata")


def read(ctx: LocalContext, name: str) -> pd.DataFrame:
    params = BUILT_IN.validate("dataset.causaldata", {"name": name})
    return ctx.frame(actions.causaldata(params, ctx).table)


def run(ctx: LocalContext, action: str, frame: pd.DataFrame, **given: Any) -> Any:
    params = BUILT_IN.validate(f"causal.{action}", {"table": ctx.table(frame), **given})
    return getattr(causal, action)(params, ctx)


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_each_data_set_has_its_declared_columns(ctx: LocalContext, name: str) -> None:
    params = BUILT_IN.validate("dataset.causaldata", {"name": name})
    table = actions.causaldata(params, ctx).table
    assert {column.name: column.type for column in table.columns} == dict(PUBLISHED[name])


def test_job_training_raised_earnings_as_published(ctx: LocalContext) -> None:
    """Dehejia and Wahba 1999, table 3: 1,794 (633), 1,672 with covariates (and age squared); -8,498 beside the survey."""
    frame = read(ctx, "nsw")
    before = ["age", "educ", "black", "hisp", "marr", "nodegree", "re74", "re75"]
    found = run(ctx, "experiment", frame, treatment="treat", outcome="re78", covariates=before, share=185 / 445)
    assert round(found.difference.value) == 1794 and abs(found.adjusted.value - 1672) < 10
    both = pd.concat([frame[frame["treat"] == 1], read(ctx, "cps")])
    assert both.groupby("treat")["re78"].mean().diff().iloc[1] == pytest.approx(-8497.52, abs=0.01)


def test_schooling_raised_wages_as_published(ctx: LocalContext) -> None:
    """Card 1995, as in Cunningham 2021, "Causal inference: the mixtape", chapter 7: 0.071 (0.003) and 0.124 (0.050)."""
    frame = read(ctx, "close_college").dropna()
    found = run(
        ctx,
        "iv",
        frame,
        treatment="educ",
        outcome="lwage",
        instruments=["nearc4"],
        confounders=["exper", "black", "south", "married", "smsa"],
    )
    assert round(found.naive.value, 3) == 0.071 and round(found.effect.value, 3) == 0.124
    assert found.effect.standard_error == pytest.approx(0.050, abs=1e-3) and 15 < found.first_stage_f < 18


def test_active_choice_lowered_donations_as_published(ctx: LocalContext) -> None:
    """Kessler and Roth 2014, as in Huntington-Klein 2021, "The effect", chapter 18: -0.022 (0.006)."""
    frame = read(ctx, "organ_donations")
    order = {"Q42010": 0, "Q12011": 1, "Q22011": 2, "Q32011": 3, "Q42011": 4, "Q12012": 5}
    quarter = frame["Quarter"].map(order)
    frame = frame.assign(quarter=quarter, active=((frame["State"] == "California") & (quarter >= 3)).astype(int))
    twice = pd.concat([frame, frame[frame["State"] == "California"].assign(State="California again")])
    given = {"unit": "State", "time": "quarter", "outcome": "Rate", "treatment": "active", "pre_trend": None}
    # one treated unit has no standard error of its own group: it is doubled, which changes no mean of it
    found = run(ctx, "did", twice, **given)
    assert found.effect.value == pytest.approx(-0.022, abs=0.008)
    from e2i.tools.causal import did

    wide = frame.pivot(index="State", columns="quarter", values="Rate")
    first = np.where(wide.index == "California", 3, 6)
    two_way = did.two_way(did.Panel(wide.to_numpy(), first, np.arange(len(wide))), 0.95)
    assert round(two_way.value, 3) == -0.022 and round(two_way.standard_error, 3) == 0.006


def test_incentives_raised_attendance_as_published(ctx: LocalContext) -> None:
    """Thornton 2008, table 4: any incentive raises the share that learns its result by 0.43 (0.02), with covariates."""
    frame = read(ctx, "hiv")[["got", "any", "age", "distvct"]].dropna()
    found = run(ctx, "experiment", frame, treatment="any", outcome="got", share=None)
    assert 0.41 < found.difference.value < 0.46 and 0.015 < found.difference.standard_error < 0.025


def test_a_won_election_changed_votes_as_published(ctx: LocalContext) -> None:
    """Lee, Moretti, Butler 2004, table 1: 21.2 (1.9) within two points of half of the votes."""
    frame = read(ctx, "close_elections").dropna()
    near = frame[(frame["lagdemvoteshare"] - 0.5).abs() < 0.02]
    means = near.groupby("lagdemocrat")["score"].mean()
    assert means.diff().iloc[1] == pytest.approx(21.28, abs=0.01)
    found = run(ctx, "rdd", frame, running="lagdemvoteshare", cutoff=0.5, outcome="score")
    assert found.passed and found.effect.low < 21.2 < found.effect.high


@pytest.mark.slow
def test_mortgage_subsidies_raised_home_ownership_as_published(ctx: LocalContext) -> None:
    """Fetter 2013, as in Huntington-Klein 2021, "The effect", chapter 20: 0.170 (0.046), with race, state and quarter."""
    frame = read(ctx, "mortgages")
    near = frame[frame["qob_minus_kw"].abs() < 12].astype({"qob": str})
    x, y = near["qob_minus_kw"].to_numpy(), near["home_ownership"].to_numpy()
    above, veteran = (x > 0).astype(float), near["vet_wwko"].to_numpy(dtype=float)
    dummies = pd.get_dummies(near[["bpl", "qob"]], drop_first=True, dtype=float).to_numpy()
    given = [np.ones(len(near)), near["nonwhite"].to_numpy(), x, dummies]
    z, w = (np.column_stack([one, one * x, *given]) for one in (above, veteran))  # two-stage least squares of the book
    bread = np.linalg.inv(z.T @ w)
    found = bread @ z.T @ y
    scores = z * (y - w @ found)[:, None]
    error = float((bread @ scores.T @ scores @ bread.T)[0, 0] ** 0.5)
    assert (round(found[0], 3), round(error, 3)) == (0.170, 0.046)
    ours = run(
        ctx,
        "rdd",
        frame,
        running="qob_minus_kw",
        cutoff=0,
        outcome="home_ownership",
        treatment="vet_wwko",
        density=None,  # quarters of birth are too few values for it
    )
    assert abs(ours.effect.value - 0.170) < 0.01 and (ours.first_stage_f or 0) > 200 and ours.passed


def test_quitting_smoking_raised_weight_as_published(ctx: LocalContext) -> None:
    """Hernán and Robins 2020, "Causal inference: what if", chapters 12 to 15: 3.4 to 3.5 kg."""
    from called import LOGIT, RIDGE

    frame = read(ctx, "nhefs").dropna()
    for name in ("age", "wt71", "smokeintensity", "smokeyrs"):
        frame[f"{name}_squared"] = frame[name] ** 2  # the terms of the book's models
    frame = frame.astype(dict.fromkeys(("education", "exercise", "active"), str))
    numbers = [
        "sex",
        "race",
        *(f"{name}{end}" for name in ("age", "wt71", "smokeintensity", "smokeyrs") for end in ("", "_squared")),
    ]
    found = run(
        ctx,
        "estimate",
        frame,
        treatment="qsmk",
        outcome="wt82_71",
        confounders=[*numbers, "education", "exercise", "active"],
        outcome_model=RIDGE,
        treatment_model={**LOGIT, "params": {"C": 10.0}},
        keep=["seqn"],
        seed=1,
    )
    assert found.averages["naive"].value == pytest.approx(2.54, abs=0.01)
    assert 3.3 < found.effect.value < 3.6 and found.effect.low > 2
