"""The model tool: train, evaluate, apply and choose models of tables. In: tables. Out: models, metrics, predictions.

Declarations only: ``params`` has the parameters by theme, ``actions`` does the work.
"""

from __future__ import annotations

from e2i.catalog.action import DeferredActions, Tool

TOOL = Tool(
    name="model",
    summary="Trains, evaluates, applies and chooses models of tables.",
    actions=DeferredActions(
        __name__,
        "params.training.train",
        "params.training.cross_validate",
        "params.after_training.calibrate",
        "params.after_training.threshold",
        "params.after_training.conformal",
        "params.combining.ensemble",
        "params.judging.evaluate",
        "params.comparing.compare",
        "params.inspecting.errors",
        "params.inspecting.fairness",
        "params.learning.learning_curve",
        "params.validating.validation_curve",
        "params.card.card",
        "params.applying.predict",
        "params.choosing.select",
    ),
    distribution="xgboost",
    extra="models",
    imports=("pandas", "xgboost", "sklearn.metrics", "matplotlib.backends.backend_agg", "matplotlib.figure"),
)
