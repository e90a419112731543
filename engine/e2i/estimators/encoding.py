"""Encode the columns of a table as a model's library takes them. In: a table and the model's features. Out: arrays.

This module is self-contained, and is copied unchanged beside ``scoring`` into every Bento and MLflow model. It needs
NumPy and pandas only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NotRequired, TypedDict

import numpy as np
import pandas as pd

Matrix = np.ndarray[Any, np.dtype[Any]]

MANY = 10
"""Rows from which a category of which no value was seen in training is refused: the data differ, not a row."""


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


class ScoringError(ValueError):
    """A table does not match the model, or a folder has no readable model."""


def columns_of(frame: pd.DataFrame, features: Sequence[Feature]) -> dict[str, Matrix]:
    """Return the features as preparation takes them: float64, times in UTC, or texts. Raises ScoringError.

    Arrays of float64 are those of the frame itself: what prepares them makes new ones.
    """
    _require(frame, features)
    found = {}
    for feature in features:
        column = frame[feature["name"]]
        match feature["kind"]:
            case "number":
                found[feature["name"]] = _numbers(column, feature).astype(np.float64, copy=False)
            case "time":
                found[feature["name"]] = _times(column)
            case _:
                _require_texts(column)
                found[feature["name"]] = column.astype(object).where(column.notna(), None).to_numpy()
    return found


def encode(frame: pd.DataFrame, features: Sequence[Feature], encoding: str, *, strict: bool = True) -> Any:
    """Return the features of ``frame``, in order, in a library's form. Raises ScoringError.

    ``doubles``: numbers, and positions in the list of categories, float64, NaN where missing or unknown. ``codes``: the
    same in float32, for libraries that compare float32; numbers that float32 cannot tell apart are centred first.
    ``frame``: as codes, as a frame with categories as int32, -1 where missing or unknown. ``filled``: as codes, numbers
    filled with the training median, categories with -1. ``one-hot``: float64, numbers filled and standardised, one
    column per category. Not ``strict``: a category of which no value was seen in training is taken as missing in every
    row, for rows that are a part of a table.
    """
    _require(frame, features)
    if encoding == "one-hot":
        return _one_hot(frame, features, strict)
    wide = encoding == "doubles"
    matrix = np.empty((len(frame), len(features)), dtype=np.float64 if wide else np.float32)
    for position, feature in enumerate(features):
        column = _column(frame[feature["name"]], feature, strict)
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


def _column(column: pd.Series[Any], feature: Feature, strict: bool) -> Matrix:
    """Return one feature as floats, NaN where missing or unknown. Raises ScoringError for values of another type."""
    match feature["kind"]:
        case "number":
            return _numbers(column, feature)
        case "category":
            return _places(column, feature, strict)
        case "time":
            times = _times(column)
            return np.where(np.isnat(times), np.nan, times.astype(np.int64)).astype(np.float64)
        case "text":
            _require_texts(column)
            hashed = pd.util.hash_array(column.astype(object).where(column.notna(), "").to_numpy(), categorize=False)
            return np.where(column.isna(), np.nan, hashed).astype(np.float64)


def _places(column: pd.Series[Any], feature: Feature, strict: bool) -> Matrix:
    """Return a category as its position in the list, NaN where missing or unknown."""
    _require_texts(column)
    codes = _codes(column, feature)
    present = int(column.notna().sum())
    if strict and present >= MANY and (codes < 0).all():
        raise ScoringError(
            f"feature {feature['name']!r} has only values that do not occur in the training table: "
            f"{', '.join(sorted({str(value)[:40] for value in column.dropna().unique()[:3]}))}; training had "
            f"{', '.join(str(value)[:40] for value in feature['categories'][:3])}"
        )
    return np.where(codes < 0, np.nan, codes).astype(np.float64)


def _require_texts(column: pd.Series[Any]) -> None:
    distinct = pd.Series(column.unique()).dropna()
    strange = next((value for value in distinct if not isinstance(value, str)), None)
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


def _one_hot(frame: pd.DataFrame, features: Sequence[Feature], strict: bool) -> Matrix:
    blocks = []
    for feature in features:
        values = _column(frame[feature["name"]], feature, strict).astype(np.float64)
        if feature["kind"] == "category":
            blocks.append((values[:, None] == np.arange(len(feature["categories"]))).astype(np.float64))
        else:
            filled = np.where(np.isnan(values), feature["fill"], values)
            blocks.append(((filled - feature["mean"]) / feature["scale"])[:, None])
    return np.hstack(blocks)
