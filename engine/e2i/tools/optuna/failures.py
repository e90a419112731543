"""Advise what to do when no trial was completed. In: the trials. Out: a hint that fits their reasons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

MISSING = ("nan", "infinity", "missing value", "infinite")
"""Words of the libraries about values that an estimator does not take."""
ARGUMENTS = ("unexpected keyword argument", "invalid parameter", "missing 1 required", "required positional argument")
"""Words of Python and scikit-learn about parameters that a callable does not have, or needs."""


def advice(found: Sequence[Any], of_registry: bool) -> str:
    """Return a hint by the most common reason. ``of_registry``: the algorithm is a name, and no callable."""
    if not found:
        return "raise `timeout`"
    reasons = Counter(trial.user_attrs.get("reason", "") for trial in found)
    reason = reasons.most_common(1)[0][0].lower()
    if not reason:
        return "leave `pruner` out: it ended every trial before its last round"
    if any(word in reason for word in ARGUMENTS):
        return "give `search_space` exactly the parameters that `algorithm` takes"
    if any(word in reason for word in MISSING):
        return (
            "fill or remove missing and infinite values of the tables, or use an algorithm that takes them, "
            "such as XGBoost, LightGBM, or a callable that makes a Pipeline with an imputer"
        )
    if not of_registry:
        return (
            "correct the callable, or the estimator that it makes: run it on one set of parameters outside the search"
        )
    return "check the ranges in `search_space` against what the algorithm takes"
