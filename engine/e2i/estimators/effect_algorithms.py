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

    ``estimator`` is EconML's class, by module and name, for programs; None where e2i saves no estimator of it.
    """

    explainer: Literal["linear", "tree"] | None
    estimator: tuple[str, str] | None = None


EFFECT_ALGORITHMS: dict[str, EffectAlgorithm] = {
    "LinearDML": EffectAlgorithm("linear", ("econml.dml", "LinearDML")),
    "DRLearner": EffectAlgorithm("linear"),
    "CausalForest": EffectAlgorithm("tree", ("econml.dml", "CausalForestDML")),
    "ForestDRLearner": EffectAlgorithm("tree"),
    "SparseLinearDML": EffectAlgorithm("linear"),
    "SLearner": EffectAlgorithm(None),
    "TLearner": EffectAlgorithm(None),
    "XLearner": EffectAlgorithm(None),
    "OrthoIV": EffectAlgorithm("linear"),
    "IntentToTreatDRIV": EffectAlgorithm("linear"),
}
LIVE = tuple(name for name, known in EFFECT_ALGORITHMS.items() if known.estimator is not None)
"""Algorithms that programs search and fit."""
EFFECT_METRICS: Mapping[str, str] = {
    "r_score": "share of what the treatment explains of the outcome's residuals (Nie and Wager 2017, as in EconML)",
    "dr_score": "share of the variance of doubly robust scores that the effects explain",
}
"""Metrics of effects. Each is 0 for one effect for all rows and at most 1: higher is better."""
