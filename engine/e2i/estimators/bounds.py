"""Bounds of hyperparameters: values outside them are refused by the libraries. Pure.

Each bound is proven by a test that fits a model just outside it.
"""

from __future__ import annotations

from msgspec import Struct


class Bound(Struct, frozen=True):
    """Values that a hyperparameter may have. ``above``: ``low`` itself is refused."""

    low: float
    high: float | None = None
    above: bool = False

    def allows(self, value: float) -> bool:
        """Return True for a value within the bounds."""
        is_enough = value > self.low if self.above else value >= self.low
        return is_enough and (self.high is None or value <= self.high)

    def __str__(self) -> str:
        low = f"{'above' if self.above else 'at least'} {self.low:g}"
        return low if self.high is None else f"{low} and at most {self.high:g}"


_SHARE = Bound(0, 1, above=True)
_NOT_NEGATIVE = Bound(0)
_POSITIVE = Bound(0, above=True)
_FROM_ONE = Bound(1)

BOUNDS: dict[str, dict[str, Bound]] = {
    "XGBoost": {
        "max_depth": _NOT_NEGATIVE,
        "learning_rate": _NOT_NEGATIVE,
        "subsample": Bound(0, 1),
        "colsample_bytree": Bound(0, 1),
        "colsample_bylevel": Bound(0, 1),
        "colsample_bynode": Bound(0, 1),
        "min_child_weight": _NOT_NEGATIVE,
        "gamma": _NOT_NEGATIVE,
        "reg_alpha": _NOT_NEGATIVE,
        "reg_lambda": _NOT_NEGATIVE,
        "max_delta_step": _NOT_NEGATIVE,
    },
    "LightGBM": {
        "num_leaves": Bound(2, 131072),
        "learning_rate": _POSITIVE,
        "subsample": _SHARE,
        "colsample_bytree": _SHARE,
        "min_child_samples": _NOT_NEGATIVE,
        "min_child_weight": _NOT_NEGATIVE,
        "min_split_gain": _NOT_NEGATIVE,
        "reg_alpha": _NOT_NEGATIVE,
        "reg_lambda": _NOT_NEGATIVE,
    },
    "CatBoost": {
        "iterations": _FROM_ONE,
        "depth": Bound(0, 16),
        "learning_rate": _POSITIVE,
        "l2_leaf_reg": _NOT_NEGATIVE,
        "rsm": _SHARE,
    },
    "RandomForest": {
        "n_estimators": _FROM_ONE,
        "max_depth": _FROM_ONE,
        "min_samples_leaf": _POSITIVE,
        "min_samples_split": _POSITIVE,
        "min_impurity_decrease": _NOT_NEGATIVE,
        "min_weight_fraction_leaf": Bound(0, 0.5),
        "ccp_alpha": _NOT_NEGATIVE,
    },
    "ExtraTrees": {
        "n_estimators": _FROM_ONE,
        "max_depth": _FROM_ONE,
        "min_samples_leaf": _POSITIVE,
        "min_samples_split": _POSITIVE,
        "min_impurity_decrease": _NOT_NEGATIVE,
        "min_weight_fraction_leaf": Bound(0, 0.5),
        "ccp_alpha": _NOT_NEGATIVE,
    },
    "LogisticRegression": {"C": _POSITIVE, "max_iter": _NOT_NEGATIVE, "tol": _NOT_NEGATIVE, "l1_ratio": Bound(0, 1)},
    "ElasticNet": {
        "alpha": _NOT_NEGATIVE,
        "l1_ratio": Bound(0, 1),
        "max_iter": _FROM_ONE,
        "tol": _NOT_NEGATIVE,
    },
    "QuantileLinear": {"alpha": _NOT_NEGATIVE},
    "HistGradientBoosting": {
        "max_iter": _FROM_ONE,
        "learning_rate": _POSITIVE,
        "min_samples_leaf": _FROM_ONE,
        "l2_regularization": _NOT_NEGATIVE,
    },
    "KNeighbors": {"n_neighbors": _FROM_ONE},
    "Ridge": {"alpha": _NOT_NEGATIVE, "max_iter": _FROM_ONE, "tol": _NOT_NEGATIVE},
    "Lasso": {"alpha": _NOT_NEGATIVE, "max_iter": _FROM_ONE, "tol": _NOT_NEGATIVE},
}
"""Bounds by algorithm and hyperparameter; one that is not listed has none that is known."""
