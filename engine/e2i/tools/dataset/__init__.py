"""The dataset tool: example data for learning and testing.

In: sizes and seeds. Out: tables. One action generates data with a known effect, one reads real data from a Python
package. Declarations only; ``actions`` does the work.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from e2i.catalog.action import Action, Outputs, Params, Tool
from e2i.catalog.artifacts import Table
from e2i.catalog.marks import Budget

Seed = Annotated[int | None, Field(ge=0, le=2**31 - 1, description="Seed of the random draws; null: the run's seed.")]


class HcpParams(Params):
    """Parameters of ``dataset.hcp``: synthetic journeys of health-care professionals (HCPs)."""

    rows: Annotated[
        int, Budget("rows"), Field(ge=40, le=5_000_000, description="Number of journey rows: one per HCP and quarter.")
    ] = 50_000
    quarters: Annotated[
        int, Field(ge=1, le=40, description="Number of quarters that each HCP is observed, from 2024 on.")
    ] = 4
    seed: Seed = None


class HcpOutputs(Outputs):
    """Outputs of ``dataset.hcp``: synthetic journeys, their features, and the true effects."""

    journeys: Annotated[
        Table,
        Field(
            description="One row per HCP and observation date: hcp_id, observation_date, brand, specialty, "
            "region, call_frequency and sample_frequency (in the 90 days before), first and last call and sample "
            "dates, treatment (1: called within 30 days after), outcome (new prescriptions index) and target (1: "
            "adopted), derived from outcome. The last three are known only afterwards."
        ),
    ]
    history: Annotated[
        Table,
        Field(
            description="Feature log for a feature store: hcp_id, event_timestamp (start of the quarter), "
            "created (when the row was loaded, some days later) and 18 numeric features."
        ),
    ]
    truth: Annotated[
        Table,
        Field(
            description="The true values that real data cannot contain, one row per journey: hcp_id, "
            "observation_date, tau (effect of the treatment on the outcome) and propensity (probability of the "
            "treatment). Never use them as features."
        ),
    ]
    true_ate: Annotated[float, Field(description="Average treatment effect: the mean of tau over the journeys.")]


class FlightsParams(Params):
    """Parameters of ``dataset.flights``: flights that left New York City in 2013."""

    rows: Annotated[
        int,
        Budget("rows"),
        Field(ge=0, le=400_000, description="Number of flights, spread evenly over the year; 0: all of them."),
    ] = 20_000
    seed: Seed = None


class FlightsOutputs(Outputs):
    """Outputs of ``dataset.flights``: data known before departure, the weather by hour, and the planes."""

    flights: Annotated[
        Table,
        Field(
            description="flight_id, carrier, flight, tailnum, origin, dest, scheduled_departure and "
            "scheduled_hour (UTC), month, weekday (0: Monday), hour and minute (New York), arrival_hour (local "
            "time at the destination), distance in miles, and late: 1 if it arrived more than 15 minutes late. No "
            "other column contains data known only after departure."
        ),
    ]
    weather: Annotated[
        Table,
        Field(
            description="origin, observed_at (UTC), temp and dewp (°F), humid (%), wind_dir (°), wind_speed and "
            "wind_gust (mph), precip (inches), pressure (millibars), visib (miles); known at observed_at, minute 51 "
            "of each hour."
        ),
    ]
    planes: Annotated[
        Table,
        Field(
            description="Planes built before 2013: tailnum, known_at (2013-01-01), age (years in 2013), type, "
            "manufacturer, model, engines, seats, engine."
        ),
    ]
    cancelled: Annotated[
        int, Field(description="Number of flights left out because they never arrived: cancelled or diverted.")
    ]


class PublishedParams(Params):
    """Parameters of ``dataset.causaldata``."""

    name: Annotated[
        Literal["nsw", "cps", "nhefs", "close_college", "close_elections", "hiv", "mortgages", "organ_donations"],
        Field(
            description="nsw: job training, an experiment (LaLonde 1986; Dehejia and Wahba 1999). cps: its controls "
            "from a survey. nhefs: quitting smoking and weight (Hernán and Robins). close_college: wages and schooling "
            "(Card 1995). close_elections: U.S. House (Lee, Moretti, Butler 2004). hiv: incentives to learn a result "
            "(Thornton 2008). mortgages: veterans' subsidies and home ownership (Fetter 2013). organ_donations: active "
            "choice in California (Kessler and Roth 2014)."
        ),
    ]


class PublishedOutputs(Outputs):
    """Outputs of ``dataset.causaldata``."""

    table: Annotated[Table, Field(description="The data set, with its published names of columns.")]


class RawParams(Params):
    """Parameters of ``dataset.nycflights13_tables``: none."""


class RawOutputs(Outputs):
    """Outputs of ``dataset.nycflights13_tables``: the five tables as they are published, in their order."""

    flights: Annotated[
        Table,
        Field(
            description="336,776 flights: year, month, day, dep_time, sched_dep_time, dep_delay, arr_time, "
            "sched_arr_time, arr_delay, carrier, flight, tailnum, origin, dest, air_time, distance, hour, minute, "
            "time_hour (UTC). dep_time and dep_delay are known at `departure`; arr_time, arr_delay and air_time at "
            "`arrival`."
        ),
    ]
    weather: Annotated[
        Table,
        Field(description="Weather per origin and hour: year … hour (local), nine measurements, time_hour (UTC)."),
    ]
    planes: Annotated[Table, Field(description="Planes by tailnum: year, type, manufacturer, model, engines, seats …")]
    airlines: Annotated[Table, Field(description="carrier, name.")]
    airports: Annotated[Table, Field(description="faa, name, lat, lon, alt, tz, dst, tzone.")]


TOOL = Tool(
    name="dataset",
    summary="Data sets for learning and testing: synthetic HCP journeys with a known effect, and flights "
    "from New York.",
    actions=(
        Action(
            "hcp",
            "Generates journeys of health-care professionals with a confounded treatment whose effect is known.",
            HcpParams,
            HcpOutputs,
            libraries=("numpy", "pandas"),
            columns=True,
        ),
        Action(
            "causaldata",
            "Reads data of a published study whose effect is known or debated, from the installed package causaldata.",
            PublishedParams,
            PublishedOutputs,
            libraries=("causaldata", "pandas"),
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
            version=2,  # 2: weather is known at minute 51, planes of 2013 are left out
        ),
        Action(
            "nycflights13_tables",
            "Reads the five tables of the installed package nycflights13 as published, with the moments at which their "
            "columns become known.",
            RawParams,
            RawOutputs,
            libraries=("nycflights13", "pandas", "pyarrow"),
            columns=True,
        ),
    ),
    distribution="pandas",
    extra="examples",
    imports=("pandas",),
)
