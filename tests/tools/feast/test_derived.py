"""On-demand views, push views and feature services of the store's own repository, in training and online."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from context import LocalContext
from e2i.catalog.artifacts import FeatureRepo
from e2i.errors import StepError
from e2i.tools.feast import ApplyParams, MaterializeParams, OnlineFeaturesParams, PushParams, actions
from feast_client import FeatureStore
from tools.feast.feast_case import at, join, log, run, view

RATIOS = """
import pandas as pd

def weighted(inputs: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"weighted": inputs["calls"] * inputs["weight"], "many": inputs["calls"] > 1})

def short(inputs):
    return {"weighted": [1.0]}

def fails(inputs):
    raise ValueError("no")
"""


def applied(ctx: LocalContext, function: str = "weighted", **changes: Any) -> FeatureRepo:
    (ctx.workspace / "features").mkdir(exist_ok=True)
    (ctx.workspace / "features" / "ratios.py").write_text(RATIOS)
    document: dict[str, Any] = {
        "project": "e2i",
        "entities": {"hcp": {"join_key": "hcp_id"}},
        "views": {
            "history": view(ctx.table(log()), push=True),
            "visits": {
                "entity": "hcp",
                "timestamp": "at",
                "created": "known",
                "push": True,
                "features": {"minutes": "int64"},
            },
        },
        "on_demand": {
            "ratios": {
                "file": "features/ratios.py",
                "function": function,
                "inputs": ["history:calls"],
                "request": {"weight": "float64"},
                "features": {"weighted": "float64", "many": "bool"},
            }
        },
        "services": {"plain": "history", "scoring": ["ratios:weighted", "visits", "history"]},
    }
    return run(actions.apply(ApplyParams.model_validate({**document, **changes}), ctx)).repo


def rows() -> pd.DataFrame:
    when = [at("2024-02-01"), at("2024-05-01"), at("2024-05-01")]
    return pd.DataFrame({"hcp_id": ["a", "a", "nobody"], "when": when, "weight": [10.0, 0.5, 1.0]}, index=[7, 7, 3])


def looked_up(ctx: LocalContext, repo: FeatureRepo, *features: str) -> list[dict[str, Any]]:
    keys = ({"hcp_id": "a", "weight": 3.0}, {"hcp_id": "b", "weight": None})
    params = OnlineFeaturesParams.model_validate({"repo": repo, "features": features, "entities": keys})
    return run(actions.online_features(params, ctx)).rows


def pushed(ctx: LocalContext, repo: FeatureRepo, name: str, frame: pd.DataFrame) -> FeatureRepo:
    return run(actions.push(PushParams(repo=repo, view=name, table=ctx.table(frame)), ctx)).repo


def test_a_service_with_on_demand_features_is_joined_and_looked_up(ctx: LocalContext) -> None:
    repo = applied(ctx)
    assert repo.requests == {"ratios": ("weight",)} and repo.join_keys["ratios"] == ("hcp_id",)
    assert repo.services["scoring"] == ("ratios:weighted", "visits:minutes", "history:calls")
    found = join(ctx, repo, rows(), "service:scoring", keep=("when",))
    assert list(found.columns) == ["when", "weighted", "minutes", "calls"]
    assert found.weighted.tolist()[:2] == [10.0, 1.0] and np.isnan(found.weighted.iloc[2])
    assert found.calls.tolist()[:2] == [1.0, 2.0]
    only = join(ctx, repo, rows(), "ratios", full_feature_names=True)
    assert list(only.columns) == ["hcp_id", "when", "weight", "ratios__weighted", "ratios__many"]
    assert [bool(value) for value in only.ratios__many[:2]] == [False, True]
    run(actions.materialize(MaterializeParams(repo=repo), ctx))
    online = looked_up(ctx, repo, "ratios:weighted", "history")
    assert online == [
        {"hcp_id": "a", "weight": 3.0, "weighted": 6.0, "calls": 2.0},
        {"hcp_id": "b", "weight": None, "weighted": None, "calls": 5.0},
    ]
    store = FeatureStore(repo_path=str(ctx.home("feast") / "e2i"))  # Feast's own client reads what has no code
    assert [service.name for service in store.list_feature_services()] == ["plain"]
    asked = pd.DataFrame({"hcp_id": ["a"], "event_timestamp": [at("2024-05-01")]})
    assert store.get_historical_features(asked, store.get_feature_service("plain")).to_df().calls.tolist() == [2.0]


def test_pushed_rows_are_in_another_version_offline_and_online_once(ctx: LocalContext) -> None:
    repo = applied(ctx)
    run(actions.materialize(MaterializeParams(repo=repo), ctx))
    new = pd.DataFrame(
        {
            "hcp_id": ["a", "a"],
            "event_timestamp": [at("2024-04-20"), at("2020-01-01")],
            "calls": [9, 4],
            "more": [1, 2],
        }
    )
    after = pushed(ctx, repo, "history", new)
    assert after.digest != repo.digest and pushed(ctx, repo, "history", new) == after
    assert pushed(ctx, after, "history", new) == after  # they are there already
    assert join(ctx, after, rows(), "history").calls.tolist()[:2] == [1.0, 9.0]
    assert join(ctx, repo, rows(), "history").calls.tolist()[:2] == [1.0, 2.0]
    assert [row["calls"] for row in looked_up(ctx, after, "history", "ratios")] == [9.0, 5.0]
    assert [row["calls"] for row in looked_up(ctx, repo, "history", "ratios")] == [2.0, 5.0]
    visit = {"hcp_id": ["b"], "at": [at("2024-01-01")], "known": [at("2024-03-01")], "minutes": [30.0]}
    visited = pushed(ctx, after, "visits", pd.DataFrame(visit))
    found = join(ctx, visited, rows().assign(hcp_id="b"), "visits")
    assert found.minutes.isna().tolist() == [True, False, False]  # as it was known: from March on
    for wrong, code in (({"minutes": [0.5]}, "inexact-value"), ({"hcp_id": [None]}, "null-key")):
        with pytest.raises(StepError) as caught:
            pushed(ctx, repo, "visits", pd.DataFrame({**visit, **wrong}))
        assert caught.value.code == code


def test_what_cannot_be_derived_is_named(ctx: LocalContext) -> None:
    for function, code in (("short", "bad-result"), ("fails", "user-code-failed")):
        repo = applied(ctx, function)
        with pytest.raises(StepError, match="on-demand view ratios") as caught:
            join(ctx, repo, rows(), "ratios")
        assert caught.value.code == code
    with pytest.raises(StepError, match="has no function 'missing'"):
        applied(ctx, "missing")
    with pytest.raises(StepError, match="no column 'weight'"):
        join(ctx, applied(ctx), rows().drop(columns="weight"), "ratios")
    with pytest.raises(StepError, match="history takes no rows"):
        pushed(ctx, applied(ctx, views={"history": view(ctx.table(log()))}, services={}), "history", log())
    for wrong in (
        {"visits": {"entity": "hcp", "timestamp": "at"}},
        {"history": {"entity": "hcp", "timestamp": "at", "push": True}},
    ):
        with pytest.raises(ValidationError, match="set `table`"):
            applied(ctx, views=wrong)
    with pytest.raises(StepError) as caught:
        applied(ctx, services={"bad": ["histry"]})
    assert caught.value.code == "unknown-feature-view"
