"""The cross-validation of ``benchmarks/wide.yaml`` by hand: scikit-learn's pipeline and XGBoost in a plain script.

    python benchmarks/wide_by_hand.py --rows rows.parquet --workdir out

What a good engineer would write without e2i, with threads that sleep while they wait. Each split encodes and fills by
its own training rows. The script judges the predictions of each split, keeps them, and saves a model of all rows. It
prints one JSON object with the metrics.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

arguments = argparse.ArgumentParser(description=__doc__)
arguments.add_argument("--rows", type=Path, required=True)
arguments.add_argument("--workdir", type=Path, required=True)
arguments.add_argument("--estimators", type=int, default=100)
arguments.add_argument("--seed", type=int, default=7)
arguments.add_argument("--threads", type=int, default=2)
given = arguments.parse_args()
os.environ.update(OMP_NUM_THREADS=str(given.threads), OMP_WAIT_POLICY="passive")

import joblib  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from sklearn.compose import make_column_transformer  # noqa: E402
from sklearn.impute import SimpleImputer  # noqa: E402
from sklearn.metrics import accuracy_score, average_precision_score, log_loss, roc_auc_score  # noqa: E402
from sklearn.model_selection import StratifiedKFold  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import TargetEncoder  # noqa: E402
from xgboost import XGBClassifier  # noqa: E402

frame = pd.read_parquet(given.rows)
target = frame.pop("target")
texts = [name for name, kind in frame.dtypes.items() if not pd.api.types.is_numeric_dtype(kind)]
numbers = [name for name in frame if name not in texts]


def model() -> object:
    prepared = make_column_transformer(
        (TargetEncoder(cv=StratifiedKFold(5, shuffle=True, random_state=given.seed)), texts),
        (SimpleImputer(strategy="median"), numbers),
    )
    booster = XGBClassifier(
        n_estimators=given.estimators, tree_method="hist", n_jobs=given.threads, random_state=given.seed
    )
    return make_pipeline(prepared, booster)


predicted = np.empty(len(frame))
found: dict[str, list[float]] = {}
for train, test in StratifiedKFold(5, shuffle=True, random_state=given.seed).split(frame, target):
    fitted = model().fit(frame.iloc[train], target.iloc[train])  # type: ignore[attr-defined]
    predicted[test] = fitted.predict_proba(frame.iloc[test])[:, 1]
    truth = target.iloc[test]
    for name, value in (
        ("roc_auc", roc_auc_score(truth, predicted[test])),
        ("average_precision", average_precision_score(truth, predicted[test])),
        ("log_loss", log_loss(truth, predicted[test])),
        ("accuracy", accuracy_score(truth, predicted[test] >= 0.5)),
    ):
        found.setdefault(name, []).append(float(value))
given.workdir.mkdir(parents=True, exist_ok=True)
pd.DataFrame({"target": target, "probability": predicted}).to_parquet(given.workdir / "oof.parquet")
whole = model().fit(frame, target)  # type: ignore[attr-defined]
joblib.dump(whole, given.workdir / "model.joblib")
print(json.dumps({name: sum(values) / len(values) for name, values in found.items()}))
