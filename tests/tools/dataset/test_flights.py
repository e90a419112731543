"""Flights of 2013 from the installed package: times, leakage, sampling, and what happens without the package."""

from pathlib import Path

import pandas as pd
import pytest

from context import LocalContext
from e2i.errors import ToolUnavailable
from e2i.tools.dataset import FlightsParams, flights
from e2i.tools.dataset.actions import nycflights13

LATER = {"dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"}


@pytest.fixture(scope="module")
def folder() -> Path:
    return flights.find_data()


@pytest.fixture(scope="module")
def year(folder: Path) -> tuple[pd.DataFrame, int]:
    return flights.read_flights(folder, 0, seed=1)


def test_the_whole_year_is_there_but_for_flights_that_never_arrived(year: tuple[pd.DataFrame, int]) -> None:
    frame, cancelled = year
    assert (len(frame), cancelled) == (327_346, 9_430)
    assert len(frame) + cancelled == 336_776
    assert frame["flight_id"].is_unique
    assert frame["late"].mean() == pytest.approx(0.2371, abs=1e-4)
    assert not LATER & set(frame.columns)


def test_times_are_utc_and_agree_with_the_local_columns(year: tuple[pd.DataFrame, int]) -> None:
    frame, _ = year
    local = frame["scheduled_departure"].dt.tz_convert("America/New_York")
    assert (local.dt.hour == frame["hour"]).all()
    assert (local.dt.minute == frame["minute"]).all()
    assert (local.dt.month == frame["month"]).all()
    assert (local.dt.weekday == frame["weekday"]).all()
    assert (frame["scheduled_hour"] == frame["scheduled_departure"].dt.floor("h")).all()
    assert frame["scheduled_departure"].is_monotonic_increasing


def test_weather_has_one_row_an_airport_and_hour_even_where_the_clock_is_put_back(folder: Path) -> None:
    weather = flights.read_weather(folder)
    assert len(weather) == 26_115
    assert not weather.duplicated(["origin", "observed_at"]).any()
    raw = pd.read_csv(folder / "weather.csv")
    assert raw.duplicated(["origin", "year", "month", "day", "hour"]).sum() == 3, "by the local clock there are doubles"
    local = pd.to_datetime(raw["time_hour"], utc=True).dt.tz_convert("America/New_York")
    assert (local.dt.hour == raw["hour"]).all()
    assert (local.dt.day == raw["day"]).all()


def test_nearly_every_flight_finds_the_weather_and_most_find_their_plane(ctx: LocalContext) -> None:
    out = nycflights13(FlightsParams(rows=3_000), ctx)
    frame, weather, planes = ctx.frame(out.flights), ctx.frame(out.weather), ctx.frame(out.planes)
    hours = pd.MultiIndex.from_frame(weather[["origin", "observed_at"]])
    last_known = frame.assign(observed_at=frame["scheduled_hour"] - pd.Timedelta(minutes=9))
    assert pd.MultiIndex.from_frame(last_known[["origin", "observed_at"]]).isin(hours).mean() > 0.98
    assert frame["tailnum"].isin(planes["tailnum"]).mean() > 0.8
    assert (planes["known_at"].max() < frame["scheduled_departure"].min()) and planes["tailnum"].is_unique
    assert planes["age"].min() == 1 and planes["age"].isna().sum() == 70


def test_a_sample_is_spread_evenly_over_the_year_and_seeded(folder: Path, year: tuple[pd.DataFrame, int]) -> None:
    one, cancelled = flights.read_flights(folder, 3_650, seed=1)
    again, _ = flights.read_flights(folder, 3_650, seed=1)
    other, _ = flights.read_flights(folder, 3_650, seed=2)
    assert one.equals(again) and not one.equals(other)
    assert cancelled == 9_430
    assert one["flight_id"].is_unique and len(one) == 3_650
    counted = one["month"].value_counts(normalize=True) - year[0]["month"].value_counts(normalize=True)
    assert counted.abs().max() < 0.001


def test_without_the_package_the_extra_to_install_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise flights.PackageNotFoundError(name)

    monkeypatch.setattr(flights, "distribution", absent)
    with pytest.raises(ToolUnavailable) as caught:
        flights.find_data()
    assert caught.value.hint == 'pip install "e2i[examples]"'
    assert caught.value.exit_code == 4
