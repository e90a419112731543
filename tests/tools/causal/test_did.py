"""``causal.did``: equals least squares for two periods, is right where two-way effects are not, finds other trends."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from context import LocalContext
from e2i.catalog.registry import BUILT_IN
from e2i.errors import StepError
from e2i.tools.causal import actions, did
from e2i.tools.causal.panels import DidOutputs


def panel(units: int = 240, seed: int = 0, trend: float = 0.0) -> pd.DataFrame:
    """Groups from periods 3 and 6 of 8, a third never. The effect is 1 and grows by 0.5 a period; groups differ."""
    r = np.random.default_rng(seed)
    first = r.choice([3, 6, 99], units)
    level = r.normal(size=units) + (first == 3)
    rows = []
    for period in range(8):
        treated = period >= first
        effect = np.where(treated, 1 + 0.5 * (period - first), 0.0)
        outcome = level + 0.3 * period + trend * period * (first < 99) + effect + 0.5 * r.normal(size=units)
        rows.append(
            pd.DataFrame(
                {"unit": np.arange(units), "year": 2000 + period, "y": outcome, "treated": treated * 1, "true": effect}
            )
        )
    return pd.concat(rows, ignore_index=True)


def run(ctx: LocalContext, frame: pd.DataFrame, **given: Any) -> DidOutputs:
    params = {"table": ctx.table(frame), "unit": "unit", "time": "year", "outcome": "y", "treatment": "treated"}
    return actions.did(BUILT_IN.validate("causal.did", {**params, **given}), ctx)


def test_staggered_effects_are_found_where_two_way_effects_are_wrong(ctx: LocalContext) -> None:
    frame = panel(seed=1)
    truth = frame["true"][frame["treated"] == 1].mean()
    found = run(ctx, frame)
    assert found.effect.low < truth < found.effect.high and abs(found.effect.value - truth) < 0.15
    assert found.two_way.high < truth - 0.1  # Goodman-Bacon 2021: later groups are compared with earlier ones
    events = ctx.frame(found.events).set_index("event")
    assert list(events.index) == [-6, -5, -4, -3, -2, 0, 1, 2, 3, 4]
    for event in range(5):
        assert events.loc[event, "effect_low"] < 1 + 0.5 * event < events.loc[event, "effect_high"]
    groups = ctx.frame(found.groups)
    assert list(groups["first_period"]) == ["2003", "2006"] and found.passed and found.units == 240
    assert abs(groups["effect"].iloc[0] - 2) < 0.2 and abs(groups["effect"].iloc[1] - 1.25) < 0.2
    page = (ctx.open(found.report) / "index.html").read_text()
    assert "Over the treated periods, treated changes y by" in page
    never = run(ctx, frame, controls="never")
    assert abs(never.effect.value - found.effect.value) < 0.15


def test_periods_that_cannot_be_compared_are_named(ctx: LocalContext) -> None:
    frame = panel(60)
    never = frame.groupby("unit")["treated"].transform("max") == 0
    found = run(ctx, frame[~never], pre_trend=None)
    assert ctx.warned[0].endswith(
        "not treated yet, are there to compare: 2006, 2007 of the units treated from 2003 on; all periods of the units "
        "treated from 2006 on"
    )
    assert list(ctx.frame(found.groups)["first_period"]) == ["2003"]
    page = (ctx.open(found.report) / "index.html").read_text()
    assert "Over the periods that can be compared, treated changes y by" in page
    assert page.index("left out of the effect") > 0


def test_two_groups_and_periods_equal_least_squares_of_the_changes(ctx: LocalContext) -> None:
    import statsmodels.api as sm

    frame = panel()
    frame = frame[frame["year"].isin([2002, 2003])]
    found = run(ctx, frame)
    wide = frame.pivot(index="unit", columns="year", values="y")
    treated = frame[frame["year"] == 2003].set_index("unit")["treated"]
    fitted = sm.OLS(wide[2003] - wide[2002], sm.add_constant(treated)).fit(cov_type="HC0")
    assert found.effect.value == pytest.approx(fitted.params.iloc[1], abs=1e-12)
    assert found.effect.standard_error == pytest.approx(fitted.bse.iloc[1], rel=1e-9)
    assert found.two_way.value == pytest.approx(found.effect.value, abs=1e-12)
    assert any("too few periods before" in one for one in ctx.warned)


def test_each_effect_is_a_difference_of_mean_changes() -> None:
    r = np.random.default_rng(4)
    first = np.repeat([1, 2, 4], 5)
    found = did.Panel(r.normal(size=(15, 4)), first, np.arange(15))
    cells = {(one.group, one.period): one.effect for one in did.cells(found, "not_yet")}
    assert set(cells) == {(1, 1), (1, 2), (1, 3), (2, 0), (2, 2), (2, 3)}
    for (group, period), effect in cells.items():
        change = found.outcome[:, period] - found.outcome[:, group - 1]
        others = (first > max(period, group - 1)) & (first != group)
        assert effect == pytest.approx(change[first == group].mean() - change[others].mean())


def test_units_that_did_not_move_in_parallel_are_found(ctx: LocalContext) -> None:
    with pytest.raises(StepError, match="the design does not hold: pre-trend: before the treatment") as failed:
        run(ctx, panel(trend=0.15))
    assert failed.value.code == "refuted"
    assert not run(ctx, panel(trend=0.15), on_failure="warn").passed
    assert run(ctx, panel(trend=0.15), pre_trend=None).passed


def test_units_of_one_group_widen_the_interval(ctx: LocalContext) -> None:
    one = panel(60)
    four = pd.concat([one.assign(unit=one["unit"] + 1000 * copy, town=one["unit"]) for copy in range(4)])
    alone, together = run(ctx, four, pre_trend=None), run(ctx, four, pre_trend=None, group="town")
    assert together.effect.standard_error == pytest.approx(2 * alone.effect.standard_error, rel=1e-6)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda frame: pd.concat([frame, frame.head(1)]), "bad-group"),
        (lambda frame: frame.assign(treated=frame["treated"] * 2), "bad-treatment"),
        (lambda frame: frame.assign(treated=(frame["year"] == 2003) * 1), "bad-treatment"),
        (lambda frame: frame.assign(treated=0), "few-rows"),
        (lambda frame: frame.drop(columns="y"), "unknown-column"),
    ],
)
def test_what_is_no_panel_is_said(ctx: LocalContext, change: Any, code: str) -> None:
    with pytest.raises(StepError) as failed:
        run(ctx, change(panel(40)))
    assert failed.value.code == code


def test_missing_outcomes_are_said_in_words_of_panels(ctx: LocalContext) -> None:
    frame = panel(40)
    frame.loc[3, "y"] = None
    with pytest.raises(StepError, match="the outcome 'y' is missing in 1 of 320 rows") as failed:
        run(ctx, frame)
    assert "target" not in str(failed.value) and "split" not in str(failed.value.hint)


def test_units_without_all_periods_or_a_period_before_are_left_out(ctx: LocalContext) -> None:
    frame = panel(80)
    frame = frame.drop(index=0)
    frame.loc[frame["unit"] == 1, "treated"] = 1
    found = run(ctx, frame)
    assert found.units == 78
    assert [one.split(" units")[0] for one in ctx.warned[:2]] == ["1", "1"]


@pytest.mark.slow
def test_intervals_cover_and_clean_trends_pass_as_often_as_they_say() -> None:
    from e2i.tools.causal import panel as reading
    from e2i.tools.causal.panels import DidParams

    table = {"type": "table", "digest": "sha256:" + "0" * 64, "columns": [], "rows": 1}
    given = {"table": table, "unit": "unit", "time": "year", "outcome": "y", "treatment": "treated"}
    params = BUILT_IN.validate("causal.did", given)
    assert isinstance(params, DidParams)
    covered = alarms = 0
    for seed in range(200):
        found = reading.read(panel(seed=seed), params).panel
        cells = did.cells(found, "not_yet")
        # the truth with these sizes of groups: 5 periods from 1 to 3, 2 periods from 1 to 1.5
        sizes = [(found.first == group).sum() for group in (3, 6)]
        truth = (sizes[0] * 10 + sizes[1] * 2.5) / (sizes[0] * 5 + sizes[1] * 2)
        effect = did.overall(found, cells, 0.95).effect
        covered += effect.low <= truth <= effect.high
        events = did.by_event(found, cells, 0.95)
        alarms += (did.pre_trend(found, [one for event, one in events.items() if event < 0]) or 1.0) < 0.05
    print(f"{covered} of 200 intervals, {alarms} alarms at 0.05")
    assert 180 <= covered <= 200 and alarms <= 24


def test_texts_whose_order_is_not_that_of_their_numbers_and_sparse_panels_are_refused(ctx: LocalContext) -> None:
    frame = panel(40)
    short = (frame["year"] - 1995).astype(str)
    with pytest.raises(StepError, match="in whose order 'p10' comes before 'p5'") as caught:
        run(ctx, frame.assign(year="p" + short))
    assert caught.value.code == "not-a-number"
    assert run(ctx, frame.assign(year="p" + short.str.zfill(2))).effect == run(ctx, frame).effect
    sparse = frame[(frame["year"] != 2002) | (frame["unit"] < 3)]
    with pytest.raises(StepError, match=r"3 of 40 units have a row in each of the 8 periods; 2002 is absent in 37 of"):
        run(ctx, sparse)
