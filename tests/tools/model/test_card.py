"""Model cards: what they say, in three forms, and the version in MLflow that they describe."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from context import LocalContext
from e2i.catalog.artifacts import Model
from e2i.errors import StepError
from e2i.tools.mlflow import RegisterParams
from e2i.tools.mlflow.actions import register
from e2i.tools.mlflow.cards import LONGEST, described
from e2i.tools.model import card_text
from e2i.tools.model.actions import card, errors, evaluate, fairness, train
from e2i.tools.model.card_text import Card, Sliced
from e2i.tools.model.params.card import CardParams
from e2i.tools.model.params.inspecting import ErrorsParams, FairnessParams
from e2i.tools.model.params.judging import EvaluateOutputs, EvaluateParams
from e2i.tools.model.params.training import TrainParams
from learning import others, table


@pytest.fixture
def model(ctx: LocalContext) -> Model:
    given = TrainParams(
        table=ctx.table(table(300)), target="binary", exclude=others("binary"), algorithm="LogisticRegression"
    )
    return train(given, ctx).model


def judged(ctx: LocalContext, model: Model) -> EvaluateOutputs:
    given = EvaluateParams(model=model, table=ctx.table(table(300, seed=1)), by=["flag"], plots=False, group="count")
    return evaluate(given, ctx)


def test_a_card_has_the_figures_of_the_steps_in_three_forms(ctx: LocalContext, model: Model) -> None:
    rows = ctx.table(table(300, seed=1))
    found = judged(ctx, model)
    where = errors(ErrorsParams(model=model, table=rows, columns=["kind"], depth=1, plots=False), ctx)
    fair = fairness(FairnessParams(model=model, table=rows, by=["flag"], plots=False), ctx)
    made = card(
        CardParams.model_validate(
            {
                "model": model,
                "intended_use": "To | test *cards*.\n<script>alert(1)</script>",
                "not_for": ["people"],
                "training": ctx.table(table(300)),
                "test": rows,
                "evaluation": found.model_dump(),
                "errors": where.model_dump(),
                "fairness": fair.model_dump(),
            }
        ),
        ctx,
    ).card
    folder = ctx.open(made)
    content = json.loads((folder / "card.json").read_text("utf-8"))
    assert {one["name"]: one["value"] for one in content["metrics"]} == pytest.approx(found.metrics)
    roc_auc = next(one for one in content["metrics"] if one["name"] == "roc_auc")
    assert (roc_auc["low"], roc_auc["high"]) == pytest.approx(
        (found.intervals["roc_auc"].low, found.intervals["roc_auc"].high)
    )
    columns = {one["name"]: one for one in content["data"]["columns"]}
    assert content["data"]["rows"] == 300 and columns["binary"]["role"] == "target"
    assert columns["a"]["missing"] == pytest.approx(table(300)["a"].isna().mean()) and columns["kind"]["distinct"] == 4
    assert content["calibration"]["rows"] == 300 and 0 < content["calibration"]["expected_error"] < 0.3
    assert sum(point["rows"] for point in content["calibration"]["curve"]) == 300
    assert {one["by"] for one in content["slices"]} == {"flag"} == {one["by"] for one in content["fairness"]}
    assert content["errors"] == where.conclusion and content["schema_version"] == 1
    text = (folder / "card.md").read_text("utf-8")
    page = (folder / "index.html").read_text("utf-8")
    parts = ["Intended use", "Not for", "Model", "Training data", "Metrics", "By flag", "Calibration", "Fairness"]
    assert [line[3:] for line in text.splitlines() if line.startswith("## ")] == [
        *parts[:-1],
        "Where it is wrong",
        parts[-1],
    ]
    assert "To \\| test \\*cards\\*. \\<script\\>" in text and "<script>" not in page
    assert ctx.attachments["model_card"]["digest"] == made.digest


def test_a_card_needs_only_a_model_and_its_use(ctx: LocalContext, model: Model) -> None:
    given: dict[str, Any] = {"model": model, "intended_use": "To test."}
    made = card(CardParams(**given), ctx).card
    text = (ctx.open(made) / "card.md").read_text("utf-8")
    assert "## Metrics" not in text and "LogisticRegression, classification of binary" in text
    assert described(None, ctx) == "" and described(made, ctx) == text
    loud = Sliced(by="<b>x</b>\n# Approved", value="=== ", rows=1, metric="f1", estimate=-0.5, low=None, high=None)
    content = msgspec.json.decode((ctx.open(made) / "card.json").read_bytes(), type=Card)
    shown = card_text.markdown("x", replace(content, slices=[loud], not_for=["- a", "1. b", "-0.5"])).splitlines()
    assert "## By \\<b\\>x\\</b\\> \\# Approved" in shown, "the name of a column is no markup"
    assert {"- \\- a", "- 1\\. b", "- -0.5"} < set(shown) and any(line.startswith("| \\=== | 1 |") for line in shown)
    long = card(CardParams(**given, limitations=["x" * 400] * 20), ctx).card
    short = described(long, ctx)
    assert len(short) <= LONGEST and short.endswith("artifacts of the run: model_card")
    with pytest.raises(StepError, match="is no card of a model"):
        described(judged(ctx, model).report, ctx)


@pytest.mark.slow
def test_a_registered_version_has_its_card(ctx: LocalContext, model: Model) -> None:
    made = card(CardParams(model=model, intended_use="To test."), ctx).card
    ctx.attachments.clear()
    version = asyncio.run(register(RegisterParams(model=model, name="cards", card=made), ctx)).version
    assert ctx.attachments["model_card"]["digest"] == made.digest
    import mlflow

    client = mlflow.MlflowClient(ctx.settings("mlflow").tracking_uri or f"sqlite:///{ctx.home('mlflow')}/mlflow.db")
    found = client.get_model_version("cards", str(version.version))
    assert "## Intended use" in found.description
