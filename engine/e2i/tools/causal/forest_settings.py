"""Know the settings of forests of effects, by EconML's names. Imports no library.

The names are those of ``econml.grf.CausalForest`` and ``RegressionForest`` (EconML 0.17), but those that e2i sets.
"""

from __future__ import annotations

from collections.abc import Mapping

from e2i.estimators.space import Dimension, FloatRange, IntRange

_COMMON = frozenset(
    {
        "honest",
        "max_depth",
        "max_features",
        "max_samples",
        "min_balancedness_tol",
        "min_impurity_decrease",
        "min_samples_leaf",
        "min_samples_split",
        "min_weight_fraction_leaf",
        "n_estimators",
        "subforest_size",
    }
)
SETTINGS: Mapping[str, frozenset[str]] = {
    "CausalForest": _COMMON | {"criterion", "fit_intercept", "min_var_fraction_leaf", "min_var_leaf_on_val"},
    "ForestDRLearner": _COMMON,
}
"""By estimator, the settings that a spec may give."""
SPACE: Mapping[str, Dimension] = {
    "min_samples_leaf": IntRange(low=5, high=100, log=True),
    "max_samples": FloatRange(low=0.1, high=0.5),
    "max_features": FloatRange(low=0.3, high=1.0),
}
"""What a search without a space tries: how smooth the effect is, and how alike the trees are."""
SUBFOREST = 4
"""Trees that share a half of the rows, unless a spec sets ``subforest_size`` (EconML)."""


def refused(name: str, value: object) -> str | None:
    """Return what a setting needs, if EconML refuses the value; None otherwise."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if name == "n_estimators" and (value < SUBFOREST or value % SUBFOREST):
        return f"a multiple of {SUBFOREST}, as trees share rows in groups of that size"
    if name == "max_samples" and isinstance(value, float) and not 0 < value <= 0.5:
        return "above 0 and at most 0.5, as intervals compare trees of different halves of the rows"
    if name == "max_features" and isinstance(value, float) and not 0 < value <= 1:
        return "above 0 and at most 1"
    if name in ("min_samples_leaf", "min_samples_split", "max_depth") and isinstance(value, int) and value < 1:
        return "at least 1"
    return None
