"""Tell which algorithm a live model is. In: a model, perhaps wrapped, and a name. Out: the model inside; a check."""

from __future__ import annotations

from typing import Any

from e2i.errors import StepError
from e2i.estimators import algorithms, live, live_effects
from e2i.estimators.algorithms import ALGORITHMS
from e2i.estimators.scoring import Scorer


def unwrapped(model: Any) -> Any:
    """Return the fitted model inside a search of parameters, a frozen estimator or a vote of one."""
    while True:
        kind = type(model).__name__
        if hasattr(model, "best_estimator_"):
            model = model.best_estimator_
        elif kind == "FrozenEstimator":
            model = model.estimator
        elif kind == "VotingClassifier" and len(getattr(model, "estimators_", ())) == 1:
            model = model.estimators_[0]
        else:
            return model


def final(model: Any) -> Any:
    """Return the estimator at the end of a pipeline, or the model itself."""
    model = unwrapped(model)
    while hasattr(model, "steps") and hasattr(model, "named_steps"):
        model = unwrapped(model.steps[-1][1])
    return model


def name(model: Any) -> str:
    """Return the registry's name of a model's algorithm, or the name of its class."""
    if isinstance(model, Scorer):
        return model.manifest["algorithm"]
    last = final(model)
    if live_effects.is_live(last):
        return live_effects.named(last) or type(last).__name__
    return algorithms.named(last) or type(last).__name__


def check(hint: str, model: Any) -> None:
    """Raise StepError when the model is of another algorithm than the hint. A plain function may be anything."""
    found = name(model)
    last = final(model)
    is_model = hasattr(last, "predict") or live_effects.is_live(last)
    if live.library_of(last) in ("builtins", "function") or not is_model:
        return
    known = {_folded(found), *(_folded(kind.__name__) for kind in type(last).__mro__)}
    if _folded(hint) in known:
        return
    raise StepError(
        f"`algorithm` is {hint!r}, and the model is {found} ({type(last).__module__}.{type(last).__name__})",
        code="wrong-algorithm",
        hint=f"pass algorithm={found!r}, or leave it out; names: {', '.join(ALGORITHMS)}, or the class of the model",
    )


def _folded(text: object) -> str:
    return "".join(sign for sign in str(text).casefold() if sign.isalnum())
