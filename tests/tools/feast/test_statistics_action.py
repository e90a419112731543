"""``feast.statistics``: figures equal pandas', drift above a limit fails or warns, periods, a page without resources."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from scipy import stats

from context import LocalContext
from e2i.errors import StepError
from e2i.tools.feast import StatisticsOutputs, StatisticsParams, actions
from tools.feast.feast_case import apply, at, run


def frame(rows: int = 400, seed: int = 1) -> pd.DataFrame:
    r = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "hcp_id": [f"{number:03d}" for number in r.integers(0, 50, rows)],
            "event_timestamp": at("2025-01-01") + pd.to_timedelta(np.arange(rows), unit="h"),
            "calls": r.poisson(4, rows),
            "tenure": np.where(r.random(rows) < 0.1, np.nan, r.gamma(3, 2, rows)),
            "region": r.choice(["north", "south", "<b>west"], rows),
        }
    )


def described(ctx: LocalContext, **params: Any) -> StatisticsOutputs:
    return run(actions.statistics(StatisticsParams.model_validate(params), ctx))


def test_figures_of_a_view_are_those_of_its_rows_and_drift_fails_or_warns(ctx: LocalContext) -> None:
    repo = apply(ctx, frame())
    found = described(ctx, repo=repo, view="history")
    table = ctx.frame(found.table).set_index("feature")
    assert list(table.index) == ["calls", "tenure", "region"] and table.psi.isna().all() and not table.drifted.any()
    assert table["count"].tolist() == [400] * 3 and table.nulls["tenure"] == frame().tenure.isna().sum()
    assert table["mean"]["tenure"] == pytest.approx(frame().tenure.mean())
    assert table.deviation["calls"] == pytest.approx(frame().calls.std())
    assert table.q95["tenure"] == pytest.approx(frame().tenure.quantile(0.95))
    assert table.distinct["region"] == 3
    assert sum(int(count) for count in found.histograms["calls"]["counts"]) == 400
    page = (ctx.open(found.report) / "index.html").read_text()
    assert page.count("<svg") == 3 and "<b>west" not in page and "src=" not in page

    other = frame(seed=2).assign(calls=lambda rows: rows.calls + 3)
    again = described(ctx, repo=repo, view="history", reference=ctx.table(other), max_ks=0.2, on_drift="warn")
    drift = ctx.frame(again.table).set_index("feature")
    assert again.drifted == ["calls"] and "calls" in ctx.warned[0]
    expected = stats.ks_2samp(frame().calls, other.calls, method="asymp")
    assert drift.ks["calls"] == pytest.approx(expected.statistic)
    assert drift.psi["region"] < 0.1 and ctx.metrics["psi.calls"] == pytest.approx(drift.psi["calls"])
    with pytest.raises(StepError, match="1 of 3 features drifted: calls") as caught:
        described(ctx, repo=repo, view="history", reference=ctx.table(other), max_psi=0.25)
    assert caught.value.code == "feature-drift"
    assert set(caught.value.details["drifted"]) == {"calls"} and caught.value.details["report"]["type"] == "report"


def test_periods_of_a_table_and_values_on_one_side_only(ctx: LocalContext) -> None:
    middle = at("2025-01-09")
    rows = frame().assign(calls=lambda given: given.calls.where(given.event_timestamp < middle, 50))
    table = ctx.table(rows.assign(tenure=rows.tenure.where(rows.event_timestamp < middle)))
    found = described(
        ctx,
        table=table,
        features=("calls", "tenure", "region"),
        timestamp="event_timestamp",
        period={"start": middle.isoformat()},
        reference_period={"end": (middle - pd.Timedelta("1s")).isoformat()},
        max_psi=0.25,
        on_drift="warn",
    )
    assert found.drifted == ["calls", "tenure"]
    counted = ctx.frame(found.table).set_index("feature")["count"]
    assert counted["calls"] == (rows.event_timestamp >= middle).sum()
    for wrong, message in (
        ({"table": table, "max_psi": 1}, "a limit needs"),
        ({"table": table, "reference_period": {"start": middle.isoformat()}}, "need `timestamp`"),
        ({}, "set either `table`"),
    ):
        with pytest.raises(ValidationError, match=message):
            described(ctx, **wrong)
    with pytest.raises(StepError, match="no column 'call'"):
        described(ctx, table=table, features=("call",))
