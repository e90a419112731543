"""The synthetic journeys: shapes, dates that could have happened, and the effect that is known."""

import time

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from context import LocalContext
from e2i.tools.dataset import HcpParams
from e2i.tools.dataset.actions import hcp
from e2i.tools.dataset.columns import FEATURES
from e2i.tools.dataset.hcp import BRANDS, REGIONS, SPECIALTIES, make_tables

TABLES = make_tables(8_001, seed=3)


def test_one_journey_an_hcp_and_quarter_and_one_truth_a_journey() -> None:
    journeys, history, truth = TABLES
    assert len(journeys) == len(truth) == 8_001
    assert not journeys.duplicated(["hcp_id", "observation_date"]).any()
    assert journeys[["hcp_id", "observation_date"]].equals(truth[["hcp_id", "observation_date"]])
    assert tuple(history.columns) == ("hcp_id", "event_timestamp", "created", *FEATURES)
    assert not history.duplicated(["hcp_id", "event_timestamp"]).any()
    assert set(journeys["brand"]) == set(BRANDS)
    assert set(journeys["region"]) == set(REGIONS)
    for brand, group in journeys.groupby("brand"):
        assert set(group["specialty"]) == set(SPECIALTIES[str(brand)])


def test_dates_could_have_happened() -> None:
    journeys, history, _ = TABLES
    for kind in ("call", "sample"):
        first, last = journeys[f"first_{kind}_date"], journeys[f"last_{kind}_date"]
        recent = journeys[f"{kind}_frequency"] > 0
        assert (first.isna() == last.isna()).all()
        assert (first.dropna() <= last.dropna()).all()
        assert (last.dropna() < journeys.loc[last.notna(), "observation_date"]).all()
        age = journeys["observation_date"] - last
        assert (age[recent] <= pd.Timedelta("90D")).all()
        assert not (age[~recent] <= pd.Timedelta("90D")).any()
    latest = pd.merge_asof(
        journeys.sort_values("observation_date"),
        history.sort_values("event_timestamp"),
        left_on="observation_date",
        right_on="event_timestamp",
        by="hcp_id",
    )
    assert (latest["created"] < latest["observation_date"]).all(), "every journey's features were loaded by then"


def test_the_treatment_is_confounded_and_its_effect_is_recovered_by_the_true_propensity() -> None:
    journeys, _, truth = make_tables(40_000, seed=5)
    treated, outcome, e = journeys["treatment"], journeys["outcome"], truth["propensity"]
    assert e.between(0.05, 0.95).all()
    naive = outcome[treated == 1].mean() - outcome[treated == 0].mean()
    # Stabilised inverse propensity weights (Hajek).
    w1, w0 = treated / e, (1 - treated) / (1 - e)
    weighted = np.average(outcome, weights=w1) - np.average(outcome, weights=w0)
    ate = truth["tau"].mean()
    assert abs(weighted - ate) < 0.06
    assert naive - ate > 0.15
    assert journeys["target"].mean() == pytest.approx(0.4, abs=0.01)


def test_equal_seeds_give_equal_tables_and_other_seeds_others(ctx: LocalContext) -> None:
    one, again, other = (hcp(HcpParams(rows=400, seed=seed), ctx) for seed in (1, 1, 2))
    assert one == again
    assert one.journeys.digest != other.journeys.digest
    assert one.journeys.rows == 400
    assert one.true_ate == pytest.approx(ctx.frame(one.truth)["tau"].mean())
    assert {c.name: c.type for c in one.history.columns}["event_timestamp"] == "timestamp[us, tz=UTC]"


def test_the_run_s_seed_is_used_when_none_is_given(ctx: LocalContext) -> None:
    assert hcp(HcpParams(rows=400), ctx) == hcp(HcpParams(rows=400, seed=ctx.seed), ctx)


def test_fifty_thousand_rows_take_a_second_of_processor_time_at_most() -> None:
    before = time.process_time()
    make_tables()
    assert time.process_time() - before < 1.0


def test_sizes_are_bounded() -> None:
    for broken in ({"rows": 0}, {"rows": 10**9}, {"quarters": 0}, {"seed": -1}):
        with pytest.raises(ValidationError):
            HcpParams.model_validate(broken)
