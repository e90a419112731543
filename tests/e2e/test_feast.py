"""Feast's own client, and pandas, asked about what the runs registered, joined and published."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from e2e.sandbox import Run

if TYPE_CHECKING:
    from feast import FeatureStore

WEATHER = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"]
PLANES = ["age", "type", "manufacturer", "model", "engines", "seats", "engine"]


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever Feast's client leaves in the current directory is left here."""
    monkeypatch.chdir(tmp_path)


def client(run: Run, project: str) -> FeatureStore:
    from feast_client import FeatureStore

    return FeatureStore(repo_path=os.fspath(run.store / "feast" / project))


def same(one: pd.Series[Any], other: pd.Series[Any]) -> bool:
    """Whether all values are equal, missing ones among them."""
    return bool(((one == other) | (one.isna() & other.isna())).all())


@pytest.mark.usefixtures("elsewhere")
def test_the_registry_has_the_views_with_their_features_and_keys(flights: Run, conversion: Run) -> None:
    views = {view.name: view for view in client(flights, "flights").list_feature_views()}
    assert {name: [field.name for field in view.features] for name, view in views.items()} == {
        "weather": WEATHER,
        "planes": PLANES,
    }
    assert {name: view.join_keys for name, view in views.items()} == {"weather": ["origin"], "planes": ["tailnum"]}
    assert views["weather"].ttl == pd.Timedelta("6h")
    (history,) = client(conversion, "hcp").list_feature_views()
    assert history.batch_source.created_timestamp_column == "created"


@pytest.mark.usefixtures("elsewhere")
def test_the_online_store_answers_the_newest_weather_that_was_published(flights: Run) -> None:
    weather = flights.frame("data", "weather")
    newest = weather.sort_values("observed_at").groupby("origin").tail(1).set_index("origin")
    rows = [{"origin": origin} for origin in newest.index]
    answer = client(flights, "flights").get_online_features([f"weather:{name}" for name in WEATHER], rows).to_df()
    answer = answer.set_index("origin").loc[newest.index]
    for name in WEATHER:
        assert same(answer[name].astype(float), newest[name].astype(float)), name


@pytest.mark.usefixtures("elsewhere")
def test_the_online_store_answers_planes_what_the_lookup_step_was_told(flights: Run) -> None:
    store = client(flights, "flights")
    plane = flights.frame("data", "planes").iloc[0]
    answer = store.get_online_features([f"planes:{name}" for name in PLANES], [{"tailnum": plane["tailnum"]}]).to_dict()
    assert {name: answer[name] for name in ("type", "manufacturer", "model")} == {
        name: [plane[name]] for name in ("type", "manufacturer", "model")
    }
    for row in flights.outputs("lookup")["rows"]:
        asked = store.get_online_features(
            ["weather:temp", "weather:wind_speed", "weather:visib"], [{"origin": row["origin"]}]
        ).to_dict()
        assert {name: values[0] for name, values in asked.items()} == row


def test_what_was_published_is_counted_as_pandas_counts_it(flights: Run) -> None:
    published, weather = flights.outputs("publish"), flights.frame("data", "weather")
    until = pd.Timestamp(published["until"])
    assert until == max(weather["observed_at"].max(), flights.frame("data", "planes")["known_at"].max())
    window = weather[weather["observed_at"] >= until - pd.Timedelta("6h")]
    assert published["views"]["weather"] == {"rows": len(window), "keys": window["origin"].nunique()}
    planes = flights.frame("data", "planes")
    assert published["views"]["planes"] == {"rows": len(planes), "keys": planes["tailnum"].nunique()}


def test_every_flight_is_kept_once_and_in_its_place(flights: Run) -> None:
    before, after = flights.frame("data", "flights"), flights.frame("join")
    pd.testing.assert_frame_equal(after[list(before.columns)], before)


def test_the_join_equals_merge_asof(flights: Run) -> None:
    joined = flights.frame("join")
    asked = flights.frame("data", "flights")[["origin", "tailnum", "scheduled_hour"]].reset_index(names="place")
    asked = asked.sort_values("scheduled_hour", kind="stable")
    weather = flights.frame("data", "weather").sort_values("observed_at", kind="stable")
    planes = flights.frame("data", "planes").sort_values("known_at", kind="stable")
    with_weather = pd.merge_asof(
        asked, weather, left_on="scheduled_hour", right_on="observed_at", by="origin", tolerance=pd.Timedelta("6h")
    ).set_index("place")
    known = asked.dropna(subset="tailnum")
    with_planes = pd.merge_asof(known, planes, left_on="scheduled_hour", right_on="known_at", by="tailnum")
    with_planes = with_planes.set_index("place").reindex(range(len(joined)))
    for name in WEATHER:
        assert same(joined[name], with_weather.sort_index()[name]), name
    for name in PLANES:
        assert same(joined[name], with_planes[name]), name
    coverage = flights.outputs("join")["coverage"]
    assert coverage["weather"] == pytest.approx(with_weather[WEATHER].notna().any(axis=1).mean())
    assert coverage["planes"] == pytest.approx(with_planes[PLANES].notna().any(axis=1).mean())


def test_each_journey_has_the_newest_history_that_was_known_then(conversion: Run) -> None:
    joined, journeys = conversion.frame("join"), conversion.frame("data", "journeys")
    history = conversion.frame("data", "history")
    features = [name for name in history.columns if name not in ("hcp_id", "event_timestamp", "created")]
    pairs = journeys[["hcp_id", "observation_date"]].reset_index(names="place").merge(history, on="hcp_id")
    age = pairs["observation_date"] - pairs["event_timestamp"]
    known = pairs[
        (age >= pd.Timedelta(0)) & (age <= pd.Timedelta("365d")) & (pairs["created"] <= pairs["observation_date"])
    ]
    newest = known.sort_values(["event_timestamp", "created"], kind="stable").groupby("place").tail(1)
    newest = newest.set_index("place").reindex(range(len(journeys)))
    assert joined["hcp_id"].tolist() == journeys["hcp_id"].tolist()
    for name in features:
        assert same(joined[name], newest[name]), name
