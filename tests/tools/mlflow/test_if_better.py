"""A promotion that compares: a version replaces the champion only if it is better, and nothing else makes it so."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from pydantic import ValidationError

from context import LocalContext
from e2i.catalog.artifacts import Model, ModelVersion, Table
from e2i.errors import StepError
from e2i.tools.mlflow import LoadParams, PromoteOutputs, PromoteParams, RegisterParams
from e2i.tools.mlflow.actions import load, promote, register
from e2i.tools.mlflow.connector import GuardedMLflow
from e2i.tools.model.actions import train
from e2i.tools.model.params.training import TrainParams


def rows(count: int = 300) -> pd.DataFrame:
    x = np.random.default_rng(3).normal(size=(count, 2))
    return pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "y": (x[:, 0] + 0.3 * x[:, 1] > 0).astype(int), "z": x[:, 0] * 2})


def fitted(ctx: LocalContext, *features: str, target: str = "y", algorithm: str = "LogisticRegression") -> Model:
    params = TrainParams.model_validate(
        {"table": ctx.table(rows()), "target": target, "features": features, "algorithm": algorithm}
    )
    return train(params, ctx).model


def registered(ctx: LocalContext, model: Model, name: str = "m") -> ModelVersion:
    return asyncio.run(register(RegisterParams(model=model, name=name), ctx)).version


def promoted(ctx: LocalContext, version: ModelVersion, table: Table | None = None, **ask: Any) -> PromoteOutputs:
    ask = {"metric": "roc_auc", "table": table or ctx.table(rows()), **ask}
    params = PromoteParams.model_validate({"version": version, "stage": "production", "if_better": ask})
    return asyncio.run(promote(params, ctx))


def test_rankings_are_compared_within_queries(ctx: LocalContext) -> None:
    lists = rows().assign(query=np.arange(300) // 10)
    table = ctx.table(lists)

    def of(feature: str) -> ModelVersion:
        about = {"objective": "rank", "group": "query", "features": [feature], "params": {"n_estimators": 10}}
        params = TrainParams.model_validate({"table": table, "target": "y", **about})
        return registered(ctx, train(params, ctx).model)

    poor, good = of("b"), of("a")
    promoted(ctx, poor, table, metric="ndcg", no_champion="promote")
    found = promoted(ctx, good, table, metric="ndcg")
    assert found.promoted and champion(ctx) == 2


def champion(ctx: LocalContext, name: str = "m") -> int:
    client = MlflowClient(f"sqlite:///{ctx.home('mlflow') / 'mlflow.db'}")
    return int(client.get_model_version_by_alias(name, "production").version)


def test_a_version_replaces_the_champion_only_if_it_is_better_by_enough(ctx: LocalContext) -> None:
    middle, worse, better = (registered(ctx, fitted(ctx, *features)) for features in (["a"], ["b"], ["a", "b"]))
    first = promoted(ctx, middle, no_champion="promote")
    assert (first.promoted, first.champion, first.champion_value) == (True, None, None)
    refused = promoted(ctx, worse)
    assert (refused.promoted, refused.champion, refused.previous, refused.version.alias) == (False, 1, None, None)
    assert refused.champion_value == first.candidate_value
    assert refused.candidate_value is not None and refused.candidate_value < 0.8
    assert champion(ctx) == 1
    assert not promoted(ctx, better, by=0.5).promoted
    assert champion(ctx) == 1
    taken = promoted(ctx, better, by=0.001)
    assert (taken.promoted, taken.champion, taken.previous, taken.version.alias) == (True, 1, 1, "production")
    assert champion(ctx) == 3
    assert promoted(ctx, better, by=0.001) == taken  # an attempt that died before it was on record is repeated


def test_an_equal_version_does_not_replace_the_champion(ctx: LocalContext) -> None:
    model = fitted(ctx, "a")
    one = registered(ctx, model)
    promoted(ctx, one, no_champion="promote")
    with_other_key = LocalContext(ctx.worker.store.root.parent, step="other")
    two = registered(with_other_key, model)
    outcome = promoted(ctx, two)
    with_other_key.close()
    assert (two.version, outcome.promoted, champion(ctx)) == (2, False, 1)
    assert outcome.candidate_value == outcome.champion_value


def test_less_is_better_for_an_error(ctx: LocalContext) -> None:
    worse, better = (registered(ctx, fitted(ctx, feature, target="z", algorithm="Ridge")) for feature in ("b", "a"))
    promoted(ctx, worse, metric="rmse", no_champion="promote")
    outcome = promoted(ctx, better, metric="rmse")
    assert outcome.promoted and outcome.candidate_value is not None and outcome.champion_value is not None
    assert outcome.candidate_value < outcome.champion_value and champion(ctx) == 2


@pytest.mark.parametrize(
    ("ask", "code"),
    [
        ({}, "no-champion"),
        ({"no_champion": "promote", "metric": "rmse"}, "wrong-metric"),
        ({"no_champion": "promote", "only": 0}, "undefined-metric"),
        ({"no_champion": "promote", "drop": "a"}, "bad-features"),
    ],
)
def test_what_cannot_be_compared_is_not_promoted(ctx: LocalContext, ask: dict[str, Any], code: str) -> None:
    version = registered(ctx, fitted(ctx, "a"))
    frame = rows()
    if (only := ask.pop("only", None)) is not None:
        frame = frame[frame["y"] == only].reset_index(drop=True)
    if drop := ask.pop("drop", None):
        frame = frame.drop(columns=drop)
    with pytest.raises(StepError) as caught:
        promoted(ctx, version, ctx.table(frame), **ask)
    assert caught.value.code == code
    client = MlflowClient(f"sqlite:///{ctx.home('mlflow') / 'mlflow.db'}")
    assert client.get_registered_model("m").aliases == {}


def test_a_champion_that_came_while_it_was_compared_is_not_replaced(ctx: LocalContext) -> None:
    one, two, three = (registered(ctx, fitted(ctx, *features)) for features in (["b"], ["a"], ["a", "b"]))
    promoted(ctx, one, no_champion="promote")
    mlflow = ctx.connect(GuardedMLflow)
    asyncio.run(mlflow.transition_model_version_stage("m", two.version, "production"))
    with pytest.raises(StepError) as caught:
        asyncio.run(mlflow.transition_model_version_stage("m", three.version, "production", champion=one.version))
    assert (caught.value.code, champion(ctx)) == ("champion-changed", 2)


@pytest.mark.parametrize("by", [-0.1, math.inf, math.nan])
def test_an_improvement_is_a_finite_number_that_is_not_negative(ctx: LocalContext, by: float) -> None:
    table = ctx.table(rows(10))
    version = ModelVersion(digest=f"sha256:{'0' * 64}", name="m", version=1, uri="models:/m/1", run="")
    ask = {"metric": "roc_auc", "table": table, "by": by}
    with pytest.raises(ValidationError):
        PromoteParams.model_validate({"version": version, "stage": "production", "if_better": ask})
    with pytest.raises(ValidationError, match="archived"):
        ask = {**ask, "by": 0}
        PromoteParams.model_validate({"version": version, "stage": "archived", "if_better": ask})


def test_null_stands_for_no_such_model_or_version_and_for_nothing_else(ctx: LocalContext) -> None:
    for where in ({"stage": "production"}, {"version": 1}):
        asked = LoadParams.model_validate({"name": "m", "missing": None, **where})
        absent = asyncio.run(load(asked, ctx))
        assert (absent.model, absent.version) == (None, None)
        with pytest.raises(StepError) as caught:
            asyncio.run(load(LoadParams.model_validate({"name": "m", **where}), ctx))
        assert caught.value.code == "unknown-version"
    registered(ctx, fitted(ctx, "a"))
    registered(ctx, fitted(ctx, "b"))
    client = MlflowClient(f"sqlite:///{ctx.home('mlflow') / 'mlflow.db'}")
    client.delete_model_version("m", "1")
    for where in ({"version": 1}, {"version": 7}, {"stage": "production"}):
        assert asyncio.run(load(LoadParams.model_validate({"name": "m", "missing": None, **where}), ctx)).model is None
    client.set_model_version_tag("m", "2", "e2i.model", f"sha256:{'0' * 64}")
    with pytest.raises(StepError) as caught:
        asyncio.run(load(LoadParams(name="m", version=2, missing=None), ctx))
    assert caught.value.code == "model-changed"
