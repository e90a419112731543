"""Read the model files of the libraries, and predict with what they hold. In: a file. Out: the library's own object.

This module is self-contained, and is copied unchanged beside ``scoring`` into every Bento and MLflow model. A library
is imported only when a model of it is read.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

TRUSTED = ("sklearn.tree._tree.Tree", "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor")
"""Types in a scikit-learn model that are allowed besides those that skops trusts itself."""
PACKAGES = frozenset(
    ("ensemble", "tree", "linear_model", "neighbors", "dummy", "preprocessing", "metrics", "utils", "_loss", "base")
)
"""Packages of scikit-learn with what its estimators are made of. Others, such as of texts, can read files."""


class UnreadableError(ValueError):
    """A file is not a model of its library, or has parts that no model of e2i has."""


def _read_xgboost(file: Path) -> Any:
    import xgboost

    try:
        return xgboost.Booster(model_file=str(file))
    except xgboost.core.XGBoostError as error:
        raise UnreadableError(f"{file.name} is not a model that XGBoost can read: {str(error)[:200]}") from error


def _read_lightgbm(file: Path) -> Any:
    import lightgbm

    try:
        return lightgbm.Booster(model_file=str(file))
    except lightgbm.basic.LightGBMError as error:
        raise UnreadableError(f"{file.name} is not a model that LightGBM can read: {str(error)[:200]}") from error


def _read_catboost(file: Path) -> Any:
    import catboost

    try:
        return catboost.CatBoost().load_model(str(file))
    except catboost.CatBoostError as error:
        raise UnreadableError(f"{file.name} is not a model that CatBoost can read: {str(error)[:200]}") from error


def _read_sklearn(file: Path) -> Any:
    from zipfile import BadZipFile

    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    try:
        if strange := _strange_types(file):
            raise UnreadableError(f"{file.name} has parts that no model of e2i has: {strange}")
        return skops.io.load(file, trusted=list(TRUSTED))
    except (BadZipFile, KeyError, ValueError, TypeError, UntrustedTypesFoundException) as error:
        raise UnreadableError(f"{file.name} is not a model that skops can read: {str(error)[:200]}") from error


def _read_ensemble(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UnreadableError(f"{file.name} does not say how models are combined: {error}") from error


def _strange_types(file: Path) -> str:
    """Return a type of scikit-learn in a skops file that is of no allowed package, or an empty text."""
    from zipfile import ZipFile

    found: list[str] = []

    def look(item: dict[str, object]) -> object:
        module = str(item.get("__module__", ""))
        package = module.partition(".")[2].partition(".")[0]
        if module.partition(".")[0] == "sklearn" and package not in PACKAGES:
            found.append(f"{module}.{item.get('__class__')}")
        return item

    with ZipFile(file) as content:
        json.loads(content.read("schema.json"), object_hook=look)
    return min(found, default="")


def _xgboost_output(native: Any, encoded: Any, shape: str, margin: bool) -> Any:
    return native.inplace_predict(encoded, predict_type="margin" if margin else "value")


def _lightgbm_output(native: Any, encoded: Any, shape: str, margin: bool) -> Any:
    return native.predict(encoded, raw_score=margin)


def _catboost_output(native: Any, encoded: Any, shape: str, margin: bool) -> Any:
    if margin or shape == "regression":
        return native.predict(encoded, prediction_type="RawFormulaVal")
    if shape == "log":
        return native.predict(encoded, prediction_type="Exponent")
    probabilities = native.predict(encoded, prediction_type="Probability")
    return probabilities[:, 1] if shape == "binary" else probabilities


def _sklearn_output(native: Any, encoded: Any, shape: str, margin: bool) -> Any:
    if margin and hasattr(native, "decision_function"):
        return native.decision_function(encoded)
    if shape in ("regression", "log"):
        found = native.predict(encoded)
        return np.log(found) if margin and shape == "log" and _adds_logarithms(native) else found
    probabilities = native.predict_proba(encoded)
    return probabilities[:, 1] if shape == "binary" else probabilities


def _adds_logarithms(native: Any) -> bool:
    """Return True for boosted trees, which add up a logarithm; forests average the numbers themselves."""
    return hasattr(native, "n_trees_per_iteration_")


READERS = {
    "xgboost": _read_xgboost,
    "lightgbm": _read_lightgbm,
    "catboost": _read_catboost,
    "sklearn": _read_sklearn,
    "ensemble": _read_ensemble,
}
OUTPUTS = {
    "xgboost": _xgboost_output,
    "lightgbm": _lightgbm_output,
    "catboost": _catboost_output,
    "sklearn": _sklearn_output,
}
