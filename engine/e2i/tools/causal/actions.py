"""Run ``causal.*``. In: parameters. Out: effects, their model, and a page that says what they rest on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import asdict

from e2i.catalog.artifacts import Report, Table
from e2i.catalog.context import StepContext
from e2i.errors import StepError
from e2i.estimators import effects as saved
from e2i.tools.causal import (
    EffectsOutputs,
    EffectsParams,
    EstimateOutputs,
    EstimateParams,
    RefuteOutputs,
    RefuteParams,
    estimation,
    page,
)
from e2i.tools.causal.columns import ADDED, CHECKS
from e2i.tools.causal.diagnostics import Balance
from e2i.tools.causal.question import ask

if TYPE_CHECKING:
    import pandas as pd


def estimate(params: EstimateParams, ctx: StepContext) -> EstimateOutputs:
    """Estimate the effect. Warn of what the figure rests on before it is shown."""
    from threadpoolctl import threadpool_limits

    frame = ctx.frame(params.table)
    seed = ctx.seed if params.seed is None else params.seed
    with threadpool_limits(ctx.threads):
        found = estimation.estimate(ask(frame, params), params, seed, ctx.threads)
    for warning in found.warnings:
        ctx.warn(warning)
    effect = found.effect
    for name, value in (("effect", effect.value), ("effect_low", effect.low), ("effect_high", effect.high)):
        ctx.metric(name, value)
    report = _report(page.title(params), page.render(found), ctx)
    ctx.attach("effects", report)
    return EstimateOutputs(
        effect=effect,
        averages=found.averages,
        overlap=found.overlap,
        balance=_balance(found.balance, ctx),
        effects=_effects(found.final.model, frame.iloc[found.rows.kept], params.keep, params.level, ctx),
        model=saved.keep_effects(found.final.model, ctx),
        report=report,
    )


def refute(params: RefuteParams, ctx: StepContext) -> RefuteOutputs:
    """Ask the model's question again in ways whose answer is known, and fail when an answer is another."""
    import pyarrow as pa
    from threadpoolctl import threadpool_limits

    from e2i.tools.causal import refuting

    seed = ctx.seed if params.seed is None else params.seed
    manifest = saved.open_effects(params.model, ctx).manifest
    asked = EstimateParams.model_validate({**manifest.question, "table": params.table})
    with threadpool_limits(ctx.threads):
        attempts = refuting.Attempts(ctx.frame(params.table), asked, manifest, seed, ctx.threads)
        found = attempts.run(params)
    schema = pa.schema([(name, pa.type_for_alias(kind)) for name, kind in CHECKS.items()])
    table = ctx.table(pa.Table.from_pylist([asdict(one) for one in found.checks], schema=schema))
    ctx.metric("robustness_value", found.robustness_value)
    lost = [one for one in found.checks if not one.passed]
    if lost:
        message = f"the estimate is refuted: {'; '.join(f'{one.check}: {one.meaning}' for one in lost)}"
        if params.on_refuted == "fail":
            hint = "look for a confounder that is missing, or a column that the treatment changes"
            raise StepError(message, code="refuted", hint=hint)
        ctx.warn(message)
    if not params.negative_controls:
        ctx.warn("no negative control was given: these data cannot show a confounder that nobody measured")
    return RefuteOutputs(
        refuted=bool(lost), checks=table, robustness_value=found.robustness_value, e_value=found.e_value
    )


def effects(params: EffectsParams, ctx: StepContext) -> EffectsOutputs:
    """Add each row's effect and its interval to the kept columns."""
    model = saved.open_effects(params.model, ctx)
    return EffectsOutputs(effects=_effects(model, ctx.frame(params.table), params.keep, params.level, ctx))


def _effects(
    model: saved.Effects, frame: pd.DataFrame, keep: tuple[str, ...] | None, level: float, ctx: StepContext
) -> Table:
    kept = frame if keep is None else frame[_present(list(keep), frame)]
    if taken := sorted(set(ADDED) & set(kept.columns)):
        raise StepError(
            f"the table has a column of the same name as the effects: {', '.join(taken)}",
            code="duplicate-column",
            hint="list the columns to copy in `keep`, without it",
        )
    bounds = model.interval(frame, level)
    return ctx.table(kept.assign(**dict(zip(ADDED, bounds, strict=True))))


def _present(names: list[str], frame: pd.DataFrame) -> list[str]:
    if absent := [name for name in names if name not in frame.columns]:
        raise StepError(f"the table has no column {absent[0]!r}", code="unknown-column", hint="check `keep`")
    return names


def _balance(balanced: Balance, ctx: StepContext) -> Table:
    import pyarrow as pa

    return ctx.table(
        pa.table(
            {
                "covariate": pa.array(balanced.names, pa.string()),
                "difference": pa.array(balanced.before, pa.float64()),
                "weighted_difference": pa.array(balanced.after, pa.float64()),
            }
        )
    )


def _report(title: str, content: str, ctx: StepContext) -> Report:
    folder = ctx.scratch / "estimate"
    folder.mkdir()
    (folder / "index.html").write_text(content, encoding="utf-8")
    return ctx.keep(folder, Report, media_type="text/html", title=title, entry="index.html")
