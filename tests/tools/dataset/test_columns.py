"""The columns that are promised of the data sets, held against the tables that they give."""

from __future__ import annotations

import pytest

from context import LocalContext
from e2i.catalog.columns import Flow, KnownTable
from e2i.catalog.files import NO_FILES
from e2i.tools.dataset import (
    FlightsOutputs,
    FlightsParams,
    HcpOutputs,
    HcpParams,
    RawOutputs,
    RawParams,
    actions,
    columns,
)


@pytest.mark.parametrize("rows", [40, 400])
def test_the_journeys_are_as_promised(ctx: LocalContext, rows: int) -> None:
    _same(actions.hcp(HcpParams(rows=rows), ctx), columns.hcp({}, NO_FILES))


def test_the_flights_are_as_promised(ctx: LocalContext) -> None:
    _same(actions.nycflights13(FlightsParams(rows=300), ctx), columns.nycflights13({}, NO_FILES))


def test_the_five_tables_are_as_promised(ctx: LocalContext) -> None:
    promised = columns.nycflights13_tables({}, NO_FILES)
    tables = actions.nycflights13_tables(RawParams(), ctx)
    _same(tables, promised)
    assert [getattr(tables, name).rows for name in columns.RAW] == [336_776, 26_115, 3_322, 16, 1_458]
    flights = promised.outputs["flights"]
    assert isinstance(flights, KnownTable)
    late = flights.known_later(flights.columns, ())
    assert late == {"dep_time": "departure", "dep_delay": "departure", **dict.fromkeys(
        ("arr_time", "arr_delay", "air_time"), "arrival")}  # fmt: skip


def test_the_target_is_known_to_be_made_from_the_outcome() -> None:
    journeys = columns.hcp({}, NO_FILES).outputs["journeys"]
    assert isinstance(journeys, KnownTable)
    assert journeys.gives_away("target") == ("outcome",)
    assert journeys.gives_away("outcome") == ("target",)
    assert journeys.gives_away("treatment") == ()


def _same(real: HcpOutputs | FlightsOutputs | RawOutputs, promised: Flow) -> None:
    for name, known in promised.outputs.items():
        assert isinstance(known, KnownTable)
        assert list(known.columns.items()) == [(column.name, column.type) for column in getattr(real, name).columns]
