"""Estimate how the effect depends on its modifiers. In: a question and cross-fitted predictions. Out: an effect model.

The last stage of EconML's estimators of the same names, on our predictions: LinearDML and CausalForest explain what is
left of the outcome by what is left of the treatment, the DR learners explain doubly robust scores.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from e2i.errors import StepError
from e2i.estimators.effects import EffectManifest, Effects
from e2i.tools.causal import DOUBLY_ROBUST, FORESTS, EstimateParams, settings_of
from e2i.tools.causal.averages import scores
from e2i.tools.causal.crossfit import Nuisances
from e2i.tools.causal.question import Question, columns_of

if TYPE_CHECKING:
    from e2i.estimators.scoring import Matrix


class Final(Struct, frozen=True, eq=False):
    """The effect model, and the effect on each row that it was fitted to, shape (rows,), by trees without that row."""

    model: Effects
    effect: Matrix


def fit(question: Question, found: Nuisances, params: EstimateParams, seed: int, threads: int) -> Final:
    """Return the fitted effect model. Raises StepError for settings or rows that it cannot be fitted with."""
    manifest = EffectManifest(
        estimator=params.estimator,
        treatment=params.treatment,
        outcome=params.outcome,
        control=question.control,
        treated=question.treated,
        features=[dict(feature) for feature in question.features],
        question=params.model_dump(mode="json", exclude={"table", "keep"}),
        seed=seed,
    )
    if params.estimator in FORESTS:
        return _forest(question, found, params, manifest, threads)
    return _linear(question, found, params, manifest)


def _linear(question: Question, found: Nuisances, params: EstimateParams, manifest: EffectManifest) -> Final:
    """Return a linear effect with a covariance that allows for unequal variances, and for rows of one entity."""
    import numpy as np
    import statsmodels.api as sm
    from msgspec.structs import replace

    used = [0, *(column + 1 for column in _free(question.features))]
    constant = np.column_stack([np.ones(question.rows), question.modifiers])[:, used]
    if params.estimator in DOUBLY_ROBUST:
        design, explained = constant, scores(question, found)
    else:
        design = constant * (question.treatment - found.treatment)[:, None]
        explained = question.outcome - found.expected
    model = sm.OLS(explained, design)
    fitted = (
        model.fit(cov_type="HC1")
        if params.group is None
        else model.fit(cov_type="cluster", cov_kwds={"groups": question.groups})
    )
    width = question.modifiers.shape[1] + 1
    coefficients, covariance = np.zeros(width), np.zeros((width, width))
    coefficients[used], covariance[np.ix_(used, used)] = fitted.params, fitted.cov_params()
    if not (np.isfinite(coefficients).all() and np.isfinite(covariance).all()):
        raise StepError(
            "the effect is not determined: what the covariates leave of the treatment does not vary",
            code="no-variation",
            hint="a covariate that decides the treatment by itself is no confounder; remove it",
        )
    manifest = replace(manifest, coefficients=coefficients.tolist(), covariance=covariance.tolist())
    return Final(Effects(manifest), constant @ coefficients[used])


def _free(features: list[Any]) -> Iterator[int]:
    """Yield the columns of the encoded modifiers without each feature's first category, of which the others tell."""
    start = 0
    for feature in features:
        width = len(columns_of(feature))
        yield from range(start + (feature["kind"] == "category"), start + width)
        start += width


def _forest(
    question: Question, found: Nuisances, params: EstimateParams, manifest: EffectManifest, threads: int
) -> Final:
    """Return an honest forest (Athey, Tibshirani, Wager 2019, "Generalized random forests")."""
    import numpy as np
    from econml.grf import CausalForest, RegressionForest
    from msgspec.structs import replace

    settings = settings_of(params.params)
    robust = params.estimator in DOUBLY_ROBUST
    kind = RegressionForest if robust else CausalForest
    fixed: dict[str, Any] = {"n_jobs": threads, "random_state": manifest.seed, "inference": True}
    rows = np.ascontiguousarray(question.modifiers)
    try:
        forest = kind(**settings, **fixed)
        if robust:
            forest.fit(rows, scores(question, found)[:, None])
        else:
            surplus = question.treatment - found.treatment
            forest.fit(rows, surplus[:, None], (question.outcome - found.expected)[:, None])
    except (TypeError, ValueError) as error:
        raise StepError(f"{params.estimator}: {error}", code="fit-failed", hint="check `params`") from error
    forest.set_params(n_jobs=1)  # sums of threads keep no order
    point = forest.oob_predict(rows)[:, 0]
    unseen = np.isnan(point)
    if unseen.any():  # rows that every tree has drawn
        point[unseen] = forest.predict(rows[unseen])[:, 0]
    return Final(Effects(replace(manifest, forest=kind.__name__), forest), point)
