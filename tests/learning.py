"""A small table that models can learn from, and recipes for it. In: rows and a seed. Out: a frame with every kind of feature."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

TARGETS = ("binary", "three", "amount")
NUMERIC = ("a", "b", "count")


def table(rows: int = 600, seed: int = 0) -> pd.DataFrame:
    """Features a, b (missing values in a), count, flag, kind (text, missing values); targets binary, three, amount."""
    r = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "a": r.normal(size=rows),
            "b": r.normal(size=rows),
            "count": r.integers(0, 9, rows),
            "flag": r.random(rows) < 0.3,
            "kind": r.choice(["w", "x", "y", "z"], rows),
        }
    )
    signal = frame["b"] + 1.5 * (frame["kind"] == "x") + 0.5 * frame["flag"] + 0.5 * frame["a"]
    frame["binary"] = (signal + r.normal(size=rows) > 0.7).astype(int)
    frame["three"] = np.array(["high", "low", "middle"])[np.digitize(signal, [0.0, 1.2]).clip(0, 2)]
    frame["amount"] = signal + 0.1 * r.normal(size=rows)
    frame.loc[r.random(rows) < 0.1, "a"] = np.nan
    frame.loc[r.random(rows) < 0.1, "kind"] = None
    return frame


def others(target: str) -> list[str]:
    """The targets that must not be features of a model of ``target``."""
    return [name for name in TARGETS if name != target]


def timed(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows with a time, which is missing in one."""
    times = pd.Series(pd.date_range("2025-03-01", periods=len(frame), freq="7h"))
    return frame.assign(when=times.where(times.index != 3))


def graded(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows with a query, of ten rows each, and a grade of relevance from 0 to 2."""
    return frame.assign(
        query=np.arange(len(frame)) % (len(frame) // 10), grade=pd.qcut(frame["amount"], 3, labels=False)
    )


def noted(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows with a time and a text of some words."""
    notes = frame["kind"].map({"w": "a good call", "x": "not good", "y": "Call again"})
    return timed(frame).assign(note=notes)


NUMBER, TEXT = {"types": ["number"]}, {"types": ["text"]}
FILLED = {"op": "impute", **NUMBER, "indicator": True}
RECIPES: dict[str, list[Mapping[str, Any]]] = {
    "impute": [FILLED],
    "standard": [{"op": "scale", **NUMBER}],
    "robust": [{"op": "scale", **NUMBER, "method": "robust"}],
    "quantile": [{"op": "scale", **NUMBER, "method": "quantile"}],
    "power": [{"op": "scale", **NUMBER, "method": "power"}],
    "clip": [{"op": "clip", "columns": ["a", "b"], "quantiles": [0.05, 0.95]}],
    "bin": [{"op": "bin", "columns": ["a", "b"]}],
    "spline": [{"op": "spline", "columns": ["a", "b"]}],
    "one_hot": [{"op": "one_hot", "columns": ["kind", "count"], "min_frequency": 20}],
    "ordinal": [{"op": "ordinal", **TEXT}],
    "target": [{"op": "target_encode", "columns": ["kind", "count"]}],
    "counts": [{"op": "count_encode", **TEXT, "share": True}],
    "hash": [{"op": "hash", **TEXT, "size": 3}],
    "words": [{"op": "tfidf", "columns": ["note"], "words": 5, "components": 2}],
    "products": [FILLED, {"op": "interact", "columns": ["a", "b", "count"]}, {"op": "drop_constant"}],
    "select": [FILLED, {"op": "log", "columns": ["count"]}, {"op": "select", "k": 4}],
}
WHEN: Mapping[str, Any] = {"op": "dates", "columns": ["when"], "parts": ["month", "hour", "days"], "cyclic": True}
