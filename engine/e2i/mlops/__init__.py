"""The Python interface of the seven tools, for programs outside any run.

Each class needs no argument: its settings come from ``config/`` of the workspace and the environment. What a program
logs while a tool is down waits in the store's outbox and is delivered later, once. Each name is imported on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from e2i.errors import ToolUnavailable
    from e2i.mlops.bentoml import BentoMLConfig, BentoMLService, Endpoint
    from e2i.mlops.feast import FeastClient, FeastConfig
    from e2i.mlops.great_expectations import GEConfig, GEValidationResult, GEValidator
    from e2i.mlops.mistakes import BadCall
    from e2i.mlops.mlflow import MLflowConfig, MLflowConnector, ModelStage, ModelVersion
    from e2i.mlops.opik import OpikConfig, OpikConnector, Span
    from e2i.mlops.optuna import OptunaConfig, OptunaTuner
    from e2i.mlops.shap import SHAPConfig, SHAPExplainer

_MODULES = {
    "BadCall": "e2i.mlops.mistakes",
    "BentoMLConfig": "e2i.mlops.bentoml",
    "BentoMLService": "e2i.mlops.bentoml",
    "Endpoint": "e2i.mlops.bentoml",
    "FeastClient": "e2i.mlops.feast",
    "FeastConfig": "e2i.mlops.feast",
    "GEConfig": "e2i.mlops.great_expectations",
    "GEValidationResult": "e2i.mlops.great_expectations",
    "GEValidator": "e2i.mlops.great_expectations",
    "MLflowConfig": "e2i.mlops.mlflow",
    "MLflowConnector": "e2i.mlops.mlflow",
    "ModelStage": "e2i.mlops.mlflow",
    "ModelVersion": "e2i.mlops.mlflow",
    "OpikConfig": "e2i.mlops.opik",
    "OpikConnector": "e2i.mlops.opik",
    "OptunaConfig": "e2i.mlops.optuna",
    "OptunaTuner": "e2i.mlops.optuna",
    "SHAPConfig": "e2i.mlops.shap",
    "SHAPExplainer": "e2i.mlops.shap",
    "Span": "e2i.mlops.opik",
    "ToolUnavailable": "e2i.errors",
}
"""Each name of the interface → the module that defines it."""

__all__ = [
    "BadCall",
    "BentoMLConfig",
    "BentoMLService",
    "Endpoint",
    "FeastClient",
    "FeastConfig",
    "GEConfig",
    "GEValidationResult",
    "GEValidator",
    "MLflowConfig",
    "MLflowConnector",
    "ModelStage",
    "ModelVersion",
    "OpikConfig",
    "OpikConnector",
    "OptunaConfig",
    "OptunaTuner",
    "SHAPConfig",
    "SHAPExplainer",
    "Span",
    "ToolUnavailable",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module 'e2i.mlops' has no attribute {name!r}")
