"""The registry of algorithms of effects: what is known of each. Imports no library.

Their models are applied by ``effect_scoring``, whatever the algorithm.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

EffectName = Literal["LinearDML", "DRLearner", "CausalForest", "ForestDRLearner"]


class EffectAlgorithm(Struct, frozen=True):
    """``explainer`` is where exact SHAP values come from: the coefficients; None: only from asking for effects."""

    explainer: Literal["linear"] | None


EFFECT_ALGORITHMS: dict[str, EffectAlgorithm] = {
    "LinearDML": EffectAlgorithm("linear"),
    "DRLearner": EffectAlgorithm("linear"),
    "CausalForest": EffectAlgorithm(None),
    "ForestDRLearner": EffectAlgorithm(None),
}
