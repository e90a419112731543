"""Load what a Bento serves, and predict with it. In: the Bento's model folder and rows. Out: predictions.

The folder holds ``serving.json``: the stages (a preprocessing step, then the model), and the digest of each file. A
stage is a model of e2i, or one that MLflow saved with a flavour: a native file of XGBoost, LightGBM or CatBoost, a
skops file, and, where a flavour has no other form, a pickle or a Python function of MLflow's. This module is copied
unchanged into each Bento, beside ``scoring.py`` and ``effect_scoring.py``, and imports nothing of e2i.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

GENERATED = re.compile(r"(Column_|f)?\d+")
"""Names that libraries invent for the columns of arrays."""
NUMBERS = {"integer": "int32", "long": "int64", "float": "float32", "double": "float64", "boolean": "bool"}
"""MLflow's types of columns, and pandas' for them."""


class ServingError(ValueError):
    """Rows do not match the model, or the model's files are not those that were packaged."""


def load(folder: str | Path, module: Callable[[str], Any]) -> Served:
    """Return the model in the folder. Raises ServingError.

    ``module`` returns ``scoring.py`` and ``effect_scoring.py`` by their names.
    """
    root = Path(folder)
    serving = json.loads((root / "serving.json").read_text("utf-8"))
    for name, digest in serving["files"].items():  # before anything is loaded: some forms are code
        if hashlib.sha256((root / name).read_bytes()).hexdigest() != digest:
            raise ServingError(f"{name} is corrupt: its digest differs from the one that was packaged")
    stages = [_READERS[stage["flavour"]](root / stage["folder"], stage, module) for stage in serving["stages"]]
    return Served(stages, serving["features"])


class Served:
    """A model with the stages before it. ``features`` are the names and types of its input, as far as known."""

    def __init__(self, stages: Sequence[Any], features: Sequence[Mapping[str, Any]] | None) -> None:
        *self.steps, self.model = stages
        first = stages[0]
        self.own = _own_names(first)
        known: list[dict[str, Any]] = [dict(feature) for feature in features or ()]
        self.features: list[dict[str, Any]] = [{"name": name, "type": None} for name in self.own] or known
        types = {feature["name"]: feature.get("type") for feature in known}
        for feature in self.features:
            feature["type"] = types.get(feature["name"])
        self.framed = bool(self.own) or getattr(first, "takes_frames", False)

    @property
    def names(self) -> list[str]:
        return [feature["name"] for feature in self.features]

    @property
    def classes(self) -> list[Any] | None:
        """Return the classes in the order of the probabilities; None for a regression, or when they are not known."""
        found = getattr(self.model, "classes_", None)
        if isinstance(self.model, _Scored):
            return self.model.classes_
        return None if found is None or not hasattr(self.model, "predict_proba") else _plain(found)

    def described(self) -> dict[str, Any]:
        """Return the algorithm, the features, and what else is known of the model's training."""
        if isinstance(self.model, _Scored):
            known = self.model.scorer.manifest
            features = [{key: feature[key] for key in ("name", "kind", "type")} for feature in known["features"]]
            about = {key: known[key] for key in ("algorithm", "task", "target")}
            about |= {"threshold": known["threshold"]} if "threshold" in known else {}
            about |= {"calibration": known["calibration"]["method"]} if "calibration" in known else {}
            about |= {"level": known["conformal"]["level"]} if "conformal" in known else {}
            return {**about, "features": features}
        if isinstance(self.model, _Effects):
            return self.model.described()
        return {"algorithm": type(self.model).__name__, "features": self.features}

    def predict(self, rows: Sequence[Any]) -> tuple[list[Any], list[Any] | None]:
        """Return the ``predictions`` and ``probabilities`` of ``answer``. Raises ServingError."""
        found = self.answer(rows)
        return found["predictions"], found["probabilities"]

    def answer(self, rows: Sequence[Any]) -> dict[str, Any]:
        """Return ``predictions``, one for each row, and its ``probabilities`` by class if the model has them.

        Predictions are the model's own: classes for a classifier, numbers for a regression. A model of e2i with
        conformal quantiles has ``intervals`` too: lower and upper bound, or the classes of the row's set. Raises
        ServingError.
        """
        try:
            data = self.table(rows)
            for step in self.steps:
                data = step.transform(data)
            if isinstance(self.model, _Scored):
                return self.model.answer(data)
            if isinstance(self.model, _Effects):
                return {"predictions": self.model.predict(data), "probabilities": None}
            predictions = self.model.predict(data)
            probabilities = self.model.predict_proba(data) if hasattr(self.model, "predict_proba") else None
        except ServingError:
            raise
        except Exception as error:  # each library has its own errors for rows that do not fit
            raise ServingError(f"the model refuses the rows: {str(error)[:500]}") from error
        shares = None if probabilities is None else _plain(probabilities)
        return {"predictions": _plain(predictions), "probabilities": shares}

    def table(self, rows: Sequence[Any]) -> Any:
        """Return the rows as the first stage takes them: a frame if it knows names of columns, else an array."""
        names = self.names or list(next((row for row in rows if isinstance(row, Mapping)), ()))
        rows = [_by_name(number, row, names) if isinstance(row, Mapping) else row for number, row in enumerate(rows)]
        width = len(names) or len(rows[0])
        for number, row in enumerate(rows):
            if len(row) != width:
                raise ServingError(
                    f"row {number} has {len(row)} values; the model has {width} features: {', '.join(names[:20])}"
                )
        frame = pd.DataFrame(rows, columns=names or None)
        for feature in self.features:
            frame[feature["name"]] = _cast(frame[feature["name"]], feature["type"])
        texts = any(frame[name].dtype == object for name in frame.columns)
        if self.framed or (texts and not _all_numbers(frame)):
            return frame
        return frame.to_numpy(dtype=np.float64, na_value=np.nan)


def _by_name(number: int, row: Mapping[str, Any], names: Sequence[str]) -> list[Any]:
    absent = [name for name in names if name not in row]
    if absent:
        raise ServingError(f"row {number} lacks {', '.join(absent[:10])}; use null for a missing value")
    return [row[name] for name in names]


def _cast(column: Any, declared: str | None) -> Any:
    """Return the column in the type that the model's signature declares, where that changes no value."""
    if declared == "datetime":
        return pd.to_datetime(column)
    wanted = NUMBERS.get(declared or "")
    if column.dtype == object and (wanted or "").startswith("float"):
        column = pd.to_numeric(column)
    if wanted is None or column.isna().any():
        return column
    cast = column.astype(wanted)
    if wanted not in ("float32", "float64") and not (cast == column).all():
        raise ServingError(f"feature {column.name!r} takes values of type {declared}")
    return cast


def _all_numbers(frame: Any) -> bool:
    """Return True when columns of objects hold numbers and missing values only."""
    try:
        frame.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError):
        return False
    return True


def _plain(values: Any) -> list[Any]:
    found = values.to_numpy() if hasattr(values, "to_numpy") else np.asarray(values)
    listed: list[Any] = found.tolist()
    return listed


def _inside(classes: Sequence[Any], row: Sequence[bool]) -> list[Any]:
    """Return the classes that are in a set."""
    return [label for label, one in zip(classes, row, strict=True) if one]


def _own_names(model: Any) -> list[str]:
    """Return the names of the columns that the model was fitted with; none for arrays."""
    found: Any = None
    for attribute in ("feature_names_in_", "feature_names_", "feature_names", "columns"):
        try:
            found = getattr(model, attribute, None)
        except Exception:  # noqa: BLE001 - XGBoost raises an error of its own where there are no names
            found = None
        if found is not None:
            break
    names = [str(name) for name in found] if found is not None and not callable(found) else []
    return [] if all(GENERATED.fullmatch(name) for name in names) else names


class _Scored:
    """A model of e2i, which takes frames of its features."""

    takes_frames = True

    def __init__(self, scorer: Any, refused: type[Exception]) -> None:
        self.scorer = scorer
        self.refused = refused
        self.columns: list[str] = scorer.features
        self.classes_: list[Any] | None = scorer.manifest["classes"]

    def answer(self, frame: Any) -> dict[str, Any]:
        """Return the entries of an answer, those of ``intervals`` for a model that has some."""
        try:
            output = self.scorer.predict(frame)
            bounds = self.scorer.bounds(frame, output) if "conformal" in self.scorer.manifest else {}
        except self.refused as error:
            raise ServingError(str(error)) from error
        found: dict[str, Any] = {"predictions": _plain(self.scorer.columns(output)["prediction"])}
        if self.classes_ is None:
            found["probabilities"] = None
        else:
            shares = np.column_stack([1 - output, output]) if output.ndim == 1 else output
            found["probabilities"] = shares.tolist()
        if bounds:
            rows = np.column_stack(list(bounds.values())).tolist()
            found["intervals"] = rows if self.classes_ is None else [_inside(self.classes_, row) for row in rows]
        return found

    def predict_proba(self, frame: Any) -> Any:
        return np.asarray(self.answer(frame)["probabilities"])


class _Effects:
    """An effect model of e2i, which takes frames of its features."""

    takes_frames = True

    def __init__(self, scorer: Any, refused: type[Exception], outputs: Sequence[str]) -> None:
        self.scorer = scorer
        self.refused = refused
        self.outputs = list(outputs)
        self.columns: list[str] = scorer.features

    def predict(self, frame: Any) -> list[Any]:
        try:
            found = self.scorer.predict(frame)[self.outputs].to_numpy().tolist()
        except self.refused as error:
            raise ServingError(str(error)) from error
        return [[None if value != value else value for value in row] for row in found]  # JSON has no NaN

    def described(self) -> dict[str, Any]:
        known = self.scorer.manifest
        features = [{key: feature[key] for key in ("name", "kind", "type")} for feature in known["features"]]
        about = {key: known[key] for key in ("treatment", "control", "treated")}
        return {
            "algorithm": known["estimator"],
            "task": "effect",
            "target": known["outcome"],
            **about,
            "level": self.scorer.level,
            "outputs": self.outputs,
            "features": features,
        }


class _Boosted:
    """A booster of XGBoost without the interface of an estimator."""

    takes_frames = False

    def __init__(self, booster: Any) -> None:
        self.booster = booster
        self.feature_names_in_ = booster.feature_names

    def predict(self, data: Any) -> Any:
        import xgboost

        return self.booster.predict(xgboost.DMatrix(data))


class _PyFunc:
    """A Python function of MLflow's."""

    takes_frames = True

    def __init__(self, model: Any) -> None:
        self.predict = model.predict
        self.transform = model.predict


def _read_e2i(folder: Path, stage: Mapping[str, Any], module: Callable[[str], Any]) -> Any:
    scoring = module("scoring")
    return _Scored(scoring.load(folder), scoring.ScoringError)


def _read_effects(folder: Path, stage: Mapping[str, Any], module: Callable[[str], Any]) -> Any:
    scoring, effects = module("scoring"), module("effect_scoring")
    return _Effects(effects.load(folder, scoring), scoring.ScoringError, effects.OUTPUTS)


def _read_xgboost(folder: Path, stage: Mapping[str, Any], module: Callable[[str], Any]) -> Any:
    model = _class(stage["class"], "xgboost")()
    model.load_model(str(folder / stage["file"]))
    return _Boosted(model) if type(model).__name__ == "Booster" else model


def _read_lightgbm(folder: Path, stage: Mapping[str, Any], module: Callable[[str], Any]) -> Any:
    import lightgbm

    return lightgbm.Booster(model_file=str(folder / stage["file"]))


def _read_catboost(folder: Path, stage: Mapping[str, Any], module: Callable[[str], Any]) -> Any:
    model = _class(f"catboost.{stage['class']}", "catboost")()
    return model.load_model(str(folder / stage["file"]), stage["format"])


def _read_skops(folder: Path, stage: Mapping[str, Any], module: Callable[[str], Any]) -> Any:
    import skops.io

    _reach(folder, stage)
    return skops.io.load(folder / stage["file"], trusted=list(stage["trusted"]))


def _read_pickle(folder: Path, stage: Mapping[str, Any], module: Callable[[str], Any]) -> Any:
    import cloudpickle

    _reach(folder, stage)
    with (folder / stage["file"]).open("rb") as file:
        return cloudpickle.load(file)


def _read_pyfunc(folder: Path, stage: Mapping[str, Any], module: Callable[[str], Any]) -> Any:
    import mlflow.pyfunc

    return _PyFunc(mlflow.pyfunc.load_model(str(folder)))


def _class(name: str, library: str) -> Any:
    """Return the library's own class of that name: a description could name any."""
    module, _, attribute = name.rpartition(".")
    if module.partition(".")[0] != library:
        raise ServingError(f"{name} is not a class of {library}")
    return getattr(importlib.import_module(module), attribute)


def _reach(folder: Path, stage: Mapping[str, Any]) -> None:
    """Make the code that travels in the model importable."""
    if stage.get("code"):
        sys.path.insert(0, str(folder / stage["code"]))


_READERS: Mapping[str, Callable[[Path, Mapping[str, Any], Callable[[str], Any]], Any]] = {
    "e2i": _read_e2i,
    "effects": _read_effects,
    "xgboost": _read_xgboost,
    "lightgbm": _read_lightgbm,
    "catboost": _read_catboost,
    "skops": _read_skops,
    "pickle": _read_pickle,
    "pyfunc": _read_pyfunc,
}
