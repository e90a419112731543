"""The columns that are promised of the data sets, held against the tables that they give."""

from __future__ import annotations

import pytest

from context import LocalContext
from e2i.catalog.columns import Flow, KnownTable
from e2i.catalog.files import NO_FILES
from e2i.tools.dataset import FlightsOutputs, FlightsParams, HcpOutputs, HcpParams, actions, columns


@pytest.mark.parametrize("rows", [40, 400])
def test_the_journeys_are_as_promised(ctx: LocalContext, rows: int) -> None:
    _same(actions.hcp(HcpParams(rows=rows), ctx), columns.hcp({}, NO_FILES))


def test_the_flights_are_as_promised(ctx: LocalContext) -> None:
    _same(actions.nycflights13(FlightsParams(rows=300), ctx), columns.nycflights13({}, NO_FILES))


def test_the_target_is_known_to_be_made_from_the_outcome() -> None:
    journeys = columns.hcp({}, NO_FILES).outputs["journeys"]
    assert isinstance(journeys, KnownTable)
    assert journeys.gives_away("target") == ("outcome",)
    assert journeys.gives_away("outcome") == ("target",)
    assert journeys.gives_away("treatment") == ()


def _same(real: HcpOutputs | FlightsOutputs, promised: Flow) -> None:
    for name, known in promised.outputs.items():
        assert isinstance(known, KnownTable)
        assert list(known.columns.items()) == [(column.name, column.type) for column in getattr(real, name).columns]
