"""What a model of the flagship runs has learnt from: nothing that was known only later, and nobody in two parts."""

from __future__ import annotations

import itertools

from e2e import native_model
from e2e.sandbox import Run

KNOWN_BEFORE_DEPARTURE = {
    "carrier", "origin", "dest", "weekday", "hour", "minute", "arrival_hour", "distance",  # the timetable
    "temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib",  # weather, before
    "age", "type", "manufacturer", "model", "engines", "seats", "engine",  # the register of planes
}  # fmt: skip
KNOWN_AFTER_DEPARTURE = {"dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"}
PARTS = ("train", "validation", "test")


def test_no_column_known_only_after_departure_reaches_the_model(flights: Run) -> None:
    manifest = native_model.read_manifest(flights.path(flights.outputs("train")["model"]))
    assert {feature["name"] for feature in manifest["features"]} == KNOWN_BEFORE_DEPARTURE
    for part in PARTS:
        assert not KNOWN_AFTER_DEPARTURE & set(flights.frame("split", part).columns)


def test_the_weather_that_a_flight_has_was_observed_before_it_and_at_most_six_hours(flights: Run) -> None:
    joined, weather = flights.frame("join"), flights.frame("data", "weather")
    key = ["origin", "temp", "dewp", "humid", "wind_dir", "wind_speed", "pressure"]
    known = joined.dropna(subset=key)[["flight_id", "scheduled_hour", *key]].merge(
        weather[[*key, "observed_at"]], on=key
    )
    age = (known["scheduled_hour"] - known["observed_at"]).dt.total_seconds() / 3600
    fits = known[(age >= 0) & (age <= 6)]["flight_id"].nunique()
    assert fits == known["flight_id"].nunique() > 4000


def test_the_parts_of_the_year_come_one_after_the_other(flights: Run) -> None:
    parts = [flights.frame("split", part)["scheduled_departure"] for part in PARTS]
    for earlier, later in itertools.pairwise(parts):
        assert earlier.max() < later.min()
    assert sum(map(len, parts)) == len(flights.frame("join"))


def test_no_hcp_is_in_two_parts(conversion: Run) -> None:
    parts = [set(conversion.frame("split", part)["hcp_id"]) for part in PARTS]
    for one, other in itertools.combinations(parts, 2):
        assert one and other and not one & other
    assert set().union(*parts) == set(conversion.frame("data", "journeys")["hcp_id"])


def test_neither_outcome_nor_treatment_reaches_the_model(conversion: Run) -> None:
    manifest = native_model.read_manifest(conversion.path(conversion.outputs("train")["model"]))
    features = {feature["name"] for feature in manifest["features"]}
    history = set(conversion.frame("data", "history").columns) - {"hcp_id", "event_timestamp", "created"}
    assert features == {"brand", "specialty", "region"} | history


def test_categories_and_the_search_know_the_training_rows_only(flights: Run) -> None:
    manifest = native_model.read_manifest(flights.path(flights.outputs("train")["model"]))
    train = flights.frame("split", "train")
    for feature in manifest["features"]:
        if feature["kind"] == "category":
            assert set(feature["categories"]) <= set(train[feature["name"]].dropna())
