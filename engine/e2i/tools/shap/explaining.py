"""Explain effect models as models are explained. In: an effect model. Out: a scorer of its effects.

EconML explains its estimators by asking for effects of mixed rows, unless they are linear. So does ``scorers``, which
also has the coefficients of a linear effect.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from e2i.catalog.artifacts import EffectModel
from e2i.catalog.context import StepContext
from e2i.errors import StepError
from e2i.estimators.effects import open_effects
from e2i.estimators.scoring import Manifest, Scorer

if TYPE_CHECKING:
    import pandas as pd

    from e2i.estimators.effect_scoring import EffectScorer
    from e2i.estimators.scoring import Matrix

NO_MODIFIERS = "the effect model has no effect modifiers: its effect is the same for every row"


def effects(model: EffectModel, ctx: StepContext) -> EffectsAsScorer:
    """Return the scorer of an effect model. Raises StepError when it cannot be loaded, or has no modifiers."""
    scorer = open_effects(model, ctx).scorer
    if not scorer.features:
        raise StepError(NO_MODIFIERS, code="bad-feature", hint="estimate it with `effect_modifiers`")
    return EffectsAsScorer(scorer)


class EffectsAsScorer(Scorer):
    """An effect model as a regression whose prediction is the effect. ``native`` are coefficients and intercept."""

    def __init__(self, effects: EffectScorer) -> None:
        about = effects.manifest
        coefficients = about["coefficients"]
        manifest = {
            "algorithm": about["estimator"],
            "classes": None,
            "encoding": about.get("encoding", "one-hot"),
            "features": about["features"],
            "library": "effects",
            "target_center": 0.0,
            "target_scale": 1.0,
        }
        super().__init__(cast("Manifest", manifest), _linear(coefficients))
        self._effects = effects

    def encode(self, frame: pd.DataFrame) -> Any:
        """Return the effect modifiers of shape (rows, columns). Raises ScoringError."""
        return self._effects.encode(frame)

    def output(self, encoded: Any, *, margin: bool = False) -> Matrix:
        """Return the effect on each encoded row."""
        return self._effects.of(encoded)[0]


def _linear(coefficients: list[float] | None) -> Any:
    import numpy as np

    return None if coefficients is None else (np.asarray(coefficients[1:]), coefficients[0])
