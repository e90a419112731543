"""Explain effect models as models are explained. In: an effect model. Out: a scorer of its effects.

Linear effects are explained by their coefficients, forests of many features by their trees, as in EconML. ``scorers``
asks all others for effects of mixed rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from e2i.catalog.artifacts import EffectModel
from e2i.catalog.context import StepContext
from e2i.errors import StepError
from e2i.estimators.effects import open_effects
from e2i.estimators.manifest import Manifest
from e2i.estimators.scoring import Scorer

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
        native = effects.native if coefficients is None else _linear(coefficients)
        super().__init__(cast("Manifest", manifest), native)
        self._effects = effects

    def encode(self, frame: pd.DataFrame, *, strict: bool = True) -> Any:
        """Return the effect modifiers of shape (rows, columns). Raises ScoringError."""
        return self._effects.encode(frame)

    def output(self, encoded: Any, *, margin: bool = False) -> Matrix:
        """Return the effect on each encoded row."""
        return self._effects.point(encoded)


def trees(scorer: Scorer, encoded: Matrix, others: Matrix, widths: Sequence[int]) -> tuple[Matrix, Matrix]:
    """Return exact values of the mean over a causal forest's trees against background rows, as EconML does.

    The forest's effect is a ratio of two such means, and correlates with it closely. Columns of one category are summed
    to its feature.
    """
    import numpy as np
    import shap

    explainer = shap.TreeExplainer(scorer.native, data=others, feature_perturbation="interventional")
    model, coded, explainer.data = explainer.model, np.empty_like(encoded), np.empty_like(others)
    for column in range(encoded.shape[1]):  # shap compares 32 bits: count splits below a value instead
        splits = (model.features == column) & (model.children_left >= 0)
        cuts = np.unique(model.thresholds[splits])
        model.thresholds[splits] = np.searchsorted(cuts, model.thresholds[splits]) + 0.5
        coded[:, column] = np.searchsorted(cuts, encoded[:, column])
        explainer.data[:, column] = np.searchsorted(cuts, others[:, column])
    columns = np.asarray(explainer.shap_values(coded, check_additivity=False)).reshape(encoded.shape)
    starts = np.cumsum([0, *widths[:-1]])
    return np.add.reduceat(columns, starts, axis=1), mean_of_trees(scorer, others).mean(keepdims=True)


def mean_of_trees(scorer: Scorer, encoded: Matrix) -> Matrix:
    """Return the mean over a forest's trees for each encoded row, shape (rows,)."""
    import numpy as np

    found: Matrix = scorer.native.predict_tree_average(np.ascontiguousarray(encoded))[:, 0]
    return found


def _linear(coefficients: list[float]) -> Any:
    import numpy as np

    return (np.asarray(coefficients[1:]), coefficients[0])
