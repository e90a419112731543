"""Fit scikit-learn random forests. In: encoded rows and parameters. Out: the model and its skops file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from e2i.documents import Values
from e2i.errors import StepError
from e2i.estimators import skops
from e2i.estimators.library import Encoded
from e2i.estimators.rounds import Watch
from e2i.estimators.schema import Schema

FILE = "model.skops"


def prepare(schema: Schema, train: Encoded, validation: Encoded | None, threads: int) -> Encoded:
    """Return the rows unchanged: trees only read them."""
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
    """Fit a RandomForestClassifier or RandomForestRegressor. Predicts on one thread, so that sums keep their order."""
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    kind = RandomForestRegressor if schema.shape == "regression" else RandomForestClassifier
    try:
        model = kind(random_state=seed, n_jobs=threads, **params).fit(data.matrix, data.labels)
    except (ValueError, TypeError) as error:
        raise StepError(f"RandomForest: {error}", code="fit-failed") from error
    return model.set_params(n_jobs=None)


def save(native: Any, path: Path) -> None:
    """Write the model by skops."""
    skops.save(native, path)
