"""The work of ``benchmarks/conversion.yaml`` by hand: a plain script with today's tools, embedded, and no engine.

    python benchmarks/handwritten.py --rows 50000 --trials 20 --workdir out

What a good engineer would write without e2i, and the thing to beat: telemetry off, explicit model requirements, an
ephemeral Great Expectations context, threads that sleep while they wait. It uses e2i's generator for the table and
its rule for who is in which part, so that the scores can be compared, and nothing else of e2i. Prints one JSON object:
wall seconds of each phase and the scores. ``--workdir`` is emptied first.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

arguments = argparse.ArgumentParser(description=__doc__)
arguments.add_argument("--rows", type=int, default=50_000)
arguments.add_argument("--trials", type=int, default=20)
arguments.add_argument("--seed", type=int, default=7)
arguments.add_argument("--threads", type=int, default=2)
arguments.add_argument("--workdir", type=Path, default=Path("out"))
given = arguments.parse_args()

work: Path = given.workdir.resolve()
shutil.rmtree(work, ignore_errors=True)
work.mkdir(parents=True)
os.environ.update(
    MLFLOW_DISABLE_TELEMETRY="true",
    BENTOML_DO_NOT_TRACK="true",
    GX_ANALYTICS_ENABLED="false",
    GIT_PYTHON_REFRESH="quiet",
    BENTOML_HOME=str(work / "bentoml"),
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
    from datetime import timedelta

    import bentoml
    import great_expectations as gx
    import mlflow
    import mlflow.xgboost
    import numpy as np
    import optuna
    import pandas as pd
    import shap
    import xgboost as xgb
    import yaml
    from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
    from feast.types import Float64, String
    from great_expectations.data_context.types.base import ProgressBarsConfig
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
    from optuna_integration import MLflowCallback
    from sklearn.metrics import roc_auc_score

    from e2i.tools.data.splits import by_entity
    from e2i.tools.dataset.columns import FEATURES
    from e2i.tools.dataset.hcp import make_tables

warnings.simplefilter("ignore")
optuna.logging.set_verbosity(optuna.logging.WARNING)
logging.getLogger("mlflow").setLevel(logging.ERROR)
CATEGORIES = ["brand", "specialty", "region"]
COLUMNS = [*CATEGORIES, *FEATURES]

with phase("data"):
    journeys, history, _ = make_tables(given.rows, given.seed)
    history.to_parquet(work / "history.parquet", coerce_timestamps="us")

with phase("quality"):
    suite_file = Path(__file__).parent.parent / "config" / "expectations" / "e2i_classification_suite.yaml"
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    suite = gx.ExpectationSuite(name="classification")
    for item in yaml.safe_load(suite_file.read_text())["expectations"]:
        kwargs = {name: value for name, value in item.items() if name not in ("type", "severity", "notes")}
        suite.add_expectation_configuration(ExpectationConfiguration(type=item["type"], kwargs=kwargs))
    suite = context.suites.add(suite)
    asset = context.data_sources.add_pandas("memory").add_dataframe_asset("journeys")
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": journeys})
    if not batch.validate(suite).success:
        raise SystemExit("the table did not pass the suite")

with phase("features"):
    store = FeatureStore(
        config=RepoConfig(
            project="hcp",
            provider="local",
            registry=str(work / "registry.db"),
            online_store={"type": "sqlite", "path": str(work / "online.db")},
            offline_store={"type": "file"},
            entity_key_serialization_version=3,
        )
    )
    source = FileSource(
        name="history",
        path=str(work / "history.parquet"),
        timestamp_field="event_timestamp",
        created_timestamp_column="created",
    )
    hcp = Entity(name="hcp", join_keys=["hcp_id"], value_type=ValueType.STRING)
    schema = [Field(name="hcp_id", dtype=String), *(Field(name=name, dtype=Float64) for name in FEATURES)]
    view = FeatureView(
        name="hcp_history", entities=[hcp], ttl=timedelta(days=365), schema=schema, source=source, online=True
    )
    store.apply([hcp, view])
    rows = journeys[["hcp_id", "observation_date", *CATEGORIES, "target"]].rename(
        columns={"observation_date": "event_timestamp"}
    )
    rows["row"] = np.arange(len(rows))  # Feast keeps neither order nor expired rows
    joined = (
        store.get_historical_features(rows, [f"hcp_history:{name}" for name in FEATURES]).to_df().sort_values("row")
    )
    if len(joined) != len(rows):
        raise SystemExit(f"Feast gave {len(joined)} of {len(rows)} rows")

with phase("split"):
    part = by_entity(joined["hcp_id"], (0.6, 0.2, 0.2), given.seed)
    for name in CATEGORIES:
        joined[name] = joined[name].astype("category")
    X = {number: joined.loc[part == number, COLUMNS] for number in range(3)}
    y = {number: joined.loc[part == number, "target"].to_numpy() for number in range(3)}

with phase("mlflow schema"):
    uri = f"sqlite:///{work / 'mlflow.db'}"
    mlflow.set_tracking_uri(uri)
    experiment = mlflow.create_experiment("hcp_conversion", artifact_location=str(work / "artifacts"))


def fit(params: dict[str, float]) -> xgb.XGBClassifier:
    model = xgb.XGBClassifier(
        tree_method="hist", enable_categorical=True, n_jobs=given.threads, random_state=given.seed, **params
    )
    return model.fit(X[0], y[0])


def objective(trial: optuna.Trial) -> float:
    model = fit(
        {
            "n_estimators": trial.suggest_int("n_estimators", 50, 200),
            "max_depth": trial.suggest_int("max_depth", 3, 8),
            "learning_rate": trial.suggest_float("learning_rate", 0.02, 0.3, log=True),
            "subsample": trial.suggest_float("subsample", 0.6, 1.0),
            "colsample_bytree": trial.suggest_float("colsample_bytree", 0.5, 1.0),
        }
    )
    return float(roc_auc_score(y[1], model.predict_proba(X[1])[:, 1]))


with mlflow.start_run(experiment_id=experiment, run_name="handwritten"):
    with phase("trials"):
        study = optuna.create_study(
            direction="maximize",
            sampler=optuna.samplers.TPESampler(seed=given.seed),
            storage=f"sqlite:///{work / 'optuna.db'}",
        )
        nested = {"nested": True, "experiment_id": experiment}
        callback = MLflowCallback(
            tracking_uri=uri, metric_name="roc_auc", create_experiment=False, mlflow_kwargs=nested
        )
        study.optimize(objective, n_trials=given.trials, callbacks=[callback])
    with phase("train and evaluate"):
        model = fit(study.best_params)
        scores = {
            name: float(roc_auc_score(y[number], model.predict_proba(X[number])[:, 1]))
            for number, name in ((1, "validation_auc"), (2, "test_auc"))
        }
    with phase("track and register"):
        mlflow.log_params(study.best_params)
        mlflow.log_metrics(scores)
        example = X[1].head(5)
        logged = mlflow.xgboost.log_model(
            model,
            name="model",
            pip_requirements=[f"xgboost=={xgb.__version__}", f"pandas=={pd.__version__}"],
            signature=mlflow.models.infer_signature(
                example.astype(dict.fromkeys(CATEGORIES, str)), model.predict(example)
            ),
        )
        version = mlflow.register_model(logged.model_uri, "hcp_conversion")
        mlflow.MlflowClient().set_registered_model_alias("hcp_conversion", "production", version.version)
    with phase("explain"):
        values = shap.TreeExplainer(model).shap_values(X[1].head(2_000))
        importance = np.abs(values).mean(axis=0)
        mlflow.log_dict(dict(zip(COLUMNS, (importance / importance.sum()).tolist(), strict=True)), "importance.json")

SERVICE = """from __future__ import annotations
import bentoml
import pandas as pd

COLUMNS = {columns}
CATEGORIES = {categories}


@bentoml.service(name="hcp_conversion", workers=1)
class Service:
    stored = bentoml.models.BentoModel("hcp_conversion:latest")

    def __init__(self) -> None:
        import mlflow.xgboost

        self.model = mlflow.xgboost.load_model(self.stored.path_of("mlflow_model"))

    @bentoml.api
    def predict(self, input: list[dict]) -> dict:
        frame = pd.DataFrame(input, columns=COLUMNS)
        for name, values in CATEGORIES.items():
            frame[name] = pd.Categorical(frame[name], values)
        return {{"output": self.model.predict_proba(frame)[:, 1].tolist()}}
"""

with phase("package"):
    stored = bentoml.mlflow.import_model("hcp_conversion", "models:/hcp_conversion@production")
    folder = work / "service"
    folder.mkdir()
    categories = {name: list(joined[name].cat.categories) for name in CATEGORIES}
    (folder / "service.py").write_text(SERVICE.format(columns=COLUMNS, categories=categories))
    bento = bentoml.bentos.build(
        "service:Service",
        name="hcp_conversion",
        version="v1",
        build_ctx=str(folder),
        include=["service.py"],
        models=[str(stored.tag)],
        python={"packages": ["xgboost", "pandas", "mlflow-skinny"], "lock_packages": False},
    )

with phase("serve and predict"):
    import httpx

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "bentoml", "serve", str(bento.tag), "--host", "127.0.0.1", "--port", str(port)]
    with (work / "serve.log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        address = f"http://127.0.0.1:{port}"
        for _ in range(1_200):
            try:
                if httpx.get(f"{address}/readyz", timeout=1).status_code == 200:
                    break
            except httpx.HTTPError:
                time.sleep(0.05)
        sent = X[2].head(20).astype(dict.fromkeys(CATEGORIES, str)).to_dict("records")
        answer = httpx.post(f"{address}/predict", json={"input": sent}, timeout=30).raise_for_status().json()["output"]
    finally:
        server.terminate()
        server.wait(30)
    difference = float(np.abs(np.array(answer) - model.predict_proba(X[2].head(20))[:, 1]).max())

print(
    json.dumps(
        {
            "wall": round(time.perf_counter() - began, 2),
            "phases": phases,
            **scores,
            "trials": len(study.trials),
            "best_value": study.best_value,
            "best_params": study.best_params,
            "served_difference": difference,
        }
    )
)
