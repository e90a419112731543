"""Answer a causal question: cross-fit, look at overlap and balance, then estimate. In: rows. Out: estimates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from e2i.errors import StepError
from e2i.tools.causal import Estimate, EstimateParams, OverlapFound, averages, crossfit, diagnostics, final_stage
from e2i.tools.causal.crossfit import Nuisances
from e2i.tools.causal.diagnostics import Balance
from e2i.tools.causal.final_stage import Final
from e2i.tools.causal.question import Question

if TYPE_CHECKING:
    from e2i.estimators.scoring import Matrix


class Estimated(Struct, frozen=True, eq=False):
    """An answer and what it rests on.

    ``rows`` and ``found`` are all rows; ``question`` and ``adjusted`` are those that the effect was estimated on.
    """

    params: EstimateParams
    rows: Question
    found: Nuisances
    question: Question
    adjusted: Nuisances
    overlap: OverlapFound | None
    balance: Balance
    averages: dict[str, Estimate]
    final: Final
    warnings: tuple[str, ...]

    @property
    def effect(self) -> Estimate:
        """The average effect of the estimand that was asked for."""
        return self.averages[self.params.estimand]


def estimate(rows: Question, params: EstimateParams, seed: int, threads: int) -> Estimated:
    """Return the answer. Raises StepError for rows that cannot give one."""
    found = crossfit.cross_fit(rows, params, seed, threads)
    overlap, question, adjusted = None, rows, found
    if not params.continuous:
        overlap = diagnostics.overlap(rows, found, params.overlap, params.estimand)
        question, adjusted = within(rows, found, params, overlap.outside)
    balanced = diagnostics.balance(question, adjusted, params.estimand, continuous=params.continuous)
    final = final_stage.fit(question, adjusted, params, seed, threads)
    if params.continuous:
        answers = {"ATE": averages.per_unit(question, adjusted, final.effect, params.level)}
    else:
        answers = {arm: of(question, adjusted, params.level) for arm, of in AVERAGES.items()}
    answers["naive"] = averages.naive(rows, params.level)
    answer = answers[params.estimand]
    manifest = replace(final.model.manifest, average=(answer.value, answer.standard_error))
    final = replace(final, model=replace(final.model, manifest=manifest))
    warnings = [*unadjusted(params), *diagnostics.warnings(overlap, found, balanced, params.overlap, params.treatment)]
    return Estimated(params, rows, found, question, adjusted, overlap, balanced, answers, final, tuple(warnings))


def unadjusted(params: EstimateParams) -> list[str]:
    """Return a warning when nothing is adjusted for, and no graph says that this is right."""
    if params.confounders or params.effect_modifiers or params.graph:
        return []
    return [
        "adjusted for nothing: this is the difference without adjustment; it is the effect only if the treatment was "
        "assigned at random"
    ]


AVERAGES = {"ATE": averages.ate, "ATT": averages.att}


def average(rows: Question, params: EstimateParams, seed: int, threads: int) -> Estimate:
    """Return only the average effect of the estimand, without a model of the effect by row where none is needed."""
    found = crossfit.cross_fit(rows, params, seed, threads)
    if params.continuous:
        return estimate(rows, params, seed, threads).effect
    question, adjusted = within(rows, found, params, 0.0)
    return AVERAGES[params.estimand](question, adjusted, params.level)


def residuals(answer: Estimated) -> tuple[Matrix, Matrix]:
    """Return what the covariates leave of the outcome and of the treatment, each of shape (rows,)."""
    question, found = answer.question, answer.adjusted
    return question.outcome - found.expected, question.treatment - found.treatment


def within(question: Question, found: Nuisances, params: EstimateParams, outside: float) -> tuple[Question, Nuisances]:
    """Return the rows that the effect is estimated on. Raises StepError without the overlap that is asked for."""
    bounds = params.overlap
    if bounds.outside == "fail" and outside > 0:
        raise StepError(
            f"{outside:.1%} of the rows have a propensity outside {bounds.low:g} to {bounds.high:g}",
            code="no-overlap",
            hint="compare fewer rows that could have got either treatment, or set `overlap: {outside: trim}`",
        )
    if bounds.outside != "trim":
        return question, found
    mask = diagnostics.inside(found, bounds)
    question, found = question.only(mask), found.only(mask)
    if min((question.treatment == 0).sum(), (question.treatment == 1).sum()) < 2:
        raise StepError("no rows of both arms are left within the overlap", code="no-overlap", hint="widen `overlap`")
    return question, found
