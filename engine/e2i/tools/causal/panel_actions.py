"""Run ``causal.did``, ``causal.experiment`` and ``causal.power``. In: parameters. Out: an estimate, checks, a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from e2i.catalog.context import StepContext
from e2i.errors import StepError
from e2i.tools.causal import EstimateParams, design_pages, experiments, panel, panel_pages, tables
from e2i.tools.causal import did as differences
from e2i.tools.causal.basics import Estimate
from e2i.tools.causal.design_actions import frame_of, groups_of, judge, kept_checks, report
from e2i.tools.causal.design_columns import COHORTS, EVENTS, LOOKS, SIZES
from e2i.tools.causal.panels import (
    DidOutputs,
    DidParams,
    ExperimentOutputs,
    ExperimentParams,
    PowerOutputs,
    PowerParams,
)
from e2i.tools.causal.question import Question, ask, encoded, numbers
from e2i.tools.causal.refuting import Check

if TYPE_CHECKING:
    import pandas as pd

MISMATCH = 0.001
"""Probability below which a share of treated entities, or a difference of covariates between the arms, is not by chance
(Fabijan et al. 2019)."""


def did(params: DidParams, ctx: StepContext) -> DidOutputs:
    """Estimate the effect by group and time, after looking whether units moved in parallel before."""
    frame = frame_of(ctx, params.table, [params.unit, params.time, params.outcome, params.treatment, params.group])
    read = panel.read(frame, params)
    found = differences.cells(read.panel, params.controls)
    events = differences.by_event(read.panel, found, params.level)
    cohorts = differences.by_group(read.panel, found, params.level)
    effect = differences.overall(read.panel, found, params.level).effect
    two_way = differences.two_way(read.panel, params.level)
    absent = differences.left_out(read.panel, found)
    notes = [*read.warnings, *panel.left_out(read, absent, params)]
    for warning in notes:
        ctx.warn(warning)
    checks = _parallel(read.panel, events, params, ctx)
    warnings = [*notes, *judge(checks, params.on_failure, ctx)]
    title = f"Effect of {params.treatment} on {params.outcome}, by changes"
    over = "the periods that can be compared" if absent else "the treated periods"
    what = f"Over {over}, {params.treatment} changes {params.outcome}"
    rests = [
        f"Without treatment, {params.outcome} of treated units would have moved as that of the others did. Only the "
        "periods before can be looked at; a test of them may miss another trend.",
        "Units did not act on the treatment before they had it, and do not change the outcome of others.",
        "Compared with " + ("units not treated yet" if params.controls == "not_yet" else "units never treated") + ".",
    ]
    content = design_pages.render(
        title,
        design_pages.sentence(what, effect, params.level),
        warnings,
        {f"average over {over}": effect, "two-way fixed effects, for comparison": two_way},
        params.level,
        checks,
        rests,
        panel_pages.draw_events({event: one.effect for event, one in events.items()}, read, params.outcome),
    )
    sizes = {group: int((read.panel.first == group).sum()) for group in cohorts}
    rows: list[tables.Row] = [{"event": event, **_bounds(one.effect)} for event, one in events.items()]
    by_group: list[tables.Row] = [
        {"first_period": read.periods[group], "units": sizes[group], **_bounds(one.effect)}
        for group, one in cohorts.items()
    ]
    return DidOutputs(
        effect=effect,
        two_way=two_way,
        events=ctx.table(tables.table(rows, EVENTS)),
        groups=ctx.table(tables.table(by_group, COHORTS)),
        units=len(read.panel.first),
        passed=all(one.passed for one in checks),
        checks=kept_checks(checks, ctx),
        report=report(title, content, effect, ctx),
    )


def experiment(params: ExperimentParams, ctx: StepContext) -> ExperimentOutputs:
    """Compare the arms, after looking whether they were assigned as planned, and are alike in what was known before."""
    names = [params.treatment, params.outcome, *params.covariates, params.time, params.group]
    frame = frame_of(ctx, params.table, names)
    if params.time is not None:
        frame = frame.sort_values(params.time, kind="stable")
    rows = _arms(frame, params)
    if params.group is not None:
        experiments.check_entities(rows.treatment, rows.groups, params.group)
    checks = []
    if params.share is not None:
        value = experiments.mismatch(rows.treatment, rows.groups, params.share)
        meaning = (
            f"{rows.treatment.mean():.1%} of the rows are treated; planned were {params.share:.0%} of the entities "
            f"(p = {value:.2g})"
        )
        checks.append(Check("sample ratio", value, MISMATCH, value >= MISMATCH, meaning))
    checks += _known_before(rows, params)
    warnings = judge(checks, params.on_failure, ctx)
    plain = experiments.difference(rows.outcome, rows.treatment, rows.groups, params.level)
    less = experiments.adjusted(rows.outcome, rows.treatment, rows.covariates) if params.covariates else rows.outcome
    adjusted = experiments.difference(less, rows.treatment, rows.groups, params.level)
    looks = _looks(rows, params)
    effect = looks[-1].effect if looks else adjusted
    title = f"Experiment: {params.treatment} and {params.outcome}"
    rests = [
        "Entities were assigned to the arms at random, and one's arm does not change another's outcome.",
        "The covariates were known before the assignment: " + (", ".join(params.covariates) or "none") + ".",
    ]
    if looks:
        rests.append(
            "The intervals of all looks hold together (confidence sequences, Waudby-Smith et al. 2024): one may stop "
            "at the first that leaves 0 out."
        )
    else:
        rests.append("It was analysed once, at its planned end; with more looks, set `looks`.")
    content = design_pages.render(
        title,
        design_pages.sentence(f"{params.treatment} changes {params.outcome}", effect, params.level),
        warnings,
        {"difference of means": plain, "adjusted for covariates (CUPED)": adjusted},
        params.level,
        checks,
        rests,
        panel_pages.draw_looks(looks, plain, adjusted),
    )
    shown: list[tables.Row] = [
        {"look": number, "entities": one.entities, **_bounds(one.effect), "decided": one.decided}
        for number, one in enumerate(looks, 1)
    ]
    return ExperimentOutputs(
        effect=effect,
        difference=plain,
        adjusted=adjusted,
        variance_kept=(adjusted.standard_error / plain.standard_error) ** 2 if plain.standard_error else 1.0,
        entities=int(rows.groups.max()) + 1,
        decided_at=next((one.entities for one in looks if one.decided), None),
        looks=ctx.table(tables.table(shown, LOOKS)),
        passed=all(one.passed for one in checks),
        checks=kept_checks(checks, ctx),
        report=report(title, content, effect, ctx),
    )


def power(params: PowerParams, ctx: StepContext) -> PowerOutputs:
    """Return sizes of an experiment on rows like these."""
    import numpy as np

    frame = frame_of(ctx, params.table, [params.outcome, *params.covariates, params.group])
    outcome, groups = numbers(frame, params.outcome), groups_of(frame, params.group)
    less = outcome
    if params.covariates:
        covariates = encoded(frame, params.outcome, list(params.covariates))[1]
        less = experiments.adjusted(outcome, np.zeros(len(outcome)), covariates)
    spreads = [experiments.variance(values, groups) for values in (outcome, less)]
    settings = (params.share, params.power, params.level)
    entities = len(np.unique(groups))
    sizes = [experiments.size(spread, params.smallest_effect, *settings) for spread in spreads]
    rows: list[tables.Row] = [
        {
            "entities": count,
            "effect": experiments.detectable(spreads[0], count, *settings),
            "effect_adjusted": experiments.detectable(spreads[1], count, *settings),
        }
        for count in sorted({*(max(2, round(sizes[0] * factor)) for factor in (0.25, 0.5, 1, 2, 4)), entities})
    ]
    ctx.metric("entities", sizes[1])
    return PowerOutputs(
        entities=sizes[0],
        entities_adjusted=sizes[1],
        smallest_found=experiments.detectable(spreads[1], entities, *settings),
        sizes=ctx.table(tables.table(rows, SIZES)),
    )


def _parallel(
    found: differences.Panel, events: Mapping[int, differences.Aggregate], params: DidParams, ctx: StepContext
) -> list[Check]:
    """Return the check of effects before the treatment, where there are such periods."""
    if params.pre_trend is None:
        return []
    before = [event for event in events if event < 0]
    value = differences.pre_trend(found, [events[event] for event in before])
    if value is None:
        ctx.warn("too few periods before the treatment, or units: the data cannot show other trends")
        return []
    furthest = max(before, key=lambda event: abs(events[event].effect.value))
    meaning = (
        f"before the treatment the groups differ by up to {events[furthest].effect.value:.3g} (p = {value:.2g} for no "
        "difference)"
    )
    return [Check("pre-trend", value, params.pre_trend, value >= params.pre_trend, meaning)]


def _arms(frame: pd.DataFrame, params: ExperimentParams) -> Question:
    """Return the rows of the two arms."""
    for role, name in (("outcome", params.outcome), ("treatment", params.treatment)):
        if name in params.covariates:
            message = f"the covariate {name!r} is the {role}, and was not known before the assignment"
            raise StepError(message, code="bad-covariate", hint="remove it from `covariates`")
    names = ("treatment", "outcome", "control", "treated", "group")
    given = {name: getattr(params, name) for name in names}
    asked = EstimateParams.model_validate({**given, "table": params.table, "confounders": params.covariates})
    return ask(frame, asked)


def _known_before(rows: Question, params: ExperimentParams) -> list[Check]:
    """Return a check of each covariate: arms that were assigned at random do not differ in what was known before.

    Probabilities are multiplied by the number of encoded columns (Bonferroni).
    """
    found = []
    for name in dict.fromkeys(params.covariates):
        own = [at for at, column in enumerate(rows.names) if column == name or column.startswith(f"{name} = ")]
        values = [experiments.imbalance(rows.covariates[:, at], rows.treatment, rows.groups) for at in own]
        value = min([1.0, *(one * len(rows.names) for one in values)])
        meaning = f"{name} is alike in the arms (p = {value:.2g})"
        if value < MISMATCH:
            meaning = (
                f"{name} differs between the arms (p = {value:.2g}): the treatment changed it, or the arms were not "
                "assigned at random"
            )
        found.append(Check(f"covariate {name}", value, MISMATCH, value >= MISMATCH, meaning))
    return found


def _looks(rows: Question, params: ExperimentParams) -> list[experiments.Look]:
    import numpy as np

    if params.looks is None:
        return []
    ends = [round(rows.rows * number / params.looks) for number in range(1, params.looks + 1)]
    planned = params.planned or len(np.unique(rows.groups))
    covariates = rows.covariates if params.covariates else None
    return experiments.looks(rows.outcome, rows.treatment, covariates, rows.groups, ends, planned, params.level)


def _bounds(one: Estimate) -> dict[str, float]:
    return {"effect": one.value, "effect_low": one.low, "effect_high": one.high}
