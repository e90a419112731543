"""``feast.historical_features``: the traps of Feast's own join, and point-in-time truth."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from context import LocalContext
from e2i.errors import StepError
from e2i.settings import Settings
from e2i.tools.feast import ApplyParams, HistoricalFeaturesParams, actions
from tools.feast.feast_case import apply, at, join, log, run, view


def rows(keys: list[object], times: list[str]) -> pd.DataFrame:
    return pd.DataFrame({"hcp_id": keys, "when": [at(time) for time in times], "order": range(len(keys))})


@pytest.fixture(params=["asof", "file"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LocalContext]:
    """A context for e2i's own offline store, and one for Feast's."""
    context = LocalContext(tmp_path / "either", settings=Settings(tools={"feast": {"offline_store": request.param}}))
    yield context
    context.close()


def test_a_row_whose_value_has_expired_stays_with_a_null(either: LocalContext) -> None:
    repo = apply(either, log(), ttl="120d")
    found = join(either, repo, rows(["b", "a"], ["2025-01-01", "2024-04-01"]))
    assert found["order"].tolist() == [0, 1]
    assert np.isnan(found["calls"][0])
    assert found["calls"][1] == 2.0


def test_rows_with_equal_key_and_time_all_stay_with_their_own_labels(either: LocalContext) -> None:
    found = join(either, apply(either, log()), rows(["a", "a", "a"], ["2024-05-01"] * 3))
    assert found["order"].tolist() == [0, 1, 2]
    assert found["calls"].tolist() == [2.0, 2.0, 2.0]


def test_the_order_of_rows_is_that_of_the_table(either: LocalContext) -> None:
    times = ["2024-06-01", "2024-01-01", "2024-12-31", "2024-03-31"]
    found = join(either, apply(either, log()), rows(["b", "a", "a", "a"], times))
    assert found["order"].tolist() == [0, 1, 2, 3]
    assert found["calls"].tolist() == [5.0, 1.0, 2.0, 1.0]


def test_unknown_and_null_keys_have_nulls_and_stay(either: LocalContext) -> None:
    frame = pd.concat([log(), log().assign(hcp_id=None)], ignore_index=True)
    found = join(either, apply(either, frame), rows(["nobody", None, "a"], ["2024-05-01"] * 3))
    assert found["calls"].isna().tolist() == [True, True, False]


def test_columns_come_in_the_order_asked_for_and_repeat_exactly(ctx: LocalContext) -> None:
    repo = apply(ctx, log().assign(zeta=1.0, alpha=2.0))
    some = rows(["a"], ["2024-05-01"])
    assert list(join(ctx, repo, some)) == ["hcp_id", "when", "order", "calls", "zeta", "alpha"]
    assert list(join(ctx, repo, some, "history:alpha", "history:calls", keep=())) == ["alpha", "calls"]
    assert list(join(ctx, repo, some, "history:*", keep=("order",), full_feature_names=True)) == [
        "order",
        "history__calls",
        "history__zeta",
        "history__alpha",
    ]


def test_an_equal_time_counts_and_a_microsecond_earlier_does_not(ctx: LocalContext) -> None:
    some = rows(["a", "a"], ["2024-04-01 00:00:00", "2024-03-31 23:59:59.999999"])
    assert join(ctx, apply(ctx, log()), some)["calls"].tolist() == [2.0, 1.0]


def test_a_value_of_exactly_the_age_of_the_ttl_counts_and_an_older_one_does_not(ctx: LocalContext) -> None:
    some = rows(["b", "b"], ["2024-01-01 02:00:00", "2024-01-01 02:00:00.000001"])
    assert join(ctx, apply(ctx, log(), ttl="2h"), some)["calls"].isna().tolist() == [False, True]


def test_a_late_correction_is_not_known_before_it_was_created(either: LocalContext) -> None:
    frame = pd.DataFrame(
        {
            "hcp_id": ["a", "a"],
            "event_timestamp": [at("2024-01-01"), at("2024-01-01")],
            "created": [at("2024-01-01"), at("2024-03-01")],
            "calls": [1.0, 99.0],
        }
    )
    repo = apply(either, frame, created="created")
    some = rows(["a", "a"], ["2024-02-01", "2024-03-01"])
    assert join(either, repo, some)["calls"].tolist() == [1.0, 99.0]
    assert join(either, repo, some, created_cutoff=False)["calls"].tolist() == [99.0, 99.0]


def test_random_data_agrees_with_merge_asof(ctx: LocalContext) -> None:
    rng = np.random.default_rng(11)
    day = pd.Timestamp("2024-01-01", tz="UTC")
    source = pd.DataFrame(
        {
            "hcp_id": rng.integers(0, 50, 2_000),
            "event_timestamp": day + pd.to_timedelta(rng.integers(0, 500, 2_000), unit="h"),
            "calls": rng.normal(size=2_000),
        }
    ).drop_duplicates(["hcp_id", "event_timestamp"], ignore_index=True)
    table = pd.DataFrame(
        {
            "hcp_id": rng.integers(0, 55, 5_000),
            "when": day + pd.to_timedelta(rng.integers(0, 500, 5_000), unit="h"),
            "order": range(5_000),
        }
    )
    expected = pd.merge_asof(
        table.sort_values("when"),
        source.sort_values("event_timestamp").rename(columns={"event_timestamp": "when"}),
        on="when",
        by="hcp_id",
        tolerance=pd.Timedelta("48h"),
    ).sort_values("order")
    found = join(ctx, apply(ctx, source, key_type="int64", ttl="48h"), table)
    np.testing.assert_array_equal(found["calls"].to_numpy(), expected["calls"].to_numpy())
    assert 0.5 < found["calls"].notna().mean() < 1


def test_a_null_in_one_views_key_leaves_the_other_views_features(ctx: LocalContext) -> None:
    brands = pd.DataFrame({"brand": ["Kisqali"], "event_timestamp": [at("2024-01-01")], "share": [0.5]})
    params = ApplyParams.model_validate(
        {
            "project": "two",
            "entities": {"hcp": {"join_key": "hcp_id"}, "brand": {}},
            "views": {
                "history": view(ctx.table(log())),
                "market": {**view(ctx.table(brands)), "entity": "brand"},
            },
        }
    )
    repo = run(actions.apply(params, ctx)).repo
    some = rows(["a", None, "a"], ["2024-02-01"] * 3).assign(brand=pd.Series([None, "Kisqali", "Other"]))
    found = join(ctx, repo, some, "history", "market")
    assert found["calls"].isna().tolist() == [False, True, False]
    assert found["share"].isna().tolist() == [True, False, True]


def test_coverage_is_the_share_of_rows_with_a_value_and_is_a_metric(ctx: LocalContext) -> None:
    repo = apply(ctx, log())
    table = ctx.table(rows(["a", "b", "nobody", "nobody"], ["2024-05-01"] * 4))
    params = HistoricalFeaturesParams(repo=repo, table=table, timestamp="when", features=("history:calls",))
    assert run(actions.historical_features(params, ctx)).coverage == {"history": 0.5}
    assert ctx.metrics == {"coverage.history": 0.5}


def test_an_empty_table_gives_an_empty_table(ctx: LocalContext) -> None:
    assert join(ctx, apply(ctx, log()), rows(["a"], ["2024-05-01"]).head(0)).empty


def test_a_feature_named_like_a_key_of_another_view_is_named(ctx: LocalContext) -> None:
    brands = log().rename(columns={"hcp_id": "brand", "calls": "hcp_id"})
    params = ApplyParams.model_validate(
        {
            "project": "clash",
            "entities": {"hcp": {"join_key": "hcp_id"}, "brand": {}},
            "views": {"history": view(ctx.table(log())), "market": {**view(ctx.table(brands)), "entity": "brand"}},
        }
    )
    repo = run(actions.apply(params, ctx)).repo
    some = rows(["a"], ["2024-05-01"]).assign(brand="a")
    with pytest.raises(StepError, match="'hcp_id'") as caught:
        join(ctx, repo, some, "history", "market", keep=())
    assert caught.value.code == "feature-name-collision"
    found = join(ctx, repo, some, "history", "market", keep=(), full_feature_names=True)
    assert found.to_dict("records") == [{"history__calls": 2.0, "market__hcp_id": 2.0}]


def test_a_time_without_a_zone_is_utc(ctx: LocalContext) -> None:
    some = rows(["a"], ["2024-04-01"])
    some["when"] = some["when"].dt.tz_localize(None)
    assert join(ctx, apply(ctx, log()), some)["calls"].tolist() == [2.0]


@pytest.mark.parametrize(
    ("change", "features", "code"),
    [
        ({}, ("histori",), "unknown-feature-view"),
        ({}, ("history:cals",), "unknown-feature"),
        ({"hcp_id": [1]}, ("history",), "join-key-type"),
        ({"when": ["soon"]}, ("history",), "not-a-timestamp"),
        ({"when": [pd.NaT]}, ("history",), "null-timestamp"),
        ({"calls": [0.0]}, ("history",), "feature-name-collision"),
    ],
)
def test_what_cannot_be_joined_is_named(
    ctx: LocalContext, change: dict[str, Any], features: tuple[str, ...], code: str
) -> None:
    some = rows(["a"], ["2024-05-01"]).assign(**change)
    if code == "null-timestamp":
        some["when"] = pd.to_datetime(some["when"], utc=True)
    with pytest.raises(StepError) as caught:
        join(ctx, apply(ctx, log()), some, *features)
    assert caught.value.code == code
    assert caught.value.hint
