"""A small fitted XGBoost model with numbers, missing values and a category: the frame and the stored model come out."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from e2i.catalog.artifacts import Model
from e2i.estimators import fitting


def small_frame(rows: int = 200) -> pd.DataFrame:
    """Calls (int64), score (double with gaps), brand (text) and a 0/1 target."""
    random = np.random.default_rng(5)
    frame = pd.DataFrame(
        {
            "calls": random.integers(0, 20, rows),
            "score": random.normal(size=rows),
            "brand": random.choice(["Fabhalta", "Kisqali", "Remibrutinib"], rows),
        }
    )
    frame["target"] = ((frame["calls"] > 9) & (frame["score"] > -0.5)).astype("int64")
    frame.loc[frame.index % 17 == 3, "score"] = np.nan
    return frame


def small_model(
    ctx: Any, *, seed: int = 7, params: Mapping[str, Any] = {"n_estimators": 5, "max_depth": 3}
) -> tuple[Model, pd.DataFrame]:
    """The model, in the context's store, and the frame it was fitted on."""
    frame = small_frame()
    prepared = fitting.prepare(frame, None, "target", "XGBoost")
    fitted = fitting.fit(prepared, params, seed=seed, threads=1)
    folder = fitting.save(fitted, Path(tempfile.mkdtemp(dir=ctx.scratch)) / "model")
    model = ctx.keep(
        folder,
        Model,
        algorithm="XGBoost",
        task="classification",
        target="target",
        features=("calls", "score", "brand"),
    )
    return model, frame
