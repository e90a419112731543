"""Slices of an evaluation: equal to the evaluation of their rows, with intervals that cover what they should."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import e2i
from context import LocalContext
from e2i.errors import StepError
from e2i.tools.model import slicing, tables
from e2i.tools.model.actions import evaluate, train
from e2i.tools.model.params.judging import EvaluateOutputs, EvaluateParams
from e2i.tools.model.params.training import TrainParams
from learning import others, table


def judged(ctx: LocalContext, frame: pd.DataFrame, target: str = "binary", **params: Any) -> EvaluateOutputs:
    rows = table(400)
    fitted = TrainParams(table=ctx.table(rows), target=target, params={"n_estimators": 12}, exclude=others(target))
    model = train(fitted, ctx).model
    return evaluate(EvaluateParams(model=model, table=ctx.table(frame), **{"plots": False, **params}), ctx)


def values(ctx: LocalContext, found: EvaluateOutputs, by: str, metric: str) -> dict[str, float]:
    frame = ctx.frame(found.slices)
    rows = frame[(frame["by"] == by) & (frame["metric"] == metric)]
    return dict(zip(rows["value"], rows["estimate"], strict=True))


def test_a_slice_has_the_metrics_of_its_rows(ctx: LocalContext) -> None:
    frame = table(500, seed=1)
    found = judged(ctx, frame, by=["kind", "flag", "a"], threshold=0.4, interval=None)
    own: dict[str, pd.DataFrame] = {str(key): rows for key, rows in frame.groupby("kind")} | {
        "(null)": frame[frame["kind"].isna()]
    }
    by_kind = {name: judged(ctx, rows, threshold=0.4, interval=None).metrics for name, rows in own.items()}
    for metric in ("roc_auc", "log_loss", "f1"):
        assert values(ctx, found, "kind", metric) == pytest.approx(
            {name: measured[metric] for name, measured in by_kind.items()}, abs=1e-9
        )
    slices = ctx.frame(found.slices)
    counts = slices[slices["metric"] == "log_loss"].groupby("by", sort=False)["rows"].sum()
    assert counts.to_dict() == dict.fromkeys(["kind", "flag", "a"], 500)
    assert set(values(ctx, found, "flag", "accuracy")) == {"true", "false"}
    quartiles = list(values(ctx, found, "a", "accuracy"))
    assert len(quartiles) == 5 and quartiles[0].startswith("≤ ") and quartiles[-1] == "(null)"
    assert list(slices.columns) == list(tables.SLICES)
    assert slices["low"].isna().all()


def test_slices_have_intervals_and_the_details_of_their_task(ctx: LocalContext) -> None:
    three = judged(ctx, table(200, seed=1), "three", by=["flag"], plots=True)
    assert {"f1_weighted", "roc_auc_micro", "top_2_accuracy"} <= set(three.metrics) & set(three.intervals)
    assert set(values(ctx, three, "flag", "top_2_accuracy")) == {"true", "false"}
    slices = ctx.frame(three.slices)
    assert slices["low"].notna().all() and (slices["low"] <= slices["estimate"]).mean() > 0.9
    text = (ctx.open(three.report) / "index.html").read_text("utf-8")
    assert "<h2>roc_auc by flag</h2>" in text and text.count("<img") == 2
    amount = judged(ctx, table(200, seed=2), "amount", quantile=0.5)
    assert amount.metrics["pinball"] == pytest.approx(amount.metrics["mae"] / 2)
    assert 0 < amount.intervals["share_below"].low < amount.intervals["share_below"].high < 1
    assert ctx.frame(amount.slices).empty and list(ctx.frame(amount.slices).columns) == list(tables.SLICES)


def test_times_many_values_and_small_slices() -> None:
    times = pd.DataFrame({"at": pd.date_range("2024-01-30", periods=60)})
    assert [(one.value, len(one.places)) for one in slicing.cut(times, ["at"])] == [
        ("2024-01", 2),
        ("2024-02", 29),
        ("2024-03", 29),
    ]
    many = pd.DataFrame({"city": [f"c{number:03}" for number in range(100) for _ in range(1 + number % 2)]})
    cut = slicing.cut(many, ["city"])
    assert len(cut) == slicing.MOST + 1 and cut[-1].value == slicing.OTHER
    assert sorted(np.concatenate([one.places for one in cut])) == list(range(150))
    with pytest.raises(StepError, match="no column 'town'"):
        slicing.cut(many, ["town"])


SPEC = """version: 1
name: judged
steps:
  data: {uses: dataset.hcp}
  split: {uses: data.split, with: {table: "${{ steps.data.journeys }}", strategy: entity, by: hcp_id}}
  train:
    uses: model.train
    with: {table: "${{ steps.split.train }}", target: target, task: classification, features: [region]}
  judge:
    uses: model.evaluate
    with:
      model: ${{ steps.train.model }}
      table: ${{ steps.split.test }}
      group: hcp_id
"""


@pytest.mark.parametrize(
    ("line", "code", "column"),
    [
        ("      by: [region, regoin]", "unknown-column", 20),
        ("      by: [region, target]", "bad-slice", 20),
        ("      by: [region, region]", "bad-slice", 20),
        ("      by: [region, hcp_id]", "bad-slice", 20),
        ("      at_most: {rmse: 3}", "wrong-metric", 17),
    ],
)
def test_a_mistake_is_found_before_anything_runs(line: str, code: str, column: int) -> None:
    (found,) = e2i.validate(SPEC + line + "\n").to_json()["problems"]
    assert (found["code"], found["line"], found["column"]) == (code, 15, column)
