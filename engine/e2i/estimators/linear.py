"""Fit scikit-learn linear models. In: encoded rows and parameters. Out: the model and its skops file."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from e2i.documents import Values
from e2i.errors import StepError
from e2i.estimators import skops
from e2i.estimators.library import Encoded
from e2i.estimators.rounds import Watch
from e2i.estimators.schema import Schema

FILE = "model.skops"

_DEFAULTS: dict[str, Values] = {"LogisticRegression": {"max_iter": 1000}, "Ridge": {}, "Lasso": {}}


def prepare(schema: Schema, train: Encoded, validation: Encoded | None, threads: int) -> Encoded:
    """Return the rows unchanged: the solvers only read them."""
    return train


def fit(
    algorithm: str,
    schema: Schema,
    data: Encoded,
    params: Values,
    *,
    seed: int,
    threads: int,
    watch: Watch | None,
) -> Any:
    """Fit a LogisticRegression, Ridge or Lasso. Raises StepError also when the solver did not converge."""
    import warnings

    from sklearn import linear_model
    from sklearn.exceptions import ConvergenceWarning

    warnings.simplefilter("ignore", ConvergenceWarning)  # reported below as an error with a hint
    try:
        model = getattr(linear_model, algorithm)(**{"random_state": seed, **_DEFAULTS[algorithm], **params})
        model.fit(data.matrix, data.labels)
    except (ValueError, TypeError) as error:
        raise StepError(f"{algorithm}: {error}", code="fit-failed") from error
    if _most(model.n_iter_) >= (model.max_iter or math.inf):
        raise StepError(
            f"{algorithm} did not converge in {model.max_iter} iterations",
            code="not-converged",
            hint="raise `max_iter`, or regularise more strongly",
        )
    return model


def save(native: Any, path: Path) -> None:
    """Write the model by skops."""
    skops.save(native, path)


def _most(iterations: Any) -> float:
    """Return the highest number of iterations of a solver, which may count per class or not at all."""
    return (
        0.0 if iterations is None else float(max(iterations)) if hasattr(iterations, "__len__") else float(iterations)
    )
