"""Predict with a saved model. In: the model's folder and a table. Out: predictions.

This module is self-contained: it is copied unchanged into every Bento and MLflow model, with ``preparing`` beside it.
It imports nothing else of e2i, and a model's library only when a model is loaded.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, Literal, NotRequired, TypedDict

import numpy as np
import pandas as pd

Matrix = np.ndarray[Any, np.dtype[Any]]

MANY = 10
"""Rows from which a category of which no value was seen in training is refused: the data differ, not a row."""
VERSIONS = (1, 2)
"""Versions of ``manifest.json`` that are read."""
TRUSTED = ("sklearn.tree._tree.Tree", "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor")
"""Types in a scikit-learn model that are allowed besides those that skops trusts itself."""
PACKAGES = frozenset(
    ("ensemble", "tree", "linear_model", "neighbors", "dummy", "preprocessing", "metrics", "utils", "_loss", "base")
)
"""Packages of scikit-learn with what its estimators are made of. Others, such as of texts, can read files."""


class Feature(TypedDict):
    """A feature of a model. Which entries a number has depends on the encoding."""

    name: str
    kind: Literal["number", "category", "time", "text"]
    """Times and texts are features only of a model with preparation, which makes numbers of them."""
    type: str
    """The type of the column in Arrow."""
    categories: NotRequired[list[str]]
    fill: NotRequired[float]
    """The training median, which replaces missing numbers."""
    center: NotRequired[float]
    """What is subtracted before numbers become float32, which cannot tell them apart otherwise."""
    mean: NotRequired[float]
    scale: NotRequired[float]


class Preparation(TypedDict):
    """What happens to the model's features before they are encoded."""

    steps: list[Any]
    """The fitted steps, as ``preparing`` applies them."""
    features: list[Feature]
    """The columns that the steps make, which are encoded."""


class Manifest(TypedDict):
    """The description of a saved model, as ``manifest.json`` holds it. Version 2 has ``prepare``."""

    schema_version: int
    algorithm: str
    library: str
    task: str
    target: str
    classes: list[Any] | None
    encoding: str
    features: list[Feature]
    """Columns of the table."""
    prepare: NotRequired[Preparation]
    file: str
    """Name of the library's own file."""
    requirements: list[str]
    example: list[dict[str, Any]]
    """The first rows of the training table."""
    seed: int
    params: dict[str, Any]
    """Parameters of the algorithm."""
    target_center: float
    target_scale: float
    """The library was trained on the target minus the center, divided by the scale."""
    baseline: list[float]
    """The mean of the training target, or the shares of its classes."""
    sha256: NotRequired[str]
    """Digest of the library's own file, once it is written."""


class ScoringError(ValueError):
    """A table does not match the model, or a folder has no readable model."""


def load(folder: str | Path) -> Scorer:
    """Return the model in a folder with ``manifest.json`` and the library's own file. Raises ScoringError."""
    saved = Path(folder)
    try:
        manifest = json.loads((saved / "manifest.json").read_text(encoding="utf-8"))
        if manifest["schema_version"] not in VERSIONS:
            raise ScoringError(f"manifest.json has schema version {manifest['schema_version']}; this module reads 1, 2")
        file = saved / Path(manifest["file"]).name
        reader = _READERS[manifest["library"]]
        intact = hashlib.sha256(file.read_bytes()).hexdigest() == manifest["sha256"]
    except (OSError, json.JSONDecodeError, KeyError, TypeError) as error:
        raise ScoringError(f"{saved.name} is not a saved model: {type(error).__name__}: {error}") from error
    if not intact:  # some libraries end the whole process when they read a corrupt file
        raise ScoringError(f"{file.name} is corrupt: its digest differs from the manifest")
    return Scorer(manifest, reader(file))


class Scorer:
    """A loaded model. ``manifest`` describes its training, ``native`` is the library's own object."""

    def __init__(self, manifest: Manifest, native: Any) -> None:
        self.manifest = manifest
        self.native = native

    @property
    def features(self) -> list[str]:
        """Return the columns of the table that the model needs."""
        return [feature["name"] for feature in self.manifest["features"]]

    @property
    def encoded(self) -> list[Feature]:
        """Return the columns that the library was given: the prepared ones, or those of the table."""
        return self.manifest["prepare"]["features"] if "prepare" in self.manifest else self.manifest["features"]

    def encode(self, frame: pd.DataFrame) -> Any:
        """Return the library's input as ``encode`` describes it, after the preparation that the model was fitted with.

        Raises ScoringError.
        """
        return encode(self.prepared(frame), self.encoded, self.manifest["encoding"])

    def prepared(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the columns that are encoded: those of the table if the model has no preparation."""
        if "prepare" not in self.manifest:
            return frame
        return prepare(frame, self.manifest["features"], self.manifest["prepare"]["steps"])

    def predict(self, frame: pd.DataFrame) -> Matrix:
        """Binary: probability of ``classes[1]``, shape (n,). Multi-class: probabilities (n, k). Regression: (n,)."""
        return self.output(self.encode(frame))

    def margin(self, frame: pd.DataFrame) -> Matrix:
        """Return the sum of SHAP values: the raw margin where the library has one, else the prediction."""
        return self.output(self.encode(frame), margin=True)

    def output(self, encoded: Any, *, margin: bool = False) -> Matrix:
        """Return ``predict`` or ``margin`` of encoded rows, in float64."""
        shape = "regression" if self.manifest["classes"] is None else "binary" if self.binary else "multiclass"
        found = np.asarray(_OUTPUTS[self.manifest["library"]](self.native, encoded, shape, margin), dtype=np.float64)
        if self.scale == 1.0 and not self.center:
            return found
        return found * self.scale + self.center

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
    module = _preparing()
    try:
        return pd.DataFrame(module.apply(columns_of(frame, features), steps), index=frame.index, copy=False)
    except module.PreparationError as error:
        raise ScoringError(str(error)) from error


def columns_of(frame: pd.DataFrame, features: Sequence[Feature]) -> dict[str, Matrix]:
    """Return the features as preparation takes them: float64, times in UTC, or texts. Raises ScoringError."""
    _require(frame, features)
    found = {}
    for feature in features:
        column = frame[feature["name"]]
        match feature["kind"]:
            case "number":
                found[feature["name"]] = _numbers(column, feature).astype(np.float64)
            case "time":
                found[feature["name"]] = _times(column)
            case _:
                _require_texts(column)
                found[feature["name"]] = column.astype(object).where(column.notna(), None).to_numpy()
    return found


@cache
def _preparing() -> Any:
    """Return the module ``preparing`` beside this one: in e2i, and beside every copy of this module."""
    if __package__:
        return import_module(f"{__package__}.preparing")
    file = Path(__file__)
    spec = spec_from_file_location("e2i_preparing", file.with_name(file.name.replace("scoring", "preparing")))
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def encode(frame: pd.DataFrame, features: Sequence[Feature], encoding: str) -> Any:
    """Return the features of ``frame``, in order, in a library's form. Raises ScoringError.

    ``doubles``: numbers, and positions in the list of categories, float64, NaN where missing or unknown. ``codes``: the
    same in float32, for libraries that compare float32; numbers that float32 cannot tell apart are centred first.
    ``frame``: as codes, as a frame with categories as int32, -1 where missing or unknown. ``filled``: as codes, numbers
    filled with the training median, categories with -1. ``one-hot``: float64, numbers filled and standardised, one
    column per category.
    """
    _require(frame, features)
    if encoding == "one-hot":
        return _one_hot(frame, features)
    wide = encoding == "doubles"
    matrix = np.empty((len(frame), len(features)), dtype=np.float64 if wide else np.float32)
    for position, feature in enumerate(features):
        column = _column(frame[feature["name"]], feature)
        matrix[:, position] = column if wide or "center" not in feature else column - feature["center"]
    if encoding == "filled":
        fills = np.array([feature.get("fill", -1.0) for feature in features], dtype=np.float32)
        return np.where(np.isnan(matrix), fills, matrix)
    return _as_frame(matrix, features) if encoding == "frame" else matrix


def unseen(frame: pd.DataFrame, features: Sequence[Feature]) -> dict[str, float]:
    """Return each category feature's share of values that training did not see, among those that are not missing.

    Features without such values are left out.
    """
    shares = {}
    for feature in features:
        if feature["kind"] == "category":
            column = frame[feature["name"]].dropna()
            strange = int((_codes(column, feature) < 0).sum())
            if strange:
                shares[str(feature["name"])] = strange / len(column)
    return shares


def _require(frame: pd.DataFrame, features: Sequence[Feature]) -> None:
    absent = [feature["name"] for feature in features if feature["name"] not in frame.columns]
    if absent:
        raise ScoringError(f"the table lacks feature(s) the model was trained on: {', '.join(map(repr, absent))}")


def _codes(column: pd.Series[Any], feature: Feature) -> Matrix:
    """Return the position of each value in the list of categories, -1 where it is missing or unknown."""
    values = pd.Index(column.astype(object), dtype=object)
    codes: Matrix = pd.Index(feature["categories"], dtype=object).get_indexer(values)
    return codes


def _column(column: pd.Series[Any], feature: Feature) -> Matrix:
    """Return one feature as floats, NaN where missing or unknown. Raises ScoringError for values of another type."""
    match feature["kind"]:
        case "number":
            return _numbers(column, feature)
        case "category":
            return _places(column, feature)
        case "time":
            times = _times(column)
            return np.where(np.isnat(times), np.nan, times.astype(np.int64)).astype(np.float64)
        case "text":
            _require_texts(column)
            hashed = pd.util.hash_array(column.astype(object).where(column.notna(), "").to_numpy(), categorize=False)
            return np.where(column.isna(), np.nan, hashed).astype(np.float64)


def _places(column: pd.Series[Any], feature: Feature) -> Matrix:
    """Return a category as its position in the list, NaN where missing or unknown."""
    _require_texts(column)
    codes = _codes(column, feature)
    present = int(column.notna().sum())
    if present >= MANY and (codes < 0).all():
        raise ScoringError(
            f"feature {feature['name']!r} has only values that do not occur in the training table: "
            f"{', '.join(sorted({str(value)[:40] for value in column.dropna().unique()[:3]}))}; training had "
            f"{', '.join(str(value)[:40] for value in feature['categories'][:3])}"
        )
    return np.where(codes < 0, np.nan, codes).astype(np.float64)


def _require_texts(column: pd.Series[Any]) -> None:
    strange = next((value for value in column.dropna().unique() if not isinstance(value, str)), None)
    if strange is not None:
        raise ScoringError(
            f"feature {column.name!r} was trained on texts, and the table has {strange}, a {type(strange).__name__}; "
            f"read the column as text, in data.load with types: {{{column.name}: string}}"
        )


def _times(column: pd.Series[Any]) -> Matrix:
    """Return times in UTC; texts are read as ISO 8601. Raises ScoringError."""
    try:
        if pd.api.types.is_numeric_dtype(column.dtype) and column.notna().any():
            raise TypeError("the table has numbers")
        times = pd.to_datetime(column, utc=True, format="ISO8601" if column.dtype == object else None)
        found: Matrix = times.dt.tz_localize(None).to_numpy().astype("datetime64[ns]")
    except (TypeError, ValueError) as error:
        raise ScoringError(f"feature {column.name!r} must be a time: {error}") from error
    return found


def _numbers(column: pd.Series[Any], feature: Feature) -> Matrix:
    """Return numbers as they are, or in float64, NaN where missing. Raises ScoringError for other values."""
    name = feature["name"]
    if (
        feature["type"] == "bool"
        and pd.api.types.is_numeric_dtype(column.dtype)
        and not column.dropna().isin([0, 1]).all()
    ):
        raise ScoringError(f"feature {name!r} was trained on true and false, and the table has other numbers")
    try:
        if isinstance(column.dtype, np.dtype) and column.dtype.kind in "biuf":
            numbers: Matrix = column.to_numpy()
        elif pd.api.types.infer_dtype(column, skipna=True) in ("string", "mixed"):
            raise TypeError("the table has texts")
        else:
            numbers = column.astype(object).where(column.notna(), np.nan).astype(np.float64).to_numpy()
    except (TypeError, ValueError) as error:
        raise ScoringError(f"feature {name!r} must be numeric: {error}") from error
    if numbers.dtype.kind == "f" and np.isinf(numbers).any():
        raise ScoringError(f"feature {name!r} contains infinite values; replace them by missing or finite values")
    return numbers


def _as_frame(matrix: Matrix, features: Sequence[Feature]) -> pd.DataFrame:
    columns = {}
    for position, feature in enumerate(features):
        values = matrix[:, position]
        columns[feature["name"]] = (
            np.nan_to_num(values, nan=-1.0).astype(np.int32) if feature["kind"] == "category" else values
        )
    return pd.DataFrame(columns)


def _one_hot(frame: pd.DataFrame, features: Sequence[Feature]) -> Matrix:
    blocks = []
    for feature in features:
        values = _column(frame[feature["name"]], feature).astype(np.float64)
        if feature["kind"] == "category":
            blocks.append((values[:, None] == np.arange(len(feature["categories"]))).astype(np.float64))
        else:
            filled = np.where(np.isnan(values), feature["fill"], values)
            blocks.append(((filled - feature["mean"]) / feature["scale"])[:, None])
    return np.hstack(blocks)


def _read_xgboost(file: Path) -> Any:
    import xgboost

    try:
        return xgboost.Booster(model_file=str(file))
    except xgboost.core.XGBoostError as error:
        raise ScoringError(f"{file.name} is not a model that XGBoost can read: {str(error)[:200]}") from error


def _read_lightgbm(file: Path) -> Any:
    import lightgbm

    try:
        return lightgbm.Booster(model_file=str(file))
    except lightgbm.basic.LightGBMError as error:
        raise ScoringError(f"{file.name} is not a model that LightGBM can read: {str(error)[:200]}") from error


def _read_catboost(file: Path) -> Any:
    import catboost

    try:
        return catboost.CatBoost().load_model(str(file))
    except catboost.CatBoostError as error:
        raise ScoringError(f"{file.name} is not a model that CatBoost can read: {str(error)[:200]}") from error


def _read_sklearn(file: Path) -> Any:
    from zipfile import BadZipFile

    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    try:
        if strange := _strange_types(file):
            raise ScoringError(f"{file.name} has parts that no model of e2i has: {strange}")
        return skops.io.load(file, trusted=list(TRUSTED))
    except (BadZipFile, KeyError, ValueError, TypeError, UntrustedTypesFoundException) as error:
        raise ScoringError(f"{file.name} is not a model that skops can read: {str(error)[:200]}") from error


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
    probabilities = native.predict(encoded, prediction_type="Probability")
    return probabilities[:, 1] if shape == "binary" else probabilities


def _sklearn_output(native: Any, encoded: Any, shape: str, margin: bool) -> Any:
    if margin and hasattr(native, "decision_function"):
        return native.decision_function(encoded)
    if shape == "regression":
        return native.predict(encoded)
    probabilities = native.predict_proba(encoded)
    return probabilities[:, 1] if shape == "binary" else probabilities


_READERS = {
    "xgboost": _read_xgboost,
    "lightgbm": _read_lightgbm,
    "catboost": _read_catboost,
    "sklearn": _read_sklearn,
}
_OUTPUTS = {
    "xgboost": _xgboost_output,
    "lightgbm": _lightgbm_output,
    "catboost": _catboost_output,
    "sklearn": _sklearn_output,
}


class _PyFunc:
    """MLflow model: ``predict`` of a frame, or of anything that converts to a frame."""

    def __init__(self, scorer: Scorer) -> None:
        self.scorer = scorer

    def predict(self, frame: Any, params: dict[str, Any] | None = None) -> Matrix:
        return self.scorer.predict(frame if isinstance(frame, pd.DataFrame) else pd.DataFrame(frame))

    def get_raw_model(self) -> Any:
        """Return the library's own object, as the flavour of its library loads it (called by MLflow)."""
        return self.scorer.native


def _load_pyfunc(path: str) -> _PyFunc:
    """Load the model for MLflow (entry point of ``loader_module``)."""
    return _PyFunc(load(path))
