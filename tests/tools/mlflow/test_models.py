"""Models as MLflow keeps them: every kind in the same way, without a pickle, with the requirements of its manifest."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import numpy as np
import pytest

from context import LocalContext
from e2i.catalog.artifacts import Model
from e2i.estimators import fitting
from e2i.estimators.algorithms import AlgorithmName
from e2i.estimators.scoring import load as load_scorer
from e2i.tools.mlflow import RegisterParams
from e2i.tools.mlflow.actions import register
from learning import others, table

mlflow = pytest.importorskip("mlflow")


def logged(ctx: LocalContext, algorithm: AlgorithmName) -> tuple[Path, Path]:
    """The model's own folder, and the folder that MLflow keeps of it."""
    sizes = {} if algorithm == "LogisticRegression" else {"n_estimators": 5}
    prepared = fitting.prepare(table(200), None, "binary", algorithm, exclude=others("binary"))
    folder = fitting.save(fitting.fit(prepared, sizes, seed=7, threads=1), ctx.scratch / algorithm)
    features = ("a", "b", "count", "flag", "kind")
    model = ctx.keep(folder, Model, algorithm=algorithm, task="classification", target="binary", features=features)
    asyncio.run(register(RegisterParams(model=model, name="m"), ctx))
    (kept,) = ctx.home("mlflow").rglob("MLmodel")
    return ctx.open(model), kept.parent


@pytest.mark.parametrize("algorithm", ["RandomForest", "LogisticRegression", "LightGBM"])
def test_every_kind_of_model_is_logged_without_a_pickle_and_predicts_as_it_did(
    ctx: LocalContext, algorithm: AlgorithmName, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, kept = logged(ctx, algorithm)
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    frame = table(50)[["a", "b", "count", "flag", "kind"]]
    local = load_scorer(own).predict(frame)
    np.testing.assert_allclose(mlflow.pyfunc.load_model(str(kept)).predict(frame), local, atol=1e-9)
    assert not [path for path in kept.rglob("*") if "pickle" in path.suffix or path.suffix == ".pkl"]


def test_a_logged_model_requires_what_its_manifest_says_and_nothing_is_inferred(
    ctx: LocalContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    def infer(*_: object, **__: object) -> list[str]:
        raise AssertionError("MLflow runs the model in a process of its own to find what it imports: 5 to 12 s")

    monkeypatch.setattr("mlflow.utils.requirements_utils._infer_requirements", infer)
    own, kept = logged(ctx, "XGBoost")
    wanted = json.loads((own / "manifest.json").read_text("utf-8"))["requirements"]
    found = (kept / "requirements.txt").read_text("utf-8").split()
    assert set(wanted) <= set(found)
    assert {line.partition("==")[0] for line in found} - {line.partition("==")[0] for line in wanted} <= {"mlflow"}


def test_a_logged_model_costs_no_look_at_the_files_of_all_installed_packages(
    ctx: LocalContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.utils import requirements_utils

    def look() -> dict[str, list[str]]:
        raise AssertionError("0.6 s of CPU for the module of a package that is not installed")

    with monkeypatch.context() as patch:
        patch.setattr(requirements_utils, "_MODULES_TO_PACKAGES", None)
        patch.setattr(requirements_utils.importlib_metadata, "packages_distributions", look)
        _, kept = logged(ctx, "LogisticRegression")
        assert (
            requirements_utils._MODULES_TO_PACKAGES is None
        )  # for other code that infers requirements in this process
    assert "scikit-learn==" in (kept / "requirements.txt").read_text("utf-8")
