"""Load, save and apply model artifacts. Out: scorers and predictions, or StepErrors with hints."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from e2i.catalog.artifacts import Model
from e2i.catalog.context import StepContext
from e2i.errors import StepError

if TYPE_CHECKING:
    import pandas as pd

    from e2i.estimators.fitting import Fitted
    from e2i.estimators.scoring import Matrix, Scorer


def open_model(model: Model, ctx: StepContext) -> Scorer:
    """Return the loaded model. Raises StepError when its files cannot be read."""
    from e2i.estimators.scoring import ScoringError, load

    try:
        return load(ctx.open(model))
    except ScoringError as error:
        raise StepError(
            f"the model {model.digest[:19]} cannot be loaded: {error}", code="bad-model", hint="train it again"
        ) from error


def keep_model(fitted: Fitted, ctx: StepContext) -> Model:
    """Save a fitted model in the store."""
    from e2i.estimators.fitting import save

    manifest = fitted.scorer.manifest
    return ctx.keep(
        save(fitted, Path(ctx.scratch) / "model"),
        Model,
        algorithm=manifest["algorithm"],
        task=manifest["task"],
        target=manifest["target"],
        features=tuple(fitted.scorer.features),
    )


def predict(scorer: Scorer, frame: pd.DataFrame) -> Matrix:
    """Return ``scorer.predict``. Raises StepError when the table does not match the model."""
    from e2i.estimators.scoring import ScoringError

    try:
        return scorer.predict(frame)
    except ScoringError as error:
        raise StepError(str(error), code="bad-features") from error
