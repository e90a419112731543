"""Predict with a saved model. In: the model's folder and a table. Out: predictions.

This module is copied unchanged into every Bento and MLflow model, beside the modules that it is made of
(``travelling``). It imports nothing else of e2i, and a model's library only when a model is loaded.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from e2i.estimators.encoding import Feature
    from e2i.estimators.manifest import Manifest


@cache
def _beside(name: str) -> Any:
    """Return the module of that name beside this one: in e2i, and beside every copy of this module."""
    if __package__:
        return import_module(f"{__package__}.{name}")
    file = Path(__file__)
    spec = spec_from_file_location(f"e2i_{name}", file.with_name(file.name.replace("scoring", name)))
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if TYPE_CHECKING:
    from e2i.estimators import deciding, encoding, natives, targets
else:
    deciding, encoding, natives = _beside("deciding"), _beside("encoding"), _beside("natives")
    targets = _beside("targets")

Matrix = np.ndarray[Any, np.dtype[Any]]
ScoringError = encoding.ScoringError
encode = encoding.encode

VERSIONS = (1, 2, 3, 4, 5)
"""Versions of ``manifest.json`` that are read."""
ENDS = ("lower", "upper")
"""Folders in that of a model with the two models whose predictions its intervals lie between, of the method cqr."""
MEMBERS = "members"
"""Folder in that of an ensemble with the folders of the models that it combines, named by their numbers from 0."""


def load(folder: str | Path) -> Scorer:
    """Return the model in a folder with ``manifest.json`` and the library's own file. Raises ScoringError."""
    saved = Path(folder)
    try:
        manifest = json.loads((saved / "manifest.json").read_text(encoding="utf-8"))
        if manifest["schema_version"] not in VERSIONS:
            raise ScoringError(
                f"manifest.json has schema version {manifest['schema_version']}; this module reads 1 to 5"
            )
        file = saved / Path(manifest["file"]).name
        reader = natives.READERS[manifest["library"]]
        intact = hashlib.sha256(file.read_bytes()).hexdigest() == manifest["sha256"]
    except (OSError, json.JSONDecodeError, KeyError, TypeError) as error:
        raise ScoringError(f"{saved.name} is not a saved model: {type(error).__name__}: {error}") from error
    if not intact:  # some libraries end the whole process when they read a corrupt file
        raise ScoringError(f"{file.name} is corrupt: its digest differs from the manifest")
    try:
        ends = ENDS if manifest.get("conformal", {}).get("method") == "cqr" else ()
        members = tuple(load(saved / MEMBERS / str(place)) for place in range(len(manifest.get("members", ()))))
        return Scorer(manifest, reader(file), tuple(load(saved / end) for end in ends), members)
    except natives.UnreadableError as error:
        raise ScoringError(str(error)) from error


def read(library: str, file: Path) -> Any:
    """Return the model in a library's own file. Raises ScoringError."""
    try:
        return natives.READERS[library](file)
    except natives.UnreadableError as error:
        raise ScoringError(str(error)) from error
    except (OSError, KeyError) as error:
        raise ScoringError(f"{file.name} is not a saved model: {type(error).__name__}: {error}") from error


def predictions(library: str, native: Any, encoded: Any, shape: str) -> Matrix:
    """Return predictions of encoded rows; ``shape`` is regression, or binary for the probability of the last class."""
    return np.asarray(natives.OUTPUTS[library](native, encoded, shape, False), dtype=np.float64)


class Scorer:
    """A loaded model. ``manifest`` describes its training, ``native`` is the library's own object; its intervals lie
    between the predictions of ``ends``, if there are any. An ensemble combines the predictions of ``members``.
    """

    def __init__(
        self, manifest: Manifest, native: Any, ends: tuple[Scorer, ...] = (), members: tuple[Scorer, ...] = ()
    ) -> None:
        self.manifest = manifest
        self.native = native
        self.ends = ends
        self.members = members

    @property
    def features(self) -> list[str]:
        """Return the columns of the table that the model needs."""
        return [feature["name"] for feature in self.manifest["features"]]

    @property
    def encoded(self) -> list[Feature]:
        """Return the columns that the library was given: the prepared ones, or those of the table."""
        return self.manifest["prepare"]["features"] if "prepare" in self.manifest else self.manifest["features"]

    def encode(self, frame: pd.DataFrame, *, strict: bool = True) -> Any:
        """Return the library's input as of ``encode``, after the model's preparation. Raises ScoringError.

        Of an ensemble, it is the predictions of the members: (n, m), or (n, m, k) of more than two classes.
        """
        if self.members:
            return np.stack([member.predict(frame, strict=strict) for member in self.members], axis=1)
        return encoding.encode(self.prepared(frame), self.encoded, self.manifest["encoding"], strict=strict)

    def prepared(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the columns that are encoded: those of the table if the model has no preparation."""
        if "prepare" not in self.manifest:
            return frame
        return prepare(frame, self.manifest["features"], self.manifest["prepare"]["steps"])

    def predict(self, frame: pd.DataFrame, *, strict: bool = True) -> Matrix:
        """Binary: probability of ``classes[1]``, shape (n,). Multi-class: probabilities (n, k). Regression: (n,).

        ``strict``: as of ``encode``.
        """
        return self.output(self.encode(frame, strict=strict))

    def margin(self, frame: pd.DataFrame) -> Matrix:
        """Return the sum of SHAP values: the raw margin where the library has one, else the prediction."""
        return self.output(self.encode(frame), margin=True)

    def output(self, encoded: Any, *, margin: bool = False) -> Matrix:
        """Return ``predict`` or ``margin`` of encoded rows, in float64. A margin is that before calibration."""
        shape = self.manifest.get("link", "regression")
        if self.manifest["classes"] is not None:
            shape = "binary" if self.binary else "multiclass"
        if self.members:
            found = deciding.combined(encoded, self.native)
        else:
            outputs = natives.OUTPUTS[self.manifest["library"]]
            found = np.asarray(outputs(self.native, encoded, shape, margin), dtype=np.float64)
        if "calibration" in self.manifest and not margin:
            return deciding.calibrated(found, self.manifest["calibration"])
        if self.scale != 1.0 or self.center:
            found = found * self.scale + self.center
        if margin or "target_transform" not in self.manifest:
            return found
        return targets.original(found, self.manifest["target_transform"])

    def table(
        self, frame: pd.DataFrame, *, intervals: bool = False, threshold: float | None = None
    ) -> dict[str, Matrix]:
        """Return the columns of ``columns`` and, of ``intervals``, those of ``bounds``. Raises ScoringError."""
        predicted = self.predict(frame)
        return self.columns(predicted, threshold) | (self.bounds(frame, predicted) if intervals else {})

    def columns(self, predicted: Matrix, threshold: float | None = None) -> dict[str, Matrix]:
        """Return ``prediction`` and ``probability`` of the positive of two classes, or ``probability_CLASS`` of each.

        ``predicted`` are those of ``predict``; ``threshold`` replaces that of the model.
        """
        classes = self.manifest["classes"]
        if classes is None:
            return {"prediction": predicted}
        places = deciding.decided(predicted, self.threshold if threshold is None else threshold)
        prediction = pd.Series(classes).take(places).to_numpy()
        if self.binary:
            return {"prediction": prediction, "probability": predicted}
        named = {f"probability_{label}": predicted[:, index] for index, label in enumerate(classes)}
        return {"prediction": prediction, **named}

    def bounds(self, frame: pd.DataFrame, predicted: Matrix) -> dict[str, Matrix]:
        """Return ``lower`` and ``upper`` of a regression; for classes ``set_CLASS``, whether it is in the row's set.

        ``predicted`` are those of ``predict`` for ``frame``. Raises ScoringError for a model without quantiles.
        """
        if "conformal" not in self.manifest:
            raise ScoringError("the model has no intervals: it has no conformal quantiles")
        conformal, classes = self.manifest["conformal"], self.manifest["classes"]
        quantile = deciding.quantiles(self.groups(frame, conformal["by"]), conformal, len(frame))
        if self.ends:
            lower, upper = (end.predict(frame, strict=False) for end in self.ends)
            return dict(zip(ENDS, deciding.widened(lower, upper, quantile), strict=True))
        if classes is None:
            return dict(zip(ENDS, deciding.interval(predicted, quantile), strict=True))
        inside = deciding.prediction_set(predicted, quantile)
        return {f"set_{label}": inside[:, index] for index, label in enumerate(classes)}

    def groups(self, frame: pd.DataFrame, by: str | None) -> Matrix | None:
        """Return the values of a feature, (n,), by which rows are grouped: numbers or texts. None without one."""
        found = [feature for feature in self.manifest["features"] if feature["name"] == by]
        return encoding.columns_of(frame, found)[found[0]["name"]] if found else None

    @property
    def threshold(self) -> float:
        """Return the probability from which a row is of the positive class, of two."""
        return self.manifest.get("threshold", deciding.HALF)

    @property
    def center(self) -> float:
        """Return what is added to the library's outputs, after they are multiplied by ``scale``."""
        return self.manifest["target_center"]

    @property
    def scale(self) -> float:
        """Return what the library's outputs are multiplied by: the model was trained on a target divided by it."""
        return self.manifest["target_scale"]

    @property
    def binary(self) -> bool:
        classes = self.manifest["classes"]
        return classes is not None and len(classes) == 2


def prepare(frame: pd.DataFrame, features: Sequence[Feature], steps: Sequence[Any]) -> pd.DataFrame:
    """Return the columns that fitted steps make of a table's features. Raises ScoringError."""
    module = _beside("preparing")
    try:
        return pd.DataFrame(module.apply(encoding.columns_of(frame, features), steps), index=frame.index, copy=False)
    except module.PreparationError as error:
        raise ScoringError(str(error)) from error


class _PyFunc:
    """MLflow model: ``predict`` of a frame, or of anything that converts to a frame.

    With the parameter ``table``, it returns a frame of predictions, probabilities and bounds, as ``model.predict``.
    """

    def __init__(self, scorer: Scorer) -> None:
        self.scorer = scorer

    def predict(self, frame: Any, params: dict[str, Any] | None = None) -> Matrix | pd.DataFrame:
        rows = frame if isinstance(frame, pd.DataFrame) else pd.DataFrame(frame)
        if not (params or {}).get("table"):
            return self.scorer.predict(rows)
        return pd.DataFrame(self.scorer.table(rows, intervals="conformal" in self.scorer.manifest))

    def get_raw_model(self) -> Any:
        """Return the library's own object, as the flavour of its library loads it (called by MLflow)."""
        return self.scorer.native


def _load_pyfunc(path: str) -> _PyFunc:
    """Load the model for MLflow (entry point of ``loader_module``)."""
    return _PyFunc(load(path))
