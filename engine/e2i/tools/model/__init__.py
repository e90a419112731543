"""The model tool: train, evaluate, apply and choose models of tables. In: tables. Out: models, metrics, predictions.

Declarations only: ``params`` has the parameters by theme, ``actions`` does the work.
"""

from __future__ import annotations

from e2i.catalog.action import Action, Tool
from e2i.tools.model.params.after_training import (
    CalibrateOutputs,
    CalibrateParams,
    ConformalOutputs,
    ConformalParams,
    ThresholdOutputs,
    ThresholdParams,
)
from e2i.tools.model.params.applying import PredictOutputs, PredictParams
from e2i.tools.model.params.card import CardOutputs, CardParams
from e2i.tools.model.params.choosing import SelectOutputs, SelectParams
from e2i.tools.model.params.combining import EnsembleOutputs, EnsembleParams
from e2i.tools.model.params.comparing import CompareOutputs, CompareParams
from e2i.tools.model.params.inspecting import ErrorsOutputs, ErrorsParams, FairnessOutputs, FairnessParams
from e2i.tools.model.params.judging import EvaluateOutputs, EvaluateParams
from e2i.tools.model.params.learning import LearningCurveOutputs, LearningCurveParams
from e2i.tools.model.params.training import CrossValidateOutputs, CrossValidateParams, TrainOutputs, TrainParams
from e2i.tools.model.params.validating import ValidationCurveOutputs, ValidationCurveParams

LIBRARIES = ("xgboost", "lightgbm", "catboost", "scikit-learn", "skops", "numpy", "pandas")

TOOL = Tool(
    name="model",
    summary="Trains, evaluates, applies and chooses models of tables.",
    actions=(
        Action(
            "train",
            "Trains one model.",
            TrainParams,
            TrainOutputs,
            libraries=LIBRARIES,
            columns=True,
            version=3,
        ),
        Action(
            "cross_validate",
            "Fits and judges a model in each split of folds, and fits one to all rows.",
            CrossValidateParams,
            CrossValidateOutputs,
            libraries=(*LIBRARIES, "optuna"),
            columns=True,
            version=5,
        ),
        Action(
            "calibrate",
            "Calibrates the probabilities of a model on held-out rows.",
            CalibrateParams,
            CalibrateOutputs,
            libraries=(*LIBRARIES, "scipy", "matplotlib"),
            columns="after_columns",
        ),
        Action(
            "threshold",
            "Chooses the threshold of a model of two classes, by costs or a metric.",
            ThresholdParams,
            ThresholdOutputs,
            libraries=(*LIBRARIES, "matplotlib"),
            columns="after_columns",
            version=3,
        ),
        Action(
            "conformal",
            "Fits prediction intervals, or sets of classes, that contain the truth as often as a level says.",
            ConformalParams,
            ConformalOutputs,
            libraries=LIBRARIES,
            columns="after_columns",
            version=2,
        ),
        Action(
            "ensemble",
            "Combines several models into one, by their predictions out of fold.",
            EnsembleParams,
            EnsembleOutputs,
            libraries=(*LIBRARIES, "scipy"),
            columns="ensemble_columns",
        ),
        Action(
            "evaluate",
            "Evaluates a model on rows that it was not trained on.",
            EvaluateParams,
            EvaluateOutputs,
            libraries=(*LIBRARIES, "matplotlib"),
            columns="judging_columns",
            version=5,
        ),
        Action(
            "compare",
            "Compares models on the same rows, with intervals of the differences.",
            CompareParams,
            CompareOutputs,
            libraries=(*LIBRARIES, "matplotlib"),
            columns="comparing_columns",
            version=2,
        ),
        Action(
            "errors",
            "Finds the slices of a table in which a model is worst.",
            ErrorsParams,
            ErrorsOutputs,
            libraries=(*LIBRARIES, "matplotlib"),
            columns="inspecting_columns",
            version=2,
        ),
        Action(
            "fairness",
            "Compares groups by how a model treats them, and fails beyond limits.",
            FairnessParams,
            FairnessOutputs,
            libraries=(*LIBRARIES, "matplotlib"),
            columns="inspecting_columns",
            gate=True,
            version=2,
        ),
        Action(
            "learning_curve",
            "Fits a model to growing shares of the rows, and judges each fit.",
            LearningCurveParams,
            LearningCurveOutputs,
            libraries=(*LIBRARIES, "matplotlib"),
            columns="learning_columns",
            version=3,
        ),
        Action(
            "validation_curve",
            "Fits a model with each of several values of a hyperparameter, and judges each fit.",
            ValidationCurveParams,
            ValidationCurveOutputs,
            libraries=(*LIBRARIES, "matplotlib"),
            columns="validating_columns",
        ),
        Action(
            "card",
            "Describes a model, its data and its figures for those who use it.",
            CardParams,
            CardOutputs,
            version=2,
            libraries=LIBRARIES,
            columns="inspecting_columns",
        ),
        Action(
            "predict",
            "Applies a model to a table.",
            PredictParams,
            PredictOutputs,
            libraries=(*LIBRARIES, "econml"),
            columns=True,
            version=2,
        ),
        Action(
            "select",
            "Chooses the best of several models.",
            SelectParams,
            SelectOutputs,
            libraries=LIBRARIES,
            columns=True,
            version=2,
        ),
    ),
    distribution="xgboost",
    extra="models",
    imports=("pandas", "xgboost", "sklearn.metrics", "matplotlib.backends.backend_agg", "matplotlib.figure"),
)
