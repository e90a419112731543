"""The work of ``benchmarks/effects.yaml`` by hand: EconML, its validation, SHAP and MLflow in a plain script.

    python benchmarks/effects_by_hand.py --rows 50000 --workdir out

What a good engineer would write without e2i: threads that sleep while they wait, explicit requirements, one process.
It uses e2i's generator of the table and its rule for who is in which part, and nothing else of e2i. Prints one JSON
object: wall seconds of each phase and the estimates. ``--workdir`` is emptied first.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

arguments = argparse.ArgumentParser(description=__doc__)
arguments.add_argument("--rows", type=int, default=50_000)
arguments.add_argument("--trees", type=int, default=200)
arguments.add_argument("--explain-rows", type=int, default=100)
arguments.add_argument("--seed", type=int, default=7)
arguments.add_argument("--threads", type=int, default=2)
arguments.add_argument("--workdir", type=Path, default=Path("out"))
given = arguments.parse_args()

work: Path = given.workdir.resolve()
shutil.rmtree(work, ignore_errors=True)
work.mkdir(parents=True)
os.environ.update(
    MLFLOW_DISABLE_TELEMETRY="true",
    GIT_PYTHON_REFRESH="quiet",
    OMP_NUM_THREADS=str(given.threads),
    OMP_WAIT_POLICY="passive",
)
phases: dict[str, float] = {}


@contextmanager
def phase(name: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    phases[name] = round(time.perf_counter() - began, 3)


began = time.perf_counter()
with phase("imports"):
    import logging
    import warnings

    import mlflow
    import numpy as np
    import pandas as pd
    import xgboost as xgb
    from econml.dml import CausalForestDML
    from econml.validate.drtester import DRTester

    from e2i.tools.data.splits import by_entity
    from e2i.tools.dataset.columns import FEATURES
    from e2i.tools.dataset.hcp import make_tables

warnings.simplefilter("ignore")
logging.getLogger("mlflow").setLevel(logging.ERROR)
COLUMNS = ["call_frequency", *FEATURES]

with phase("data"):
    journeys, history, _ = make_tables(given.rows, given.seed)
    joined = pd.merge_asof(
        journeys.sort_values("observation_date"),
        history.sort_values("created"),
        left_on="observation_date",
        right_on="created",
        by="hcp_id",
    )
    joined[COLUMNS] = joined[COLUMNS].fillna(joined[COLUMNS].median())
    part = by_entity(joined["hcp_id"], (0.6, 0.2, 0.2), given.seed)
    X = {number: joined.loc[part == number, COLUMNS].to_numpy(dtype=float) for number in (0, 2)}
    T = {number: joined.loc[part == number, "treatment"].to_numpy(dtype=int) for number in (0, 2)}
    Y = {number: joined.loc[part == number, "outcome"].to_numpy(dtype=float) for number in (0, 2)}


def nuisance(kind: Any) -> Any:
    return kind(n_estimators=100, max_depth=4, learning_rate=0.1, n_jobs=given.threads, random_state=given.seed)


with phase("fit"):
    model = CausalForestDML(
        model_y=nuisance(xgb.XGBRegressor),
        model_t=nuisance(xgb.XGBClassifier),
        discrete_treatment=True,
        n_estimators=given.trees,
        cv=2,
        min_samples_leaf=20,
        max_samples=0.45,
        n_jobs=given.threads,
        random_state=given.seed,
    ).fit(Y[0], T[0], X=X[0], cache_values=False)
with phase("effects by row"):
    effect = model.effect(X[2])
    low, high = model.effect_interval(X[2], alpha=0.05)
with phase("average"):
    average = model.ate_inference(X[2])
    found = {"effect": float(average.mean_point), "interval": [float(one) for one in average.conf_int_mean(alpha=0.05)]}
with phase("explain"):
    explained = model.shap_values(X[2][: given.explain_rows])
    values = next(iter(next(iter(explained.values())).values())).values
    importance = dict(zip(COLUMNS, np.abs(values).mean(axis=0).tolist(), strict=True))
with phase("validate"):
    tester = DRTester(
        model_regression=nuisance(xgb.XGBRegressor), model_propensity=nuisance(xgb.XGBClassifier), cate=model, cv=2
    )
    tester.fit_nuisance(X[2], T[2], Y[2], X[0], T[0], Y[0])
    summary = tester.evaluate_all(X[2], X[0]).summary()


class Effect(mlflow.pyfunc.PythonModel):  # type: ignore[misc]  # mlflow's types are not followed
    def __init__(self, fitted: Any) -> None:
        self.fitted = fitted

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        lower, upper = self.fitted.effect_interval(model_input, alpha=0.05)
        return pd.DataFrame({"effect": self.fitted.effect(model_input), "lower": lower, "upper": upper})


with phase("track and register"):
    mlflow.set_tracking_uri(f"sqlite:///{work / 'mlflow.db'}")
    experiment = mlflow.create_experiment("effects", artifact_location=str(work / "artifacts"))
    with mlflow.start_run(experiment_id=experiment):
        mlflow.log_metrics({"effect": found["effect"]})
        mlflow.log_dict(importance, "importance.json")
        logged = mlflow.pyfunc.log_model(
            name="model", python_model=Effect(model), pip_requirements=["econml", "xgboost"]
        )
        mlflow.register_model(logged.model_uri, "effects")
    again = mlflow.pyfunc.load_model(logged.model_uri).predict(pd.DataFrame(X[2][:5]))
    if not np.allclose(again["effect"], effect[:5]):
        raise SystemExit("the loaded model has other effects")

print(
    json.dumps(
        {
            "phases": phases,
            "wall": round(time.perf_counter() - began, 2),
            **found,
            "top": sorted(importance, key=lambda name: -importance[name])[:4],
            "validation": summary.to_dict("records"),
        }
    )
)
