"""Fit the estimators of scikit-learn in the registry. In: encoded rows and parameters. Out: a model, a skops file."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from e2i.errors import StepError
from e2i.estimators import making, skops
from e2i.estimators.algorithm import Hyperparameters
from e2i.estimators.learning import Loss, Settings
from e2i.estimators.library import Encoded
from e2i.estimators.one_thread import one_thread
from e2i.estimators.rounds import Watch
from e2i.estimators.schema import Schema

FILE = "model.skops"


def prepare(schema: Schema, train: Encoded, validation: Encoded | None, threads: int) -> Encoded:
    """Return the rows unchanged: estimators only read them."""
    return train


def fit(
    algorithm: str,
    schema: Schema,
    data: Encoded,
    params: Hyperparameters,
    loss: Loss,
    *,
    seed: int,
    threads: int,
    watch: Watch | None,
) -> Any:
    """Fit an estimator. Predicts on one thread, so that sums keep their order.

    Raises StepError for a parameter that it refuses, and when a solver did not converge.
    """
    import warnings

    from sklearn.exceptions import ConvergenceWarning

    warnings.simplefilter("ignore", ConvergenceWarning)  # reported below as an error with a hint
    try:
        model = making.make(algorithm, schema.task, {**_objective(algorithm, schema, loss), **params}, seed, threads)
        weighed = {} if data.weights is None else {"sample_weight": data.weights}
        with one_thread():
            model = model.fit(data.matrix, data.labels, **weighed)
    except (ValueError, TypeError) as error:
        raise StepError(f"{algorithm}: {error}", code="fit-failed") from error
    if "n_jobs" in model.get_params():
        model.set_params(n_jobs=None)
    if not hasattr(model, "estimators_") and not hasattr(model, "n_trees_per_iteration_"):  # trees count otherwise
        _check_converged(algorithm, model)
    return model


def _objective(algorithm: str, schema: Schema, loss: Loss) -> Settings:
    """Return the estimator's own parameters for a loss other than squared errors, and for constraints."""
    found: Settings = {"monotonic_cst": list(loss.monotone)} if loss.monotone else {}
    if schema.shape != "regression" or loss.objective == "squared":
        return found
    if algorithm == "Dummy":
        return {"strategy": "quantile", "quantile": 0.5 if loss.objective == "absolute" else loss.quantile}
    if algorithm == "QuantileLinear":
        return {"quantile": 0.5 if loss.objective == "absolute" else loss.quantile}
    names = {"squared": "squared_error", "absolute": "absolute_error"}
    found["loss" if algorithm == "HistGradientBoosting" else "criterion"] = names.get(loss.objective, loss.objective)
    if loss.objective == "quantile":
        found["quantile"] = loss.quantile
    return found


def save(native: Any, path: Path) -> None:
    """Write the model by skops."""
    skops.save(native, path)


def _check_converged(algorithm: str, model: Any) -> None:
    iterations, most = getattr(model, "n_iter_", None), getattr(model, "max_iter", None)
    if most is not None and _most(iterations) >= most:
        raise StepError(
            f"{algorithm} did not converge in {most} iterations",
            code="not-converged",
            hint="raise `max_iter`, or regularise more strongly",
        )


def _most(iterations: Any) -> float:
    """Return the highest number of iterations of a solver, which may count per class or not at all."""
    if iterations is None:
        return -math.inf
    return float(max(iterations)) if hasattr(iterations, "__len__") else float(iterations)
