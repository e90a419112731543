"""Predict the outcome and the treatment of each row by models that have not seen it. In: a question. Out: predictions.

Cross-fitting (Chernozhukov et al. 2018, "Double/debiased machine learning", Econometrics Journal 21): the rows are
divided into parts, and each part is predicted by models of the others. The rows of an entity are in one part.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from e2i.errors import StepError
from e2i.estimators import algorithms
from e2i.tools.causal import CLIP, EstimateParams, Nuisance, model_of
from e2i.tools.causal.question import Question

if TYPE_CHECKING:
    from e2i.estimators.scoring import Matrix


class Nuisances(Struct, frozen=True, eq=False):
    """Cross-fitted predictions, each of shape (rows,)."""

    treatment: Matrix
    """The probability to be treated (the propensity), within bounds; the expected amount of a continuous treatment."""
    untreated: Matrix
    """The expected outcome without treatment; of a continuous treatment, the expected outcome."""
    treated: Matrix
    """The expected outcome with treatment; of a continuous treatment, the expected outcome."""
    clipped: int
    """Propensities that were outside the bounds."""

    @property
    def expected(self) -> Matrix:
        """The expected outcome of each row, whatever its treatment."""
        if self.treated is self.untreated:
            return self.untreated
        mixed: Matrix = self.treatment * self.treated + (1 - self.treatment) * self.untreated
        return mixed

    def only(self, chosen: Matrix) -> Nuisances:
        """Return the chosen rows, by a mask."""
        untreated = self.untreated[chosen]
        treated = untreated if self.treated is self.untreated else self.treated[chosen]
        return Nuisances(self.treatment[chosen], untreated, treated, self.clipped)


def cross_fit(question: Question, params: EstimateParams, seed: int, threads: int) -> Nuisances:
    """Return predictions for each row. Raises StepError when a part cannot be learned from."""
    import numpy as np

    rows = question.rows
    treatment, untreated, treated = np.zeros(rows), np.zeros(rows), np.zeros(rows)
    outcome_model, treatment_model = model_of(params.outcome_model), model_of(params.treatment_model)
    continuous, target, amounts = params.continuous, question.outcome, question.treatment
    for learn, judge in parts(question, params, seed):
        x, other = question.covariates[learn], question.covariates[judge]
        task = "regression" if continuous else "classification"
        model = _fit(treatment_model, task, x, amounts[learn], seed, threads)
        treatment[judge] = model.predict(other) if continuous else model.predict_proba(other)[:, 1]
        if continuous:
            untreated[judge] = _fit(outcome_model, "regression", x, target[learn], seed, threads).predict(other)
            continue
        for arm, found in ((0, untreated), (1, treated)):
            own = amounts[learn] == arm
            outcomes = target[learn][own]
            found[judge] = _fit(outcome_model, "regression", x[own], outcomes, seed, threads).predict(other)
    if continuous:
        return Nuisances(treatment, untreated, untreated, 0)
    clipped = int(((treatment < CLIP) | (treatment > 1 - CLIP)).sum())
    return Nuisances(treatment.clip(CLIP, 1 - CLIP), untreated, treated, clipped)


def parts(question: Question, params: EstimateParams, seed: int) -> Iterator[tuple[Matrix, Matrix]]:
    """Yield the positions to learn from and to judge, for each part. Arms are spread evenly."""
    import numpy as np
    from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold

    groups = None if params.group is None else question.groups
    if groups is not None and len(np.unique(groups)) < params.folds:
        raise StepError(
            f"{params.group!r} has {len(np.unique(groups))} entities, fewer than the {params.folds} parts",
            code="bad-group",
            hint="set `folds` lower, or leave `group` out",
        )
    kinds = {
        (False, False): StratifiedKFold,
        (False, True): StratifiedGroupKFold,
        (True, False): KFold,
        (True, True): GroupKFold,
    }
    kind = kinds[params.continuous, groups is not None]
    splitter = kind(n_splits=params.folds, shuffle=True, random_state=seed)
    for learn, judge in splitter.split(question.covariates, question.treatment, groups):
        if not params.continuous and min(np.bincount(question.treatment[learn].astype(int), minlength=2)) < 2:
            raise StepError(
                f"a part of the rows without the others has no rows of one arm of {params.treatment!r}",
                code="bad-treatment",
                hint="set `folds` lower, or check `group`",
            )
        yield learn, judge


def _fit(nuisance: Nuisance, task: Any, table: Matrix, labels: Matrix, seed: int, threads: int) -> Any:
    """Return a fitted estimator. Without covariates it predicts the mean."""
    from sklearn.dummy import DummyClassifier, DummyRegressor

    from e2i.estimators import making

    if not table.shape[1]:
        dummy: Any = DummyClassifier(strategy="prior") if task == "classification" else DummyRegressor()
        return dummy.fit(labels.reshape(-1, 1), labels)
    algorithms.check(nuisance.algorithm, task, nuisance.params)
    estimator = making.make(nuisance.algorithm, task, nuisance.params, seed, threads)
    try:
        return making.fit(estimator, table, labels, {})
    except ValueError as error:
        raise StepError(f"{nuisance.algorithm}: {error}", code="fit-failed") from error
