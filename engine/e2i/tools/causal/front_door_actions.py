"""Run ``causal.front_door``. In: parameters. Out: an effect through mediators, its checks, a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from e2i.catalog.context import StepContext
from e2i.tools.causal import EstimateParams, adjustment, averages, design_pages, mediated, pictures
from e2i.tools.causal.design_actions import asked_of, frame_of, judge, kept_checks, report
from e2i.tools.causal.mediators import FrontDoorOutputs, FrontDoorParams
from e2i.tools.causal.question import Question, ask
from e2i.tools.causal.refuting import Check

if TYPE_CHECKING:
    from e2i.estimators.scoring import Matrix

LOW, HIGH = 0.05, 0.95
"""Probabilities of the treatment outside of which the mediators almost tell it."""

MOST_OUTSIDE = 0.1
"""Largest share of rows outside, with which the mediators still overlap."""


def front_door(params: FrontDoorParams, ctx: StepContext) -> FrontDoorOutputs:
    """Estimate the effect through the mediators, after comparing them with the graph."""
    from threadpoolctl import threadpool_limits

    named = [params.treatment, params.outcome, *params.mediators, *params.confounders, params.group]
    frame = frame_of(ctx, params.table, named)
    if params.graph:
        adjustment.require(adjustment.of_mediators(asked_of(params, frame), params.mediators))
    shared = params.model_dump(
        include={"treatment", "outcome", "confounders", "control", "treated", "outcome_model", "treatment_model"}
        | {"group", "level"}
    )
    with threadpool_limits(ctx.threads):
        question = EstimateParams.model_validate(
            {**shared, "table": params.table, "effect_modifiers": params.mediators}
        )
        rows = ask(frame, question)
        found = mediated.estimate(rows, question, ctx.seed, ctx.threads)
    effect = averages.mean(found.scores, rows.groups, params.level)
    outside = float(((found.probability < LOW) | (found.probability > HIGH)).mean())
    meaning = f"{outside:.1%} of the rows have mediators that almost tell the treatment"
    checks = [Check("overlap of mediators", outside, MOST_OUTSIDE, outside <= MOST_OUTSIDE, meaning)]
    warnings = judge(checks, params.on_failure, ctx)
    through = ", ".join(params.mediators)
    title = f"Effect of {params.treatment} on {params.outcome} through {through}"
    answer = design_pages.sentence(f"{params.treatment} changes {params.outcome}", effect, params.level)
    naive = averages.naive(rows, params.level)
    estimates = {"through the mediators": effect, "difference of means": naive}
    content = design_pages.render(
        title, answer, warnings, estimates, params.level, checks, _rests(params), _picture(rows, found.probability)
    )
    return FrontDoorOutputs(
        effect=effect,
        naive=naive,
        outside=outside,
        passed=all(one.passed for one in checks),
        checks=kept_checks(checks, ctx),
        report=report(title, content, effect, ctx),
    )


def _rests(params: FrontDoorParams) -> list[str]:
    """Return what must hold for the estimate to be an effect."""
    through = ", ".join(params.mediators)
    given = f", given {', '.join(params.confounders)}" if params.confounders else ""
    by_graph = [f"So says the causal graph: {'; '.join(params.graph)}."] if params.graph else []
    return [
        f"{params.treatment} changes {params.outcome} only through {through}. No data can show this.",
        f"{params.treatment} and {through} have no common cause{given}.",
        f"{through} and {params.outcome} have no common cause{given} but what goes through {params.treatment}.",
        "What treatment and outcome share may be unmeasured (front-door criterion, Pearl 2009, definition 3.3.3).",
        *by_graph,
    ]


def _picture(rows: Question, probability: Matrix) -> str:
    """Draw how far the mediators tell the treatment."""
    import numpy as np

    figure, (axes,) = pictures.start(1)
    for arm, color in ((0, pictures.ORANGE), (1, pictures.BLUE)):
        label = str(rows.control if arm == 0 else rows.treated)
        axes.hist(probability[rows.treatment == arm], bins=np.linspace(0, 1, 41), color=color, alpha=0.6, label=label)
    axes.set(title="Mediators", xlabel="probability to be treated, by mediators", ylabel="rows")
    axes.legend()
    return pictures.address(figure)
