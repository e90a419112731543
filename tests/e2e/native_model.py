"""A saved XGBoost model and rows go in; what XGBoost itself says of them comes out, without e2i's scoring."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xgboost


def read_manifest(folder: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text("utf-8"))
    return manifest


def predict(folder: Path, frame: pd.DataFrame, *, margin: bool = False) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The probability of the second class for each row, or its log-odds."""
    manifest = read_manifest(folder)
    booster = xgboost.Booster(model_file=folder / manifest["file"])
    rows = xgboost.DMatrix(encode(manifest, frame), missing=np.nan)
    return np.asarray(booster.predict(rows, output_margin=margin), dtype=np.float64)


def encode(manifest: dict[str, Any], frame: pd.DataFrame) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Numbers as they are, categories by their place in the manifest, NaN where missing or unknown; shape (n, p)."""
    return np.column_stack([_numbers(frame[feature["name"]], feature) for feature in manifest["features"]])


def _numbers(column: pd.Series[Any], feature: dict[str, Any]) -> np.ndarray[Any, np.dtype[np.float32]]:
    if feature["kind"] == "number":
        return column.to_numpy(dtype=np.float32, na_value=np.nan)
    codes = {value: float(code) for code, value in enumerate(feature["categories"])}
    return column.map(codes).to_numpy(dtype=np.float32, na_value=np.nan)
