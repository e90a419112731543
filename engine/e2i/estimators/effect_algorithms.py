"""The registry of algorithms of effects: what is known of each. Imports no library.

Models of ``causal.estimate`` are applied by ``effect_scoring``, whatever the algorithm. Programs get EconML's own
estimators (``live_effects``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct


class EffectAlgorithm(Struct, frozen=True):
    """``explainer`` is where exact SHAP values come from: the coefficients, or the trees of a forest, whose mean they
    explain; None: only from asking for effects.

    ``estimator`` is EconML's class, by module and name, for programs; None without one. ``models`` are its models of
    outcome and treatment: two residuals, doubly robust scores, or outcomes alone, whose hyperparameters are then those
    of the estimator. ``as_numbers``: a program's fitted estimator is saved as coefficients or trees.
    """

    explainer: Literal["linear", "tree"] | None
    estimator: tuple[str, str] | None = None
    models: Literal["residuals", "robust", "outcomes"] = "residuals"
    as_numbers: bool = False

    @property
    def amounts(self) -> bool:
        """Whether a program's estimator takes a treatment of other values than 0 and 1."""
        return self.models == "residuals"


EFFECT_ALGORITHMS: dict[str, EffectAlgorithm] = {
    "LinearDML": EffectAlgorithm("linear", ("econml.dml", "LinearDML"), as_numbers=True),
    "DRLearner": EffectAlgorithm("linear", ("econml.dr", "LinearDRLearner"), "robust"),
    "CausalForest": EffectAlgorithm("tree", ("econml.dml", "CausalForestDML"), as_numbers=True),
    "ForestDRLearner": EffectAlgorithm("tree", ("econml.dr", "ForestDRLearner"), "robust"),
    "SparseLinearDML": EffectAlgorithm("linear", ("econml.dml", "SparseLinearDML")),
    "SLearner": EffectAlgorithm(None, ("econml.metalearners", "SLearner"), "outcomes"),
    "TLearner": EffectAlgorithm(None, ("econml.metalearners", "TLearner"), "outcomes"),
    "XLearner": EffectAlgorithm(None, ("econml.metalearners", "XLearner"), "outcomes"),
    "OrthoIV": EffectAlgorithm("linear"),
    "IntentToTreatDRIV": EffectAlgorithm("linear"),
}
LIVE = tuple(name for name, known in EFFECT_ALGORITHMS.items() if known.estimator is not None)
"""Algorithms that programs search and fit."""
AS_NUMBERS = tuple(name for name, known in EFFECT_ALGORITHMS.items() if known.as_numbers)
"""Those whose fitted estimators programs can register and serve."""
EFFECT_METRICS: Mapping[str, str] = {
    "r_score": "share of what the treatment explains of the outcome's residuals (Nie and Wager 2017, as in EconML)",
    "dr_score": "share of the variance of doubly robust scores that the effects explain",
}
"""Metrics of effects. Each is 0 for one effect for all rows and at most 1: higher is better."""
