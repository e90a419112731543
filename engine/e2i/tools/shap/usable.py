"""Refuse models and rows that cannot be explained. In: a live model. Out: nothing, or a StepError with a hint."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from e2i.errors import E2IError, StepError
from e2i.estimators import live_effects
from e2i.estimators.scoring import Scorer
from e2i.tools.shap import hints

_MODELS = "pass a fitted estimator of XGBoost, LightGBM, CatBoost or scikit-learn, or a function of rows"
_MISSING = ("nan", "infinity", "missing value", "infinite")
"""Words of the libraries about values that a model does not take."""


def check(model: Any) -> None:
    """Raise StepError for what is no model, a class of models, and a model that is not fitted."""
    if isinstance(model, Scorer):
        return
    name = type(model).__name__
    if live_effects.is_live(model):
        _check_effects(model)
        return
    if isinstance(model, type) or not (callable(model) or hasattr(model, "predict")):
        what = f"the class {model.__name__}" if isinstance(model, type) else f"of the type {name}"
        raise StepError(f"`model` is {what}, which cannot be explained", code="bad-model", hint=_MODELS)
    if not _is_fitted(model):
        raise StepError(f"`model` ({name}) is not fitted", code="bad-model", hint="call model.fit(X, y) before")


def _check_effects(model: Any) -> None:
    if getattr(model, "_d_t", None) is None:  # EconML's mark of an estimator that is not fitted
        raise StepError(
            f"`model` ({type(model).__name__}) is not fitted", code="bad-model", hint="call model.fit(y, t, X=X) before"
        )
    if model._d_t not in ((1,), ()):
        raise StepError(
            f"`model` ({type(model).__name__}) has {model._d_t[0]} effects for each row, of as many treatments",
            code="bad-model",
            hint="explain an estimator of one treatment of two values",
        )


@contextmanager
def refusals(model: Any) -> Iterator[None]:
    """Convert what a model or its library raises about the rows to a StepError."""
    try:
        yield
    except (E2IError, MemoryError):
        raise
    except Exception as error:  # the model is the program's own code, or any library's
        text = " ".join(str(error).split())[:300]
        missing = any(word in text.lower() for word in _MISSING)
        raise StepError(
            f"{type(hints.final(model)).__name__} does not take these rows: {type(error).__name__}: {text}",
            code="bad-features",
            hint="fill or remove missing and infinite values of `X`" if missing else "call model.predict(X) to see why",
        ) from error


def _is_fitted(model: Any) -> bool:
    """Return False for an estimator that says that it is not fitted."""
    last = hints.final(model)
    if callable(fitted := getattr(last, "is_fitted", None)):  # CatBoost
        return bool(fitted())
    if not hasattr(last, "fit") or not hasattr(last, "get_params"):
        return True
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    try:
        check_is_fitted(last)
    except NotFittedError:
        return False
    except TypeError:  # no estimator of scikit-learn's kind: its own errors are reported
        return True
    return True
