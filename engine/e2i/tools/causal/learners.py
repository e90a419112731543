"""List the estimators of effects: which treatments each takes, and what it needs. Imports no library."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from msgspec import Struct

EstimatorName = Literal[
    "LinearDML",
    "SparseLinearDML",
    "DRLearner",
    "CausalForest",
    "ForestDRLearner",
    "SLearner",
    "TLearner",
    "XLearner",
    "OrthoIV",
    "IntentToTreatDRIV",
]


class Learner(Struct, frozen=True):
    """An estimator of effects.

    ``form``: whether the effect is linear in the modifiers, that of a forest, or the difference of predictions.
    ``amounts``: it takes a continuous treatment. ``robust``: it explains doubly robust scores. ``instrumented``: it
    uses an instrument. ``clustered``: the intervals by row allow for rows of one entity.
    """

    form: Literal["linear", "forest", "predictions"]
    amounts: bool = False
    robust: bool = False
    instrumented: bool = False
    clustered: bool = True


LEARNERS: dict[str, Learner] = {
    "LinearDML": Learner("linear", amounts=True),
    "SparseLinearDML": Learner("linear", amounts=True, clustered=False),
    "DRLearner": Learner("linear", robust=True),
    "CausalForest": Learner("forest", amounts=True),
    "ForestDRLearner": Learner("forest", robust=True),
    "SLearner": Learner("predictions"),
    "TLearner": Learner("predictions"),
    "XLearner": Learner("predictions"),
    "OrthoIV": Learner("linear", amounts=True, instrumented=True),
    "IntentToTreatDRIV": Learner("linear", instrumented=True),
}


def able(has: Callable[[Learner], bool]) -> str:
    """Return the names of the estimators with a property, for messages."""
    return ", ".join(name for name, learner in LEARNERS.items() if has(learner))


def misfit(name: str, *, continuous: bool, instrument: str | None, modifiers: bool, confounders: bool) -> str | None:
    """Return why an estimator cannot answer a question, with those that can; None when it can."""
    learner = LEARNERS[name]
    if continuous and not learner.amounts:
        takes = able(lambda one: one.amounts)
        return f"{name} needs a treatment of two values, not `continuous: true`; amounts are for {takes}"
    if learner.instrumented and instrument is None:
        without = able(lambda one: not one.instrumented)
        return f"{name} needs an `instrument`; without one there are {without}"
    if instrument is not None and not learner.instrumented:
        return f"{name} does not use an `instrument`; those that do: {able(lambda one: one.instrumented)}"
    if learner.form != "linear" and not modifiers:
        return f"{name} needs `effect_modifiers`: it estimates how the effect depends on them"
    if learner.form == "predictions" and confounders:
        return (
            f"{name} has one list of columns: the effect may depend on each that is adjusted for. Move `confounders` "
            "to `effect_modifiers`"
        )
    return None
