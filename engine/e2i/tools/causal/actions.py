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
    adjustment,
    estimation,
    levels,
    page,
    tables,
)
from e2i.tools.causal.choosing import PolicyOutputs, PolicyParams
from e2i.tools.causal.columns import ADDED, CHECKS
from e2i.tools.causal.design_actions import iv as iv
from e2i.tools.causal.diagnostics import Balance
from e2i.tools.causal.front_door_actions import front_door as front_door
from e2i.tools.causal.panel_actions import did as did
from e2i.tools.causal.panel_actions import experiment as experiment
from e2i.tools.causal.panel_actions import power as power
from e2i.tools.causal.question import ask
from e2i.tools.causal.rdd_actions import rdd as rdd
from e2i.tools.causal.trust import CompareOutputs, CompareParams, ValidateOutputs, ValidateParams

if TYPE_CHECKING:
    import pandas as pd

    from e2i.tools.causal.held_out import HeldOut


def estimate(params: EstimateParams, ctx: StepContext) -> EstimateOutputs:
    """Estimate the effect. Warn of what the figure rests on before it is shown."""
    from threadpoolctl import threadpool_limits

    frame = ctx.frame(params.table)
    seed = ctx.seed if params.seed is None else params.seed
    with threadpool_limits(ctx.threads):
        params = adjustment.settle(params, list(frame.columns))
        found = estimation.estimate(ask(frame, params), params, seed, ctx.threads)
        by_level = levels.of(found, frame, params, seed, ctx.threads)
    for warning in (*found.warnings, *levels.warnings(by_level, params)):
        ctx.warn(warning)
    effect = found.effect
    for name, value in (("effect", effect.value), ("effect_low", effect.low), ("effect_high", effect.high)):
        ctx.metric(name, value)
    report = _report(page.title(params), page.render(found, by_level), ctx)
    model = saved.keep_effects(found.final.model, ctx, frame.iloc[found.rows.kept])
    ctx.attach("effects", report)
    if model.features:  # MLflow has no signature for a model without inputs
        ctx.attach("model", model)
    return EstimateOutputs(
        effect=effect,
        adjusted_for=list(dict.fromkeys((*params.effect_modifiers, *params.confounders))),
        averages=found.averages,
        overlap=found.overlap,
        levels=ctx.table(tables.levels(by_level)),
        first_stage_f=found.first_stage,
        balance=_balance(found.balance, ctx),
        effects=_effects(found.final.model, frame.iloc[found.rows.kept], params.keep, params.level, ctx),
        model=model,
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


def validate(params: ValidateParams, ctx: StepContext) -> ValidateOutputs:
    """Compare the model's effects with doubly robust scores of rows that it has not seen."""
    from e2i.tools.causal import validating, validation_page

    seed = ctx.seed if params.seed is None else params.seed
    model = saved.open_effects(params.model, ctx)
    held = _held_out(params.table, [model], seed, ctx)
    predicted = model.effect(held.frame)[0]
    found = validating.validate(held, predicted, params.groups, params.repeats, params.level, seed)
    warnings = [*held.warnings, *validating.warnings(found)]
    for warning in warnings:
        ctx.warn(warning)
    lost = tables.below(found, params.at_least)
    if lost:
        message = f"the effects are not valid on these rows: {'; '.join(lost)}"
        if params.on_failure == "fail":
            hint = "do not choose rows by these effects, or estimate them with more rows or fewer modifiers"
            raise StepError(message, code="invalid-effects", hint=hint)
        ctx.warn(message)
    ctx.metric("autoc", found.autoc.value)
    ctx.metric("calibration", found.calibration)
    title = f"Effect of {params.model.treatment} on {params.model.outcome}: validation"
    report = _report(title, validation_page.render(title, found, warnings, params.level), ctx)
    ctx.attach("validation", report)
    return ValidateOutputs(
        valid=not lost,
        **{name: getattr(found, name) for name in ("average", "predicted", "slope", "autoc", "qini")},
        calibration=found.calibration,
        score=found.score,
        groups=ctx.table(tables.groups(found)),
        curve=ctx.table(tables.curve(found)),
        report=report,
    )


def compare(params: CompareParams, ctx: StepContext) -> CompareOutputs:
    """Rank models by a figure of rows that none of them has seen."""
    from e2i.tools.causal import comparing

    seed = ctx.seed if params.seed is None else params.seed
    models = tables.candidates(params.candidates)
    opened = {name: saved.open_effects(model, ctx) for name, model in models.items()}
    held = _held_out(params.table, list(opened.values()), seed, ctx)
    predicted = {name: model.effect(held.frame)[0] for name, model in opened.items()}
    for warning in held.warnings:
        ctx.warn(warning)
    found = comparing.compare(held, predicted, params.metric, params.groups, params.repeats, params.level, seed)
    best = found[0].name
    certain = all(other.behind.low > 0 for other in found[1:])
    if not certain:
        ctx.warn(
            f"{best!r} is the best by {params.metric}, but these rows do not show that it is better than each other"
        )
    ranking = tables.ranking(found, {name: model.estimator for name, model in models.items()})
    return CompareOutputs(best=best, model=models[best], certain=certain, ranking=ctx.table(ranking))


def policy(params: PolicyParams, ctx: StepContext) -> PolicyOutputs:
    """Decide about the rows of a table, and value the same rule on rows that it was not made from."""
    from e2i.tools.causal import policies, policy_page, targeting

    seed = ctx.seed if params.seed is None else params.seed
    model, frame = saved.open_effects(params.model, ctx), ctx.frame(params.table)
    held = _held_out(params.held_out, [model], seed, ctx)
    if params.learn_from is None:
        target = targeting.greedy(model, params)
    else:
        target = targeting.tree(model, _held_out(params.learn_from, [model], seed, ctx), frame, params)
    cost = targeting.costs(frame, params)
    decided = policies.decide(target.priority(frame), cost, params.budget, seed)
    elsewhere = targeting.costs(held.frame, params)
    gains = targeting.sign(params) * held.scores - elsewhere
    chosen = decided.rule.probability(target.priority(held.frame))
    by_cost = params.budget.cost is not None
    values = policies.values(chosen, gains, elsewhere, held.groups, params.level, by_cost=by_cost)
    exceeded = policy_page.elsewhere(chosen, elsewhere, params)
    warnings = [*held.warnings, *policy_page.warnings(values, decided), *([exceeded] if exceeded else [])]
    for warning in warnings:
        ctx.warn(warning)
    ctx.metric("policy_value", values[0].value.value)
    rules = policy_page.rules(params, target, decided)
    title = f"Whom to treat: {params.model.treatment} for {params.model.outcome}"
    treated = int(decided.treat.sum())
    report = _report(title, policy_page.render(title, params, values, rules, warnings, treated), ctx)
    ctx.attach("policy", report)
    kept = frame if params.keep is None else frame[_present(list(params.keep), frame)]
    decisions, first = tables.decisions(kept, model.effect(frame)[0], cost, decided)
    return PolicyOutputs(
        value=values[0].value,
        advantage=next(one.advantage for one in values if one.policy == "random"),
        values=ctx.table(tables.values(values)),
        treated=treated,
        spent=float(cost[decided.treat].sum()),
        rules=rules,
        decisions=ctx.table(decisions),
        chosen=ctx.table(first),
        report=report,
    )


def _held_out(table: Table, models: list[saved.Effects], seed: int, ctx: StepContext) -> HeldOut:
    from threadpoolctl import threadpool_limits

    from e2i.tools.causal.held_out import hold_out

    manifests = [model.manifest for model in models]
    asked = EstimateParams.model_validate({**manifests[0].question, "table": table})
    with threadpool_limits(ctx.threads):
        return hold_out(ctx.frame(table), asked, manifests, seed, ctx.threads)


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
