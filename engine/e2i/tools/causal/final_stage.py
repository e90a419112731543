"""Estimate how the effect depends on its modifiers. In: a question and cross-fitted predictions. Out: an effect model.

The last stage of EconML's estimators of the same names, on our predictions: LinearDML and CausalForest explain what is
left of the outcome by what is left of the treatment, the DR learners explain doubly robust scores, those with an
instrument use what is left of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from e2i.errors import StepError
from e2i.estimators.effects import EffectManifest, Effects
from e2i.tools.causal import EstimateParams, settings_of
from e2i.tools.causal.averages import scores
from e2i.tools.causal.crossfit import Nuisances
from e2i.tools.causal.learners import LEARNERS
from e2i.tools.causal.question import Question

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
    form = LEARNERS[params.estimator].form
    if form == "forest":
        return _forest(question, found, params, manifest, threads)
    if form == "predictions":
        from e2i.tools.causal import meta_learners

        model = meta_learners.fit(question, found, params, manifest, threads)
        return Final(model, model.native.effect(question.modifiers))
    from e2i.tools.causal import linear_effects

    model, effect = linear_effects.fit(question, found, params, manifest)
    return Final(model, effect)


def _forest(
    question: Question, found: Nuisances, params: EstimateParams, manifest: EffectManifest, threads: int
) -> Final:
    """Return an honest forest (Athey, Tibshirani, Wager 2019, "Generalized random forests")."""
    import numpy as np
    from econml.grf import CausalForest, RegressionForest
    from msgspec.structs import replace

    settings = settings_of(params.params)
    robust = LEARNERS[params.estimator].robust
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
