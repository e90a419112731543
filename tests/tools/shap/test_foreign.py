"""Models of MLflow that e2i did not train are explained by their predictions."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from e2i.errors import StepError
from e2i.testing.context import LocalContext
from e2i.tools.mlflow.connector import GuardedMLflow
from e2i.tools.mlflow.tracking import Tracking
from e2i.tools.shap import ExplainParams, LoggedModel, actions

FEATURES = ("a", "kind")
ROWS = pd.DataFrame({"a": [0.0, 1.0, 2.0, 5.0], "kind": ["x", "y", "x", "y"], "other": [1, 2, 3, 4]})


def log(tracking: Tracking, name: str, number: bool) -> str:
    import mlflow

    class Sum(mlflow.pyfunc.PythonModel):  # type: ignore[misc,name-defined]  # mlflow has no types
        def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
            found = 2 * model_input["a"] + (model_input["kind"] == "y")
            return found if number else found.astype(str) + " euros"

    mlflow.set_tracking_uri(tracking.uri)
    experiment = mlflow.create_experiment(name, (tracking.home / "artifacts" / name).as_uri())
    with mlflow.start_run(experiment_id=experiment):
        info = mlflow.pyfunc.log_model(name="model", python_model=Sum(), registered_model_name=name)
    return f"models:/{name}/{info.registered_model_version}"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_values_add_up_to_the_predictions_of_a_function_that_is_in_mlflow(tmp_path: Path) -> None:
    ctx = LocalContext(tmp_path)
    uri = asyncio.run(ctx.connect(GuardedMLflow).transfer(log, "sums", True))
    table = ctx.table(ROWS)
    explained = {}
    for explainer in ("auto", "permutation", "exact"):
        params = ExplainParams(model=LoggedModel(uri=uri, features=FEATURES), table=table, explainer=explainer)
        found = explained[explainer] = asyncio.run(actions.explain(params, ctx))
        values = ctx.frame(found.values)
        assert list(values) == ["row", "class", *FEATURES, "expected_value", "margin"]
        assert np.allclose(values["margin"], 2 * ROWS["a"] + (ROWS["kind"] == "y"))
        assert np.allclose(values[[*FEATURES, "expected_value"]].sum(axis=1), values["margin"])
        assert np.allclose(values["a"], 2 * (ROWS["a"] - ROWS["a"].mean())), "the model is additive"
    assert explained["auto"].explainer == "exact" and explained["permutation"].standard_error is not None
    missing = ExplainParams(model=LoggedModel(uri=uri, features=("a", "b")), table=table)
    with pytest.raises(StepError, match="no column 'b'"):
        asyncio.run(actions.explain(missing, ctx))
    nowhere = ExplainParams(model=LoggedModel(uri="models:/sums/9", features=FEATURES), table=table)
    with pytest.raises(StepError) as error:
        asyncio.run(actions.explain(nowhere, ctx))
    assert error.value.code == "unknown-model"
    texts = asyncio.run(ctx.connect(GuardedMLflow).transfer(log, "texts", False))
    with pytest.raises(StepError, match="are not numbers"):
        asyncio.run(actions.explain(ExplainParams(model=LoggedModel(uri=texts, features=FEATURES), table=table), ctx))


@pytest.mark.parametrize("uri", ["models:/a@champion", "models:/a/latest", "s3://bucket/model", "runs:/1"])
def test_only_what_mlflow_names_for_good_is_a_uri(uri: str) -> None:
    with pytest.raises(ValidationError):
        LoggedModel(uri=uri, features=("a",))
