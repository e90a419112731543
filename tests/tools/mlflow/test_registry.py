"""Versions and stages: the five stages of the platform on a registry that knows aliases, numbers that are numbers."""

from __future__ import annotations

import asyncio
from typing import get_args

import pytest
from pydantic import ValidationError

from context import LocalContext
from e2i.tools.mlflow import PromoteParams, RegisterParams, Stage
from e2i.tools.mlflow.actions import promote, register
from small_model import small_model

mlflow = pytest.importorskip("mlflow")


def test_a_version_can_take_every_stage_of_the_platform_and_its_number_is_a_whole_number(ctx: LocalContext) -> None:
    model, _ = small_model(ctx)
    version = asyncio.run(register(RegisterParams(model=model, name="hcp"), ctx)).version
    client = mlflow.MlflowClient(f"sqlite:///{ctx.home('mlflow') / 'mlflow.db'}")
    assert version.version == 1 and isinstance(version.version, int)
    assert set(get_args(Stage)) == {"development", "staging", "shadow", "production", "archived"}
    for stage in get_args(Stage):
        promoted = asyncio.run(promote(PromoteParams(version=version, stage=stage), ctx)).version
        aliases = client.get_registered_model("hcp").aliases
        assert {alias: int(number) for alias, number in aliases.items()} == ({} if stage == "archived" else {stage: 1})
        assert client.get_model_version("hcp", "1").tags["stage"] == stage
        assert (promoted.version, promoted.alias) == (1, None if stage == "archived" else stage)


@pytest.mark.parametrize("stage", ["Production", "Shadow", "latest", "v1", "None"])
def test_a_stage_is_one_of_five_words(ctx: LocalContext, stage: str) -> None:
    model, _ = small_model(ctx)
    version = {"type": "model_version", "digest": model.digest, "name": "hcp", "version": 1, "uri": "x", "run": "r"}
    with pytest.raises(ValidationError, match="production"):
        PromoteParams.model_validate({"version": version, "stage": stage})
