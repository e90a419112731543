"""Models of actions by their libraries' own flavours, loaded in an environment that does not have e2i."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from context import LocalContext
from e2i.catalog.artifacts import Model, Recipe
from e2i.estimators import fitting, recipes
from e2i.estimators.algorithms import ALGORITHMS, AlgorithmName
from e2i.estimators.options import Options
from e2i.estimators.scoring import load as load_scorer
from e2i.tools.mlflow import PromoteParams, RegisterParams
from e2i.tools.mlflow.actions import promote, register
from e2i.tools.mlflow.models import save_scoring
from elsewhere import compare, environment
from learning import TARGETS, graded, others, table, timed

mlflow = pytest.importorskip("mlflow")


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return environment(tmp_path_factory.mktemp("fresh"))


RECIPE = (
    {"op": "dates", "columns": ["when"], "parts": ["month", "hour"], "cyclic": True},
    {"op": "target_encode", "columns": ["kind"]},
    {"op": "impute", "types": ["number"], "indicator": True},
    {"op": "scale", "columns": ["a", "b"], "method": "power"},
)


def trained(
    ctx: LocalContext, algorithm: AlgorithmName, target: str, steps: Sequence[Any] = (), **chosen: Any
) -> tuple[Model, dict[str, str]]:
    """A model in the store, and the case with its answers here, which lacks the model's address."""
    name = f"{algorithm}-{target}{'-prepared' if steps else ''}{''.join(f'-{one}' for one in chosen.values())}"
    recipe = recipes.steps_of(Recipe(digest="sha256:" + "0" * 64, steps=tuple(steps)))
    frame = timed(table(300)) if steps else table(300)
    if target == "grade":
        frame, chosen = graded(frame), {"objective": "rank", "group": "query"}
    if target == "amount":
        frame["amount"] = frame["amount"] * 1e-4 + 3.0  # which boosters learn on a scale of their own
    params = {name: 5 for name in ("n_estimators", "iterations") if name in ALGORITHMS[algorithm].params}
    task: Any = "ranking" if target == "grade" else None
    prepared = fitting.prepare(
        *(frame, None, target, algorithm), exclude=others(target), recipe=recipe, options=Options(**chosen), task=task
    )
    folder = fitting.save(fitting.fit(prepared, params, seed=7, threads=1), ctx.scratch / name)
    task, features = prepared.schema.task, tuple(name for name in frame if name not in (*TARGETS, "query", "grade"))
    model = ctx.keep(folder, Model, algorithm=algorithm, task=task, target=target, features=features)
    rows = timed(table(80, seed=1))[list(features)]
    rows.loc[0, "kind"] = "never seen"
    scorer = load_scorer(ctx.open(model))
    rows.to_feather(ctx.scratch / f"{name}.feather")
    np.save(ctx.scratch / f"{name}.npy", scorer.predict(rows))
    about = {"rows": str(ctx.scratch / f"{name}.feather"), "answers": str(ctx.scratch / f"{name}.npy")}
    return model, {**about, "name": name, "flavour": scorer.manifest["library"]}


def registered(ctx: LocalContext, model: Model, name: str) -> str:
    """Register the model and move it to production; return its address."""
    version = asyncio.run(register(RegisterParams(model=model, name=name), ctx)).version
    asyncio.run(promote(PromoteParams(version=version, stage="production"), ctx))
    return f"models:/{name}@production"


@pytest.mark.slow
def test_a_model_is_loaded_by_its_own_flavour_without_e2i(ctx: LocalContext, elsewhere: dict[str, str]) -> None:
    cases = []
    for steps in ((), RECIPE):
        model, case = trained(ctx, "XGBoost", "binary", steps)
        saved = ctx.scratch / f"saved-{len(steps)}"
        assert save_scoring(ctx.open(model), saved) == "xgboost"
        assert set(mlflow.models.Model.load(str(saved)).flavors) == {"python_function", "xgboost"}
        assert not [path for path in saved.rglob("*") if path.suffix in (".pkl", ".pickle", ".cloudpickle")]
        cases.append({**case, "uri": str(saved)})
    options = [("CatBoost", {"objective": "poisson"}), ("Ridge", {"target_transform": "yeo_johnson"})]
    options += [("LightGBM", {"objective": "absolute", "target_transform": "log1p"})]
    for algorithm, chosen in options:
        model, case = trained(ctx, algorithm, "amount", **chosen)  # type: ignore[arg-type]
        saved = ctx.scratch / f"saved-{case['name']}"
        save_scoring(ctx.open(model), saved)
        cases.append({**case, "uri": str(saved)})
    compare(elsewhere, cases)


@pytest.mark.sweep
@pytest.mark.timeout(600)
def test_every_algorithm_is_loaded_by_its_own_flavour_without_e2i(ctx: LocalContext, elsewhere: dict[str, str]) -> None:
    targets = {"classification": ("binary", "three"), "regression": ("amount",), "ranking": ("grade",)}
    cases = []
    for algorithm in ALGORITHMS:
        for target in (target for task in ALGORITHMS[algorithm].tasks for target in targets[task]):
            for steps in ((), RECIPE):
                model, case = trained(ctx, algorithm, target, steps)
                cases.append({**case, "uri": registered(ctx, model, case["name"])})
    compare(elsewhere, cases, f"sqlite:///{ctx.home('mlflow') / 'mlflow.db'}")


def test_a_booster_of_numbers_takes_the_rows_of_the_table_as_they_are(ctx: LocalContext) -> None:
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(200, 3)), columns=list("abc"))
    frame["y"] = (frame["a"] > 0).astype(int)
    fitted = fitting.fit(fitting.prepare(frame, None, "y", "XGBoost"), {"n_estimators": 5}, seed=1, threads=1)
    assert save_scoring(fitting.save(fitted, ctx.scratch / "own"), ctx.scratch / "saved") == "xgboost"
    booster = mlflow.xgboost.load_model(str(ctx.scratch / "saved"))
    rows = frame[list("abc")]
    np.testing.assert_allclose(booster.inplace_predict(rows.to_numpy()), fitted.scorer.predict(rows), atol=1e-9)
