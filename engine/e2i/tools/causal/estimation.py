"""Answer a causal question: cross-fit, look at overlap and balance, then estimate. In: rows. Out: estimates."""

from __future__ import annotations

from collections.abc import Callable
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

WEAK = 10.0
"""F of the first stage below which an instrument counts as weak (Stock and Yogo 2005; Staiger and Stock 1997)."""


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
        """The average effect that was asked for."""
        return self.averages[answered(self.params)]

    @property
    def first_stage(self) -> float | None:
        """F of the first stage; None without an instrument."""
        return averages.first_stage(self.question, self.adjusted)


def answered(params: EstimateParams) -> str:
    """Return the name of the average that answers the question."""
    return params.estimand if params.average == "doubly_robust" else "weighted"


def estimate(rows: Question, params: EstimateParams, seed: int, threads: int) -> Estimated:
    """Return the answer. Raises StepError for rows that cannot give one."""
    found = crossfit.cross_fit(rows, params, seed, threads)
    overlap, question, adjusted = None, rows, found
    is_binary = compares(params)
    if is_binary:
        overlap = diagnostics.overlap(rows, found, params.overlap, params.estimand)
        question, adjusted = within(rows, found, params, overlap.outside)
    balanced = diagnostics.balance(question, adjusted, params.estimand, continuous=not is_binary)
    final = final_stage.fit(question, adjusted, params, seed, threads)
    if is_binary:
        answers = {arm: of(question, adjusted, params.level) for arm, of in AVERAGES.items()}
        answers["weighted"] = averages.weighted(question, adjusted, params.level, params.estimand)
    else:
        answers = {"ATE": _by_row(params)(question, adjusted, final.effect, params.level)}
    answers["naive"] = averages.naive(rows, params.level)
    answer = answers[answered(params)]
    manifest = replace(final.model.manifest, average=(answer.value, answer.standard_error))
    final = replace(final, model=replace(final.model, manifest=manifest))
    warnings = [*unadjusted(params), *diagnostics.warnings(overlap, found, balanced, params.overlap, params.treatment)]
    strength = averages.first_stage(question, adjusted)
    if strength is not None and strength < WEAK:
        warnings.insert(0, diagnostics.weak(str(params.instrument), strength, WEAK))
    return Estimated(params, rows, found, question, adjusted, overlap, balanced, answers, final, tuple(warnings))


def compares(params: EstimateParams) -> bool:
    """Return True for two arms that are compared by what is adjusted for, which have propensities and an overlap."""
    return not params.continuous and params.instrument is None


def _by_row(params: EstimateParams) -> Callable[[Question, Nuisances, Matrix, float], Estimate]:
    return averages.per_unit if params.instrument is None else averages.instrumented


def unadjusted(params: EstimateParams) -> list[str]:
    """Return a warning when nothing is adjusted for, and no graph says that this is right."""
    if params.confounders or params.effect_modifiers or params.graph or params.instrument is not None:
        return []
    return [
        "adjusted for nothing: this is the difference without adjustment; it is the effect only if the treatment was "
        "assigned at random"
    ]


AVERAGES = {"ATE": averages.ate, "ATT": averages.att}


def average(rows: Question, params: EstimateParams, seed: int, threads: int) -> Estimate:
    """Return only the average effect of the estimand, without a model of the effect by row where none is needed."""
    found = crossfit.cross_fit(rows, params, seed, threads)
    if not compares(params):
        final = final_stage.fit(rows, found, params, seed, threads)
        return _by_row(params)(rows, found, final.effect, params.level)
    question, adjusted = within(rows, found, params, 0.0)
    if params.average == "weighting":
        return averages.weighted(question, adjusted, params.level, params.estimand)
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
