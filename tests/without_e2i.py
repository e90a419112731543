"""Predict with models of MLflow's where e2i is not installed. In: the tracking address and cases. Out: the largest differences.

Each case is a JSON line on standard input: the model's address, its native flavour, and files with rows and answers.
Nothing may be read from a pickle. MLflow counts skops among them, because a model names the types to trust itself.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys
from typing import Any

import numpy as np
import pandas as pd


def native_answers(model: Any, flavour: str, uri: str, frame: pd.DataFrame) -> Any:
    """What the library's own object answers, on rows that the module beside it encodes."""
    import e2i_scoring  # on the path since the model was loaded
    import mlflow.artifacts
    import mlflow.models

    about = mlflow.models.get_model_info(uri).metadata
    rows = e2i_scoring.load(f"{mlflow.artifacts.download_artifacts(uri)}/data/model").encode(frame)
    is_regression = about["task"] == "regression"
    kind = "Probability" if not is_regression else "RawFormulaVal" if about["link"] is None else "Exponent"
    match flavour:
        case "xgboost":
            found = model.inplace_predict(rows)
        case "catboost":
            found = model.predict(rows, prediction_type=kind)
        case "sklearn":
            found = model.predict(rows) if is_regression else model.predict_proba(rows)
        case _:
            found = model.predict(rows)
    if found.ndim == 2 and found.shape[1] == 2:
        found = found[:, 1]
    found = np.asarray(found, dtype=np.float64) * about["target_scale"] + about["target_center"]
    changed = about["target_transform"]
    return found if changed is None else e2i_scoring.targets.original(found, changed)


def compared(case: dict[str, str]) -> dict[str, object]:
    """The largest difference of each flavour's answers, and the classes of what both have loaded."""
    import mlflow.pyfunc

    flavour, uri = case["flavour"], case["uri"]
    frame, wanted = pd.read_feather(case["rows"]), np.load(case["answers"])
    os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "true" if flavour == "sklearn" else "false"
    native = importlib.import_module(f"mlflow.{flavour}").load_model(uri)
    answers = native_answers(native, flavour, uri, frame)
    os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "false"
    function = mlflow.pyfunc.load_model(uri)
    gaps = [float(np.abs(np.asarray(found) - wanted).max()) for found in (answers, function.predict(frame))]
    kinds = sorted({type(native).__name__, type(function.get_raw_model()).__name__})
    return {"name": case["name"], "native": gaps[0], "function": gaps[1], "kinds": kinds}


if __name__ == "__main__":
    assert importlib.util.find_spec("e2i") is None, "e2i is installed here"
    if len(sys.argv) > 1:
        import mlflow

        mlflow.set_tracking_uri(sys.argv[1])
    for line in sys.stdin:
        print(json.dumps(compared(json.loads(line))))
