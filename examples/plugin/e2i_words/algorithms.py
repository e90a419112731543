"""The algorithms of this plug-in. Declarations only: scikit-learn is imported where a model is fitted."""

from __future__ import annotations

from e2i.estimators.algorithm import Algorithm, Estimator, both
from e2i.estimators.space import IntRange

ALGORITHMS = {
    "DecisionTree": Algorithm(
        family="forest",
        flavour="sklearn",
        module="e2i.estimators.scikit",
        estimator=Estimator("sklearn.tree", both("DecisionTree"), threads=""),
        encoding="filled",
        tasks=("classification", "regression"),
        explainer="tree",
        precision="float64",
        space={
            "max_depth": IntRange(low=2, high=12),
            "min_samples_leaf": IntRange(low=1, high=100, log=True),
        },
        params=frozenset(["max_depth", "min_samples_leaf", "min_samples_split", "max_leaf_nodes", "ccp_alpha"]),
        requirements=("scikit-learn", "skops", "numpy", "pandas"),
    ),
}
"""A tree that a person can read. It is saved as a model of scikit-learn: using a saved model needs no plug-in."""
