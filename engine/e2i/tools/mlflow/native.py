"""Describe a saved model of e2i by the flavour of its library too. In: a manifest. Out: a flavour of MLflow's.

``mlflow.<flavour>.load_model`` then returns the library's own object, from the model's own file: the booster, or the
estimator of scikit-learn. It takes rows as the model encodes them. The Python function beside it takes tables, and
does both; ``encode`` of the module ``e2i_scoring``, which travels with the model, does the first alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow.models import Model as Description

DATA = "data/model"
"""Folder of the model's own files in a model of MLflow's, where MLflow puts the data of a Python function."""
CODE = "code"


def add(about: Description, manifest: Mapping[str, Any]) -> str:
    """Add the library's flavour to a description; return its name. Effect models and ensembles have only pyfunc."""
    flavour = str(manifest.get("library"))
    if flavour not in _CONFIGURATIONS:
        return "pyfunc"
    about.add_flavor(flavour, code=CODE, **_CONFIGURATIONS[flavour](f"{DATA}/{manifest['file']}"))
    return flavour


def facts(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return what somebody who uses the native flavour must know: how rows are encoded, and outputs are scaled.
    Of an effect model: whose effect on what it is, between which values, and the level of its intervals.

    A prediction is the native output, in float64, times ``target_scale`` plus ``target_center``. They are 1 and 0
    except for regressions on targets that the library cannot learn as they are. A ``target_transform`` is inverted
    after that; with the ``link`` log, CatBoost's raw output is a logarithm. ``prepared`` are the columns that the
    model's recipe makes of its features, in the order in which they are encoded; null: the features themselves.
    ``calibration``, ``threshold`` and ``level`` are those of the Python function: the native output has none of them.
    ``members`` are the names of the models that an ensemble combines.
    """
    if "estimator" in manifest:
        names = ("estimator", "treatment", "outcome", "control", "treated")
        return {**{name: manifest[name] for name in names}, "level": manifest["question"].get("level")}
    return {
        "prepared": [column["name"] for column in manifest["prepare"]["features"]] if "prepare" in manifest else None,
        "algorithm": manifest["algorithm"],
        "task": manifest["task"],
        "target": manifest["target"],
        "classes": manifest["classes"],
        "encoding": manifest["encoding"],
        "target_center": manifest["target_center"],
        "target_scale": manifest["target_scale"],
        **({"calibration": manifest["calibration"]["method"]} if "calibration" in manifest else {}),
        **({"threshold": manifest["threshold"]} if "threshold" in manifest else {}),
        **({"level": manifest["conformal"]["level"]} if "conformal" in manifest else {}),
        **({"members": manifest["members"]} if "members" in manifest else {}),
        "link": manifest.get("link"),
        "target_transform": manifest.get("target_transform"),
    }


def _xgboost(file: str) -> dict[str, Any]:
    return {
        "xgb_version": version("xgboost"),
        "data": file,
        "model_class": "xgboost.core.Booster",
        "model_format": file.rpartition(".")[2],
    }


def _lightgbm(file: str) -> dict[str, Any]:
    return {"lgb_version": version("lightgbm"), "data": file, "model_class": "lightgbm.basic.Booster"}


def _catboost(file: str) -> dict[str, Any]:
    about = {"catboost_version": version("catboost"), "data": file}
    return {**about, "model_type": "CatBoost", "save_format": file.rpartition(".")[2]}


def _sklearn(file: str) -> dict[str, Any]:
    from e2i.estimators.natives import TRUSTED

    return {
        "sklearn_version": version("scikit-learn"),
        "pickled_model": file,  # MLflow's word for the file, also when it holds no pickle
        "serialization_format": "skops",
        "skops_trusted_types": list(TRUSTED),
    }


_CONFIGURATIONS: Mapping[str, Callable[[str], dict[str, Any]]] = {
    "xgboost": _xgboost,
    "lightgbm": _lightgbm,
    "catboost": _catboost,
    "sklearn": _sklearn,
}
"""Library → the configuration of its flavour, by which ``mlflow.<library>.load_model`` finds and reads the file."""
