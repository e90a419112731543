"""Add predictions to a table: all at once, or in batches that need not fit in memory. In: a model, rows. Out: a table.

A batch is predicted as in the whole table: what is refused or reported depends on all rows, not on those of a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any

from e2i.catalog.artifacts import EffectModel, Table
from e2i.catalog.context import StepContext
from e2i.errors import StepError
from e2i.estimators import effects, saved
from e2i.tools.model.params.applying import PredictParams

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from e2i.estimators.scoring import Matrix

    Columns = Mapping[str, Matrix | pd.Series[Any]]
    Predict = Callable[[pd.DataFrame], Columns]


def predict(params: PredictParams, ctx: StepContext) -> Table:
    """Store the kept columns and the predictions. Raises StepError."""
    if params.batch is not None and params.batch < params.table.rows:
        return _in_batches(params, params.batch, ctx)
    frame = ctx.frame(params.table)
    kept = frame if params.keep is None else ctx.frame(params.table, params.keep)
    if isinstance(params.model, EffectModel):
        columns = _effects(params.model, frame, ctx)
    else:
        scorer = saved.open_model(params.model, ctx)
        predicted = saved.predict(scorer, frame)
        columns = scorer.columns(predicted, params.threshold)
        if params.intervals:
            columns = {**columns, **saved.bounds(scorer, frame, predicted)}
        saved.report_unseen(scorer, frame, ctx)
    _require_new(columns, map(str, kept.columns))
    return ctx.table(kept.assign(**columns))


def _in_batches(params: PredictParams, size: int, ctx: StepContext) -> Table:
    model = params.model
    if isinstance(model, EffectModel):
        return _stored(params, size, lambda frame: _effects(model, frame, ctx), ctx)
    scorer = saved.open_model(model, ctx)
    seen = saved.Unseen(scorer)

    def columns(frame: pd.DataFrame) -> Columns:
        predicted = saved.predict_part(scorer, frame)
        seen.add(frame)
        found = scorer.columns(predicted, params.threshold)
        return {**found, **saved.bounds(scorer, frame, predicted)} if params.intervals else found

    stored = _stored(params, size, columns, ctx)
    saved.require_seen(seen)
    saved.report(seen, ctx)
    return stored


def _stored(params: PredictParams, size: int, columns: Predict, ctx: StepContext) -> Table:
    kept = ctx.arrow(params.table, params.keep)

    def parts() -> Iterator[pa.Table]:
        for number, frame in enumerate(ctx.frames(params.table, size)):
            yield _with(kept.slice(number * size, size), columns(frame))
            ctx.progress(min((number + 1) * size, params.table.rows), params.table.rows)

    made = parts()
    first = next(made)
    batches = (batch for part in chain([first], made) for batch in part.combine_chunks().to_batches())
    return ctx.batches(first.schema, batches)


def _with(kept: pa.Table, columns: Columns) -> pa.Table:
    import pyarrow as pa

    _require_new(columns, kept.column_names)
    for name, values in columns.items():
        kept = kept.append_column(name, pa.array(values, from_pandas=True))
    return kept


def _effects(model: EffectModel, frame: pd.DataFrame, ctx: StepContext) -> Columns:
    found = effects.predict(model, frame, ctx)
    return {str(name): found[name] for name in found.columns}


def _require_new(columns: Iterable[str], kept: Iterable[str]) -> None:
    """Raise StepError when a kept column has the name of a prediction."""
    if taken := sorted(set(columns) & set(kept)):
        raise StepError(
            f"the table has a column of the same name as the predictions: {', '.join(taken)}",
            code="duplicate-column",
            hint="list the columns to copy in `keep`, without it",
        )
