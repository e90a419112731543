"""``mlflow.find`` and ``mlflow.compare``: the best registered version, and a candidate against the champion."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import ValidationError

from context import LocalContext
from e2i.catalog.artifacts import Model
from e2i.catalog.columns import UNKNOWN, KnownModel, KnownTable
from e2i.catalog.lineage import Rows
from e2i.errors import StepError
from e2i.tools.mlflow import PromoteParams, RegisterParams, columns
from e2i.tools.mlflow.actions import compare, find, promote, register
from e2i.tools.mlflow.asked import CompareParams, FindParams
from small_model import small_frame, small_model

pytest.importorskip("mlflow")


def found(ctx: LocalContext, **asked: Any) -> Any:
    return asyncio.run(find(FindParams.model_validate({"name": "hcp", "metric": "roc_auc", **asked}), ctx))


def compared(ctx: LocalContext, model: Model, **asked: Any) -> Any:
    asked = {"name": "hcp", "metric": "roc_auc", "table": ctx.table(small_frame()), **asked}
    return asyncio.run(compare(CompareParams.model_validate({"model": model, **asked}), ctx))


def moved(ctx: LocalContext, version: Any, stage: str, **more: Any) -> Any:
    return asyncio.run(promote(PromoteParams.model_validate({"version": version, "stage": stage, **more}), ctx))


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Three versions with metrics and tags, in three stages, and their models."""
    ctx = LocalContext(tmp_path_factory.mktemp("three"))
    about = [({"roc_auc": 0.7, "cost": 3.0}, "a"), ({"roc_auc": 0.9, "cost": 9.0}, "b"), ({"roc_auc": 0.8}, "a")]
    models, versions = [], []
    for seed, (metrics, team) in enumerate(about):
        model, _ = small_model(ctx, params={"n_estimators": 2 + 3 * seed, "max_depth": 1 + seed})
        given = RegisterParams(model=model, name="hcp", metrics=metrics, tags={"team": team})
        versions.append(asyncio.run(register(given, ctx)).version)
        models.append(model)
    moved(ctx, versions[0], "production")
    yield ctx, models, versions
    ctx.close()


def test_the_best_version_is_found_by_metric_tags_and_stages(three: Any) -> None:
    ctx, models, _ = three
    best = found(ctx)
    assert (best.version.version, best.value, best.stage, best.candidates) == (2, 0.9, "development", 3)
    assert best.model.digest == models[1].digest and best.metrics == {"roc_auc": 0.9, "cost": 9.0}
    assert found(ctx, tags={"team": "a"}).version.version == 3
    assert found(ctx, metric="cost", direction="minimize").version.version == 1
    assert found(ctx, direction="minimize").version.version == 1
    production = found(ctx, stages=["production"])
    assert (production.version.version, production.version.alias) == (1, "production")
    nothing = found(ctx, tags={"team": "c"}, missing=None)
    assert (nothing.version, nothing.model, nothing.value, nothing.candidates) == (None, None, None, 0)
    assert found(ctx, name="other", missing=None).candidates == 0
    for asked, code in (({"tags": {"team": "c"}}, "unknown-version"), ({"metric": "rmse"}, "unknown-metric")):
        with pytest.raises(StepError) as caught:
            found(ctx, **asked)
        assert caught.value.code == code
    with pytest.raises(ValidationError, match="set `direction`"):
        FindParams(name="hcp", metric="cost")


def test_a_candidate_is_compared_with_the_champion_on_the_same_rows(three: Any) -> None:
    ctx, models, _ = three
    better = compared(ctx, models[2])
    assert better.better and better.version.version == 1 and better.version.alias == "production"
    assert better.improvement == pytest.approx(better.candidate["roc_auc"] - better.champion["roc_auc"])
    assert better.improvement > 0 and set(better.candidate) == set(better.champion)
    assert not compared(ctx, models[2], by=better.improvement + 0.01).better
    same = compared(ctx, models[0])
    assert (same.better, same.improvement) == (False, 0.0)
    assert compared(ctx, models[2], metric="log_loss").better
    for asked, code in (
        ({"required": True}, "not-better"),
        ({"stage": "shadow"}, "no-champion"),
        ({"metric": "rmse"}, "wrong-metric"),
    ):
        with pytest.raises(StepError) as caught:
            compared(ctx, models[0], **asked)
        assert caught.value.code == code
    alone = compared(ctx, models[0], stage="shadow", no_champion="better")
    assert alone.better and alone.champion is None and alone.version is None


def test_a_version_that_gives_way_to_another_is_in_development_with_a_warning(three: Any) -> None:
    ctx, _, versions = three
    moved(ctx, versions[1], "staging")
    assert not ctx.warned
    assert moved(ctx, versions[2], "staging", archive_existing=False).previous == 2
    assert ctx.warned == ["version 2 of 'hcp' was moved to development: staging holds one version"]
    assert found(ctx, stages=["development"]).version.version == 2


def test_the_plan_knows_what_may_be_null_and_which_rows_judge_nobody() -> None:
    rows = KnownTable({"a": "double", "y": "int64"}, rows=Rows("data.table"))
    model = KnownModel("y", ("a",), "classification", rows.rows)
    assert columns.find({"missing": None}, None).may_be_null == {"model", "version", "value", "stage"}  # type: ignore[arg-type]
    assert not columns.find({"missing": "fail"}, None).may_be_null  # type: ignore[arg-type]
    flow = columns.compare({"model": model, "table": rows, "no_champion": "better"}, None)  # type: ignore[arg-type]
    assert [problem.code for problem in flow.problems] == ["trained-on"]
    assert "roc_auc" in flow.outputs["candidate"].keys and "rmse" not in flow.outputs["candidate"].keys
    assert flow.may_be_null == {"improvement", "champion", "version"}
    asked = {"version": model, "if_better": {"metric": "roc_auc", "table": rows}}
    (problem,) = columns.promote(asked, None).problems  # type: ignore[arg-type]
    assert (problem.code, problem.path) == ("trained-on", ("if_better", "table"))
    assert not columns.promote({"version": model, "if_better": UNKNOWN}, None).problems  # type: ignore[arg-type]
