"""Estimate an effect by the front-door formula. In: a question whose modifiers are mediators. Out: scores of each row.

The formula is that of Pearl 1995, "Causal diagrams for empirical research", Biometrika 82. Its mean is estimated by the
efficient scores of Fulcher, Shpitser, Marealle, Tchetgen Tchetgen 2020, "Robust inference on population indirect causal
effects", J. R. Stat. Soc. B 82, with the ratio of the mediators' densities by two models of the treatment, as in Guo,
Benkeser, Nabi 2023, "Flexible nonparametric inference for causal effects under the front-door model".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from e2i.errors import StepError
from e2i.tools.causal import CLIP, EstimateParams, crossfit, model_of
from e2i.tools.causal.crossfit import expected, fit
from e2i.tools.causal.question import Question

if TYPE_CHECKING:
    from e2i.estimators.scoring import Matrix


class Mediated(Struct, frozen=True, eq=False):
    """The score of each row, whose mean is the effect, and its treatment's probability by mediators and confounders."""

    scores: Matrix
    probability: Matrix


def estimate(question: Question, params: EstimateParams, seed: int, threads: int) -> Mediated:
    """Return the scores, both of shape (rows,). The first covariates of the question are the mediators.

    Raises StepError when a part cannot be learned from.
    """
    import numpy as np

    scores, probability = np.zeros(question.rows), np.zeros(question.rows)
    for learn, judge in crossfit.parts(question, params, seed):
        scores[judge], probability[judge] = _part(question, params, (learn, judge), seed, threads)
    return Mediated(scores, probability)


def _part(
    question: Question, params: EstimateParams, split: tuple[Matrix, Matrix], seed: int, threads: int
) -> tuple[Matrix, Matrix]:
    """Return the scores and probabilities of one part, by models of the others."""
    import numpy as np

    learn, judge = split
    both, width = question.covariates, question.modifiers.shape[1]
    others = both[:, width:]
    given, target = question.treatment, question.outcome
    outcome_model, treatment_model = model_of(params.outcome_model), model_of(params.treatment_model)
    arms = [learn[given[learn] == arm] for arm in (0, 1)]
    if min(len(arm) for arm in arms) < 2:
        raise StepError("a part of the rows has one arm only", code="bad-treatment", hint="give more rows of the other")
    models = [fit(outcome_model, "regression", both[arm], target[arm], seed, threads) for arm in arms]
    # the treatment by the confounders (share), and by the mediators too (known)
    share, known = (
        np.clip(
            expected(treatment_model, "classification", x[learn], given[learn], x[judge], seed, threads), CLIP, 1 - CLIP
        )
        for x in (others, both)
    )
    chances, revealed = np.column_stack([1 - share, share]), np.column_stack([1 - known, known])
    by_arm = np.column_stack([model.predict(both[judge]) for model in models])
    rows, own = np.arange(len(judge)), given[judge].astype(int)
    rest = target[judge] - by_arm[rows, own]
    mixed = (by_arm * chances).sum(axis=1)
    means = []
    for arm in (0, 1):
        # what each model of the outcome expects where the mediators are as in this arm, by the confounders
        predicted = [
            fit(outcome_model, "regression", others[arms[arm]], model.predict(both[arms[arm]]), seed, threads).predict(
                others[judge]
            )
            for model in models
        ]
        moved = np.column_stack(predicted)
        ratio = revealed[:, arm] / revealed[rows, own] * chances[rows, own] / chances[:, arm]
        through = (own == arm) / chances[:, arm] * (mixed - (moved * chances).sum(axis=1))
        means.append(ratio * rest + through + moved[rows, own])
    return means[1] - means[0], known
