"""Compares SHAP values of ``shap.explain`` with those of shap's reference explainer, in the same process.

    .venv/bin/python benchmarks/explanations.py [ROWS]

Prints for each family the CPU seconds of both, their ratio, and the largest difference of a value.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import shap

from e2i.estimators import fitting
from e2i.tools.shap import scorers
from e2i.tools.shap.values import How

FEATURES = 10
FAMILIES: dict[str, dict[str, Any]] = {
    "XGBoost": {"n_estimators": 100, "max_depth": 6},
    "LightGBM": {"n_estimators": 100},
    "CatBoost": {"iterations": 100, "depth": 6},
    "RandomForest": {"n_estimators": 50, "max_depth": 8},
    "LogisticRegression": {},
}


def measured(call: Callable[[], Any]) -> tuple[Any, float]:
    """Returns the result, and the least CPU seconds of three calls."""
    took = []
    for _ in range(3):
        began = time.process_time()
        found = call()
        took.append(time.process_time() - began)
    return found, min(took)


def reference(scorer: Any, encoded: Any, background: Any) -> Any:
    """Returns the values of shap's own explainer, of the positive class."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if scorer.manifest["encoding"] == "one-hot":
            masker = shap.maskers.Independent(background, max_samples=len(background))
            return np.asarray(shap.LinearExplainer(scorer.native, masker).shap_values(encoded))
        found = np.asarray(shap.TreeExplainer(scorer.native).shap_values(encoded, check_additivity=False))
    return found[..., 1] if found.ndim == 3 else found


def main(rows: int) -> None:
    r = np.random.default_rng(0)
    table = pd.DataFrame(r.normal(size=(4000, FEATURES)), columns=[f"x{number}" for number in range(FEATURES)])
    table["y"] = (table["x0"] + table["x1"] * table["x2"] + r.normal(size=len(table)) > 0).astype(int)
    print(f"{rows:,} rows, {FEATURES} features\n{'':20}{'e2i, s':>9}{'shap, s':>9}{'ratio':>8}{'difference':>12}")
    for algorithm, params in FAMILIES.items():
        prepared = fitting.prepare(table, None, "y", algorithm)
        scorer = fitting.fit(prepared, params, seed=0, threads=1).scorer
        explained = table[:rows]
        encoded, background = scorer.encode(explained), scorer.encode(table)
        own, seconds = measured(lambda: scorers.explain(scorer, explained, table, How()))  # noqa: B023 - called here
        theirs, other = measured(lambda: reference(scorer, encoded, background))  # noqa: B023 - called here
        difference = float(np.abs(own.values[:, :, 0] - theirs).max())
        print(f"{algorithm:20}{seconds:9.3f}{other:9.3f}{seconds / other:8.2f}{difference:12.1e}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
