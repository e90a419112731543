"""Run the Feast actions with ``GuardedFeast``, one function per action. In: parameters. Out: outputs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC
from typing import TYPE_CHECKING

from e2i.catalog.artifacts import FeatureRepo, Report
from e2i.errors import StepError
from e2i.spec.suggest import hint
from e2i.tools.feast import (
    ApplyOutputs,
    ApplyParams,
    HistoricalFeaturesOutputs,
    HistoricalFeaturesParams,
    MaterializeOutputs,
    MaterializeParams,
    OnDemandParams,
    OnlineFeaturesOutputs,
    OnlineFeaturesParams,
    PushOutputs,
    PushParams,
    RepositoryOutputs,
    RepositoryParams,
    StatisticsOutputs,
    StatisticsParams,
    Value,
    selected,
)
from e2i.tools.feast.connector import GuardedFeast
from e2i.tools.feast.definitions import define, expanded, labels

if TYPE_CHECKING:
    import pandas as pd

    from e2i.catalog.context import StepContext


async def apply(params: ApplyParams, ctx: StepContext) -> ApplyOutputs:
    """Register entities and feature views over tables."""
    code = {view.file: _code(view, ctx) for view in params.on_demand.values()}
    definition = define(params, code)
    tables = {name: ctx.arrow(view.table) for name, view in params.views.items() if view.table is not None}
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
    asked = expanded(selected(params.features), params.repo.views, params.repo.services)
    values, warning = await ctx.connect(GuardedFeast).get_historical_features(
        params.repo,
        frame,
        asked,
        timestamp=params.timestamp,
        created_cutoff=params.created_cutoff,
        full_feature_names=params.full_feature_names,
    )
    _refuse_collision(kept, list(values.columns))
    if warning is not None:
        ctx.warn(warning)
    coverage = _coverage(params, asked, values)
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

    asked = expanded(selected(params.features), params.repo.views, params.repo.services)
    entities = params.entities or _distinct_keys(params, asked, ctx)
    rows = await ctx.connect(GuardedFeast).get_online_features(
        params.repo, asked, entities, full_feature_names=params.full_feature_names
    )
    given = (*params.repo.join_keys.values(), *params.repo.requests.values())
    keys = {key for found in given for key in found}
    empty = [row for row in rows if all(value is None for name, value in row.items() if name not in keys)]
    if empty and params.missing == "error":
        raise StepError(
            f"{len(empty)} of {len(rows)} keys have no value online, the first: {empty[0]!r:.300}",
            code="features-missing",
            hint="publish them with feast.materialize, or set missing: null",
            details={"missing": empty[:20]},
        )
    return OnlineFeaturesOutputs(rows=rows, table=ctx.table(pa.Table.from_pylist(rows)))


async def repository(params: RepositoryParams, ctx: StepContext) -> RepositoryOutputs:
    """Look at the existing repository of the settings."""
    seen = await ctx.connect(GuardedFeast).look(ctx.info.run)
    for reference in expanded(params.require, seen.repo.views, seen.repo.services):
        _require(seen.repo, reference)
    return RepositoryOutputs(repo=seen.repo, online=seen.online)


async def push(params: PushParams, ctx: StepContext) -> PushOutputs:
    """Write rows of a view offline and online."""
    rows = ctx.arrow(params.table)
    repo, views = await ctx.connect(GuardedFeast).push(params.repo, params.view, rows, ctx.info.run)
    return PushOutputs(repo=repo, rows=rows.num_rows, views=views)


async def statistics(params: StatisticsParams, ctx: StepContext) -> StatisticsOutputs:
    """Describe features, and compare them with a reference. Raises StepError for drift beyond a limit."""
    from e2i.tools.feast import figures

    if params.table is not None:
        rows, time = ctx.arrow(params.table), params.timestamp
        what = "the table"
    else:
        assert params.repo is not None and params.view is not None  # checked with the parameters
        rows, time = await ctx.connect(GuardedFeast).rows(params.repo, params.view)
        what = f"feature view {params.view}"
    before = None if params.reference is None else ctx.arrow(params.reference)
    found = figures.of(params, rows, time, before, what)
    for one in found.features:
        if one.psi is not None:
            ctx.metric(f"psi.{one.name}", one.psi)
    folder = figures.write(ctx.scratch / "statistics", what, found)
    report = ctx.keep(folder, Report, media_type="text/html", title=f"Features of {what}", entry="index.html")
    ctx.attach("feature_statistics", report)
    drifted = [one.name for one in found.features if one.drifted]
    if drifted and params.on_drift == "fail":
        raise figures.drift_error(found, report)
    if drifted:
        ctx.warn(f"features of {what} drifted: {', '.join(drifted[:20])}")
    return StatisticsOutputs(
        table=ctx.table(figures.as_table(found)),
        histograms={one.name: one.figures["histogram"] for one in found.features},
        drifted=drifted,
        report=report,
    )


def _code(view: OnDemandParams, ctx: StepContext) -> str:
    """Return the text of a function's file. Raises StepError when it has no such function, or fails by itself."""
    from e2i.tools.feast import on_demand

    code = ctx.read_code(view.file)
    on_demand.load(view.file, view.function, code)
    return code.decode("utf-8")


def _require(repo: FeatureRepo, reference: str) -> None:
    """Raise StepError for a view or feature that a repository does not have."""
    view, _, feature = reference.partition(":")
    if view not in repo.views:
        raise StepError(
            f"the repository has no feature view {view!r}",
            code="unknown-feature-view",
            hint=hint(view, list(repo.views), most=20),
        )
    if feature not in ("", "*", *repo.views[view]):
        raise StepError(
            f"feature view {view} has no feature {feature!r}",
            code="unknown-feature",
            hint=hint(feature, list(repo.views[view]), most=20),
        )


def _distinct_keys(
    params: OnlineFeaturesParams, references: Sequence[str], ctx: StepContext
) -> tuple[dict[str, Value | None], ...]:
    """Return the first ``rows`` distinct keys of the table."""
    assert params.table is not None  # the parameters have either entities or a table
    asked = {reference.partition(":")[0] for reference in references}
    columns = (params.repo.join_keys, params.repo.requests)
    keys = sorted({key for view in asked for names in columns for key in names.get(view, ())})
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


def _coverage(params: HistoricalFeaturesParams, references: Sequence[str], values: pd.DataFrame) -> dict[str, float]:
    """Return view → fraction of rows with at least one value; 0 for an empty table."""
    found: dict[str, list[str]] = {}
    views = dict.fromkeys(ref.partition(":")[0] for ref in references)
    asked = {view: _features(params.repo, references, view) for view in views}
    for (view, _), label in labels(asked, params.full_feature_names).items():
        found.setdefault(view, []).append(label)
    return {
        view: float(values[columns].notna().any(axis=1).mean()) if len(values) else 0.0
        for view, columns in sorted(found.items())
    }


def _features(repo: FeatureRepo, references: Sequence[str], view: str) -> tuple[str, ...]:
    """Return the features requested from a view."""
    asked = [ref.partition(":")[2] for ref in references if ref.partition(":")[0] == view]
    return repo.views[view] if {"", "*"} & set(asked) else tuple(dict.fromkeys(asked))
