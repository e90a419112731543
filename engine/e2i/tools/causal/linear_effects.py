"""Estimate an effect that is linear in its modifiers. In: a question and cross-fitted predictions. Out: coefficients.

Each estimator is a regression of one column on the modifiers; those with an instrument use it for the treatment.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from e2i.errors import StepError
from e2i.estimators.effects import EffectManifest, Effects
from e2i.tools.causal import EstimateParams
from e2i.tools.causal.averages import driven, scores
from e2i.tools.causal.crossfit import Nuisances
from e2i.tools.causal.learners import LEARNERS
from e2i.tools.causal.question import Question, columns_of

if TYPE_CHECKING:
    from e2i.estimators.scoring import Matrix

    Fitted = tuple[Matrix, Matrix]
    """Coefficients and their covariance."""


def fit(
    question: Question, found: Nuisances, params: EstimateParams, manifest: EffectManifest
) -> tuple[Effects, Matrix]:
    """Return the model, and the effect on each row. Raises StepError when the rows do not determine it.

    Covariances allow for unequal variances, and for rows of one entity, but those of SparseLinearDML.
    """
    import numpy as np
    from msgspec.structs import replace

    used = [0, *(column + 1 for column in _free(question.features))]
    constant = np.column_stack([np.ones(question.rows), question.modifiers])[:, used]
    found_coefficients, found_covariance = _fitted(question, found, params, manifest.seed, constant)
    width = question.modifiers.shape[1] + 1
    coefficients, covariance = np.zeros(width), np.zeros((width, width))
    coefficients[used], covariance[np.ix_(used, used)] = found_coefficients, found_covariance
    if not (np.isfinite(coefficients).all() and np.isfinite(covariance).all()):
        raise StepError(
            "the effect is not determined: what the covariates leave of the treatment does not vary",
            code="no-variation",
            hint="a covariate that decides the treatment by itself is no confounder; remove it",
        )
    manifest = replace(manifest, coefficients=coefficients.tolist(), covariance=covariance.tolist())
    return Effects(manifest), constant @ coefficients[used]


def _fitted(question: Question, found: Nuisances, params: EstimateParams, seed: int, constant: Matrix) -> Fitted:
    groups = None if params.group is None else question.groups
    if LEARNERS[params.estimator].robust:
        return _least_squares(scores(question, found), constant, groups)
    surplus = question.treatment - found.treatment
    rest = question.outcome - found.expected
    if params.estimator == "LinearDML":
        return _least_squares(rest, constant * surplus[:, None], groups)
    if params.estimator == "SparseLinearDML":
        return _sparse(rest, constant * surplus[:, None], seed)
    if params.estimator == "OrthoIV":
        return _two_stages(question, found, constant)
    return _least_squares(instrumented_scores(question, found), constant, groups)


def instrumented_scores(question: Question, found: Nuisances) -> Matrix:
    """Return the doubly robust score of each row by an instrument of two values, shape (rows,).

    Their mean over rows of equal covariates is the effect on those of them whom the instrument moves (Syrgkanis et al.
    2019, "Machine learning estimation of heterogeneous treatment effects with instruments"). Raises StepError for an
    instrument that does not change the treatment.
    """
    import numpy as np

    assert question.instrument is not None and found.instrument is not None
    used = [0, *(column + 1 for column in _free(question.features))]
    constant = np.column_stack([np.ones(question.rows), question.modifiers])[:, used]
    point = constant @ _two_stages(question, found, constant)[0]
    pushed, surplus = question.instrument - found.instrument, question.treatment - found.treatment
    rest = question.outcome - found.expected - surplus * point
    scores: Matrix = point + pushed * rest / driven(found)
    return scores


def _least_squares(explained: Matrix, design: Matrix, groups: Matrix | None) -> Fitted:
    import statsmodels.api as sm

    model = sm.OLS(explained, design)
    fitted = model.fit(cov_type="HC1") if groups is None else model.fit(cov_type="cluster", cov_kwds={"groups": groups})
    return fitted.params, fitted.cov_params()


def _sparse(explained: Matrix, design: Matrix, seed: int) -> Fitted:
    """Return the debiased lasso (van de Geer et al. 2014, "On asymptotically optimal confidence regions")."""
    import numpy as np
    from econml.sklearn_extensions.linear_model import DebiasedLasso

    fitted = DebiasedLasso(fit_intercept=False, random_state=seed, n_jobs=1).fit(design, explained)
    return np.asarray(fitted.coef_), np.asarray(fitted._coef_variance)


def _two_stages(question: Question, found: Nuisances, constant: Matrix) -> Fitted:
    """Return coefficients of as many instruments as columns (Wooldridge 2010, section 5.2.5, equation 5.38)."""
    import numpy as np

    assert question.instrument is not None and found.instrument is not None
    explained, groups = question.outcome - found.expected, question.groups
    design = constant * (question.treatment - found.treatment)[:, None]
    instruments = constant * (question.instrument - found.instrument)[:, None]
    cross = instruments.T @ design
    if np.linalg.matrix_rank(cross) < len(cross):
        raise StepError(
            "the instrument does not change the treatment, once the covariates are adjusted for",
            code="weak-instrument",
            hint="use fewer `effect_modifiers`, or another instrument",
        )
    coefficients = np.linalg.solve(cross, instruments.T @ explained)
    moments = instruments * (explained - design @ coefficients)[:, None]
    sums = np.column_stack([np.bincount(groups, weights=column) for column in moments.T])
    bread = np.linalg.inv(cross)
    rows, entities = len(explained), len(np.unique(groups))
    correction = entities / max(entities - 1, 1) * (rows - 1) / max(rows - len(cross), 1)
    return coefficients, bread @ (sums.T @ sums) @ bread.T * correction


def _free(features: list[Any]) -> Iterator[int]:
    """Yield the columns of the encoded modifiers without each feature's first category, of which the others tell."""
    start = 0
    for feature in features:
        width = len(columns_of(feature))
        yield from range(start + (feature["kind"] == "category"), start + width)
        start += width
