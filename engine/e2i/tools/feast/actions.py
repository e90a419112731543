"""Run the Feast actions with ``GuardedFeast``, one function per action. In: parameters. Out: outputs."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING

from e2i.errors import StepError
from e2i.tools.feast import (
    ApplyOutputs,
    ApplyParams,
    HistoricalFeaturesOutputs,
    HistoricalFeaturesParams,
    MaterializeOutputs,
    MaterializeParams,
    OnlineFeaturesOutputs,
    OnlineFeaturesParams,
    Value,
)
from e2i.tools.feast.connector import GuardedFeast
from e2i.tools.feast.definitions import define, labels

if TYPE_CHECKING:
    import pandas as pd

    from e2i.catalog.context import StepContext


async def apply(params: ApplyParams, ctx: StepContext) -> ApplyOutputs:
    """Register entities and feature views over tables."""
    definition = define(params.project, params.entities, params.views, params.tags)
    tables = {name: ctx.arrow(view.table) for name, view in params.views.items()}
    repo = await ctx.connect(GuardedFeast).apply(definition, tables)
    return ApplyOutputs(repo=repo, features=sum(len(features) for features in repo.views.values()))


async def historical_features(params: HistoricalFeaturesParams, ctx: StepContext) -> HistoricalFeaturesOutputs:
    """Join features to a table as of each row's point in time."""
    frame = ctx.frame(params.table)
    kept = list(params.table.names if params.keep is None else params.keep)
    unknown = [column for column in kept if column not in params.table.names]
    if unknown:
        raise StepError(
            f"the table has no column {unknown[0]!r}, which `keep` lists",
            code="missing-column",
            hint=f"columns: {', '.join(params.table.names[:20])}",
        )
    values = await ctx.connect(GuardedFeast).get_historical_features(
        params.repo,
        frame,
        params.features,
        timestamp=params.timestamp,
        created_cutoff=params.created_cutoff,
        full_feature_names=params.full_feature_names,
    )
    _refuse_collision(kept, list(values.columns))
    coverage = _coverage(params, values)
    for view, share in coverage.items():
        ctx.metric(f"coverage.{view}", share)
    joined = frame[kept].join(values)
    return HistoricalFeaturesOutputs(table=ctx.table(joined), coverage=coverage)


async def materialize(params: MaterializeParams, ctx: StepContext) -> MaterializeOutputs:
    """Publish the newest feature values to the online store."""
    until, views = await ctx.connect(GuardedFeast).materialize(params.repo, params.views, params.start, params.end)
    return MaterializeOutputs(until=until.astimezone(UTC).isoformat(), views=views)


async def online_features(params: OnlineFeaturesParams, ctx: StepContext) -> OnlineFeaturesOutputs:
    """Look features up in the online store."""
    import pyarrow as pa

    entities = params.entities or _distinct_keys(params, ctx)
    rows = await ctx.connect(GuardedFeast).get_online_features(
        params.repo, params.features, entities, full_feature_names=params.full_feature_names
    )
    keys = {key for found in params.repo.join_keys.values() for key in found}
    empty = [row for row in rows if all(value is None for name, value in row.items() if name not in keys)]
    if empty and params.missing == "error":
        raise StepError(
            f"{len(empty)} of {len(rows)} keys have no value online, the first: {empty[0]!r:.300}",
            code="features-missing",
            hint="publish them with feast.materialize, or set missing: null",
            details={"missing": empty[:20]},
        )
    return OnlineFeaturesOutputs(rows=rows, table=ctx.table(pa.Table.from_pylist(rows)))


def _distinct_keys(params: OnlineFeaturesParams, ctx: StepContext) -> tuple[dict[str, Value | None], ...]:
    """Return the first ``rows`` distinct keys of the table."""
    assert params.table is not None  # the parameters have either entities or a table
    asked = {reference.partition(":")[0] for reference in params.features}
    keys = sorted({key for view in asked for key in params.repo.join_keys.get(view, ())})
    missing = [key for key in keys if key not in params.table.names]
    if missing:
        raise StepError(
            f"the table has no column {missing[0]!r}",
            code="missing-column",
            hint=f"join keys of these features: {', '.join(keys)}",
        )
    frame = ctx.frame(params.table, keys).drop_duplicates().head(params.rows)
    frame = frame.convert_dtypes().astype(object)
    return tuple(
        {str(key): value for key, value in row.items()} for row in frame.where(frame.notna(), None).to_dict("records")
    )


def _refuse_collision(kept: list[str], features: list[str]) -> None:
    clash = [name for name in features if name in kept]
    if clash:
        raise StepError(
            f"the table already has a column {clash[0]!r}, which is also a requested feature",
            code="feature-name-collision",
            hint="set full_feature_names: true, or leave the column out of `keep`",
        )


def _coverage(params: HistoricalFeaturesParams, values: pd.DataFrame) -> dict[str, float]:
    """Return view → fraction of rows with at least one value; 0 for an empty table."""
    found: dict[str, list[str]] = {}
    asked = {view: _features(params, view) for view in dict.fromkeys(ref.partition(":")[0] for ref in params.features)}
    for (view, _), label in labels(asked, params.full_feature_names).items():
        found.setdefault(view, []).append(label)
    return {
        view: float(values[columns].notna().any(axis=1).mean()) if len(values) else 0.0
        for view, columns in sorted(found.items())
    }


def _features(params: HistoricalFeaturesParams, view: str) -> tuple[str, ...]:
    """Return the features requested from a view."""
    asked = [ref.partition(":")[2] for ref in params.features if ref.partition(":")[0] == view]
    return params.repo.views[view] if {"", "*"} & set(asked) else tuple(dict.fromkeys(asked))
