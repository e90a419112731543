"""Small tables in, a registered project out: what the tests of this folder start from."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import pandas as pd

from context import LocalContext
from e2i.catalog.artifacts import FeatureRepo, Table
from e2i.tools.feast import ApplyParams, HistoricalFeaturesParams, actions
from e2i.tools.feast.connector import GuardedFeast

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def at(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC")


def log() -> pd.DataFrame:
    """Two HCPs; the value of ``a`` changes in April."""
    return pd.DataFrame(
        {
            "hcp_id": ["a", "a", "b"],
            "event_timestamp": [at("2024-01-01"), at("2024-04-01"), at("2024-01-01")],
            "calls": [1.0, 2.0, 5.0],
        }
    )


def view(table: Table, **options: Any) -> dict[str, Any]:
    return {"table": table, "entity": "hcp", "timestamp": "event_timestamp", **options}


def apply(ctx: LocalContext, frame: pd.DataFrame, *, key_type: str = "string", **options: Any) -> FeatureRepo:
    """A project ``e2i`` with one view ``history`` over the frame, keyed by ``hcp_id``."""
    params = ApplyParams.model_validate(
        {
            "project": "e2i",
            "entities": {"hcp": {"join_key": "hcp_id", "type": key_type}},
            "views": {"history": view(ctx.table(frame), **options)},
        }
    )
    return run(actions.apply(params, ctx)).repo


def join(ctx: LocalContext, repo: FeatureRepo, rows: pd.DataFrame, *features: str, **options: Any) -> pd.DataFrame:
    """The rows with features as of their ``when``."""
    params = HistoricalFeaturesParams(
        repo=repo, table=ctx.table(rows), timestamp="when", features=features or ("history",), **options
    )
    return ctx.frame(run(actions.historical_features(params, ctx)).table)


def client(ctx: LocalContext) -> GuardedFeast:
    return ctx.connect(GuardedFeast)
