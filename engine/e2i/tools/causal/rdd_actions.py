"""Run ``causal.rdd``. In: parameters. Out: an effect at a cutoff, its checks, a page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from msgspec.structs import replace

from e2i.catalog.context import StepContext
from e2i.errors import StepError
from e2i.estimators import schema
from e2i.tools.causal import design_pages, tables
from e2i.tools.causal import rdd as discontinuity
from e2i.tools.causal.basics import Estimate
from e2i.tools.causal.design_actions import frame_of, groups_of, judge, kept_checks, report, strength
from e2i.tools.causal.design_columns import BANDWIDTHS
from e2i.tools.causal.designs import RddOutputs, RddParams
from e2i.tools.causal.rdd import Jump
from e2i.tools.causal.refuting import Check

if TYPE_CHECKING:
    import pandas as pd

    from e2i.estimators.scoring import Matrix


def rdd(params: RddParams, ctx: StepContext) -> RddOutputs:
    """Estimate the jump at the cutoff, after looking whether units chose their side."""
    names = [params.running, params.outcome, params.treatment, *params.unchanged, params.group]
    frame = frame_of(ctx, params.table, names)
    running = schema.labels(frame, params.running, None) - params.cutoff
    outcome, groups = schema.labels(frame, params.outcome, None), groups_of(frame, params.group)
    treatment = None if params.treatment is None else schema.labels(frame, params.treatment, None)
    sign = 1.0 if params.treated == "above" else -1.0

    def at(width: float) -> Jump:
        if treatment is not None:
            return discontinuity.fuzzy(running, outcome, treatment, groups, width, params.level)
        return _turned(discontinuity.jump(running, outcome, groups, width, params.level), sign)

    width = params.bandwidth or discontinuity.bandwidth(running, outcome)
    found = at(width)
    widths = list(_widths(at, width))
    checks = list(_checks(params, frame, running, groups, found))
    warnings = judge(checks, params.on_failure, ctx)
    title = f"Effect on {params.outcome} where {params.running} is {params.cutoff:g}"
    estimates = {f"bandwidth {one.bandwidth:.4g} ({one.below + one.above:,} rows)": one.effect for one in widths}
    if found.first_stage is not None:
        estimates[f"jump of {params.treatment}"] = found.first_stage
    picture = design_pages.draw_jump(running, outcome, found, widths, (params.running, params.outcome))
    what = "the treatment" if params.treatment is None else f"one unit more of {params.treatment}"
    answer = design_pages.sentence(f"At the cutoff, {what} changes {params.outcome}", found.effect, params.level)
    content = design_pages.render(
        title, answer, warnings, estimates, params.level, checks, _rests(params, found), picture
    )
    return RddOutputs(
        effect=found.effect,
        first_stage=found.first_stage,
        first_stage_f=found.first_stage_f,
        bandwidth=width,
        below=found.below,
        above=found.above,
        bandwidths=ctx.table(tables.table([_row(one) for one in widths], BANDWIDTHS)),
        passed=all(one.passed for one in checks),
        checks=kept_checks(checks, ctx),
        report=report(title, content, found.effect, ctx),
    )


def _checks(params: RddParams, frame: pd.DataFrame, running: Matrix, groups: Matrix, found: Jump) -> Iterator[Check]:
    """Yield whether the treatment jumps enough, the density does not, and nothing else does."""
    if found.first_stage_f is not None:
        yield strength(found.first_stage_f, params.weak, f"the jump of {params.treatment}")
    if params.density is not None:
        density = discontinuity.density(running)
        meaning = (
            f"the density of {params.running} is {density.difference:+.0%} higher just above the cutoff (difference of "
            f"logarithms, {density.ratio:.1f} standard errors)"
        )
        yield Check("density", density.ratio, params.density, density.ratio <= params.density, meaning)
    for name in params.unchanged:
        values = schema.labels(frame, name, None)
        other = discontinuity.jump(running, values, groups, found.bandwidth, params.level).effect
        centre = (other.low + other.high) / 2
        value = abs(centre) / other.standard_error if other.standard_error else 0.0
        meaning = f"{name}, which cannot be changed, jumps by {other.value:.3g} ({other.low:.3g} to {other.high:.3g})"
        yield Check(f"unchanged {name}", value, params.jump, value <= params.jump, meaning)


def _rests(params: RddParams, found: Jump) -> Iterator[str]:
    """Yield what must hold for the estimate to be an effect."""
    yield f"Units just below and just above {params.cutoff:g} are alike but for the treatment, and did not choose."
    yield f"The effect is that at the cutoff; {found.below:,} rows below and {found.above:,} above it tell of it."
    if params.treatment is not None:
        yield (
            f"The cutoff changes {params.outcome} only through {params.treatment}, and nobody's {params.treatment} "
            "against its direction; the effect is that on those whose it changes (Hahn, Todd, van der Klaauw 2001)."
        )
    yield "Local linear; the interval allows for the bias of the bandwidth (Calonico, Cattaneo, Titiunik 2014)."


def _widths(at: Callable[[float], Jump], width: float) -> Iterable[Jump]:
    """Yield the jump at half, whole and double the bandwidth, where there are enough rows."""
    for factor in (0.5, 1.0, 2.0):
        try:
            yield at(factor * width)
        except StepError:
            if factor == 1.0:
                raise


def _turned(found: Jump, sign: float) -> Jump:
    """Return the jump as an effect of the treatment, which may be below the cutoff."""
    if sign > 0:
        return found
    one = found.effect
    turned = Estimate(value=-one.value, low=-one.high, high=-one.low, standard_error=one.standard_error)
    return replace(found, effect=turned)


def _row(one: Jump) -> tables.Row:
    return {
        "bandwidth": one.bandwidth,
        "rows": one.below + one.above,
        "effect": one.effect.value,
        "effect_low": one.effect.low,
        "effect_high": one.effect.high,
    }
