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
    instrument: Matrix | None = None
    """The expected instrument."""
    moved: Matrix | None = None
    """By how much an instrument of two values changes the probability to be treated (the compliance)."""

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
        instrument = None if self.instrument is None else self.instrument[chosen]
        moved = None if self.moved is None else self.moved[chosen]
        return Nuisances(self.treatment[chosen], untreated, treated, self.clipped, instrument, moved)


def cross_fit(question: Question, params: EstimateParams, seed: int, threads: int) -> Nuisances:
    """Return predictions for each row. Raises StepError when a part cannot be learned from."""
    import numpy as np

    rows = question.rows
    treatment, untreated, treated = np.zeros(rows), np.zeros(rows), np.zeros(rows)
    outcome_model, treatment_model = model_of(params.outcome_model), model_of(params.treatment_model)
    whole, target, amounts = params.continuous or params.instrument is not None, question.outcome, question.treatment
    further = _Instrumented(question, params) if question.instrument is not None else None
    for learn, judge in parts(question, params, seed):
        x, other = question.covariates[learn], question.covariates[judge]
        task = "regression" if params.continuous else "classification"
        treatment[judge] = expected(treatment_model, task, x, amounts[learn], other, seed, threads)
        if further is not None:
            further.learn(learn, judge, seed, threads)
        if whole:
            untreated[judge] = fit(outcome_model, "regression", x, target[learn], seed, threads).predict(other)
            continue
        for arm, found in ((0, untreated), (1, treated)):
            own = amounts[learn] == arm
            outcomes = target[learn][own]
            found[judge] = fit(outcome_model, "regression", x[own], outcomes, seed, threads).predict(other)
    if further is not None:
        return Nuisances(treatment, untreated, untreated, 0, further.expected, further.moved)
    if whole:
        return Nuisances(treatment, untreated, untreated, 0)
    clipped = int(((treatment < CLIP) | (treatment > 1 - CLIP)).sum())
    return Nuisances(treatment.clip(CLIP, 1 - CLIP), untreated, treated, clipped)


class _Instrumented:
    """The predictions that an instrument needs besides, filled part by part."""

    def __init__(self, question: Question, params: EstimateParams) -> None:
        import numpy as np

        assert question.instrument is not None
        self._question, self._given = question, question.instrument
        self._treatment = model_of(params.treatment_model)
        self._task = "regression" if set(np.unique(self._given).tolist()) - {0.0, 1.0} else "classification"
        suits = self._task in algorithms.of(self._treatment.algorithm).tasks
        self._model = params.instrument_model or (self._treatment if suits else model_of(None))
        self.expected = np.zeros(question.rows)
        self.moved = np.zeros(question.rows) if params.estimator == "IntentToTreatDRIV" else None

    def learn(self, learn: Matrix, judge: Matrix, seed: int, threads: int) -> None:
        """Predict one part by the others. Raises StepError when the instrument does not vary in them."""
        x, other = self._question.covariates[learn], self._question.covariates[judge]
        given, amounts = self._given[learn], self._question.treatment[learn]
        if len(set(given.tolist())) < 2:
            raise StepError("the instrument does not vary in a part of the rows", code="bad-instrument")
        self.expected[judge] = expected(self._model, self._task, x, given, other, seed, threads)
        if self.moved is not None:
            for arm, sign in ((1, 1), (0, -1)):
                own = given == arm
                found = expected(self._treatment, "classification", x[own], amounts[own], other, seed, threads)
                self.moved[judge] += sign * found


def expected(model: Nuisance, task: str, x: Matrix, values: Matrix, other: Matrix, seed: int, threads: int) -> Matrix:
    """Return what is expected of ``other`` rows: the probability of 1 by classification, else the mean."""
    import numpy as np

    if len(np.unique(values)) == 1:
        return np.full(len(other), values[0])
    fitted = fit(model, task, x, values, seed, threads)
    found: Matrix = fitted.predict(other) if task == "regression" else fitted.predict_proba(other)[:, 1]
    return found


def parts(question: Question, params: EstimateParams, seed: int) -> Iterator[tuple[Matrix, Matrix]]:
    """Yield the positions to learn from and to judge, for each part. Arms are spread evenly."""
    import numpy as np
    from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold

    if params.folds == 1:
        yield np.arange(question.rows), np.arange(question.rows)
        return
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


def fit(nuisance: Nuisance, task: Any, table: Matrix, labels: Matrix, seed: int, threads: int) -> Any:
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
