"""Slices with large errors: found where they were planted, described truly, and judged on rows of their own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from context import LocalContext
from e2i.errors import StepError
from e2i.estimators import metrics
from e2i.tools.model import erring, regions, tables
from e2i.tools.model.actions import errors, train
from e2i.tools.model.evaluation import Judged
from e2i.tools.model.params.inspecting import ErrorsOutputs, ErrorsParams
from e2i.tools.model.params.training import TrainParams

R = np.random.default_rng(2)


def rows(count: int = 2_000, seed: int = 3) -> pd.DataFrame:
    """The label follows ``x``, but where kind is "new" and age is above 40 it is noise. Some values are missing."""
    r = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "x": r.normal(size=count),
            "age": r.integers(20, 70, count).astype(float),
            "kind": r.choice(["new", "old", "other"], count),
            "at": pd.Timestamp("2024-01-01") + pd.to_timedelta(r.integers(0, 300, count), unit="D"),
        }
    )
    noisy = (frame["kind"] == "new") & (frame["age"] > 40)
    frame["y"] = np.where(noisy, r.random(count) < 0.5, frame["x"] > 0).astype(int)
    frame.loc[r.random(count) < 0.05, "age"] = np.nan
    frame.loc[r.random(count) < 0.05, "kind"] = None
    return frame


def run(ctx: LocalContext, **params: Any) -> ErrorsOutputs:
    given = TrainParams(table=ctx.table(rows(seed=1)), target="y", features=["x"], algorithm="LogisticRegression")
    model = train(given, ctx).model
    return errors(ErrorsParams(model=model, table=ctx.table(rows()), **params), ctx)


def test_the_planted_slice_is_found_and_judged_on_other_rows(ctx: LocalContext) -> None:
    found = run(ctx, columns=["age", "kind", "at", "x"], depth=2)
    frame = ctx.frame(found.slices)
    assert list(frame.columns) == list(tables.REGIONS)
    worst = frame.iloc[0]
    assert "kind = new" in worst["slice"] and "age > 40" in worst["slice"]
    assert worst["low"] < worst["estimate"] < worst["high"] and worst["low"] > 3 * worst["rest"] and worst["worse"]
    assert found.conclusion.startswith("Worst: log_loss") and "kind = new" in found.conclusion
    assert frame["rows"].sum() == 2_000 and frame["judged"].sum() == 1_000
    assert frame["estimate"].is_monotonic_decreasing
    text = (ctx.open(found.report) / "index.html").read_text("utf-8")
    assert text.count("<img") == 1 and "kind = new" in text


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_the_words_of_a_slice_select_its_rows(depth: int) -> None:
    frame = rows()
    wrong = R.random(2_000) + (frame["age"] > 50) + (frame["kind"].isna()) + 2 * (frame["x"] < -0.5)
    found = regions.find(frame, ["age", "kind", "x"], wrong.to_numpy(), np.arange(0, 2_000, 2), depth=depth, least=20)
    assert sorted(np.concatenate([one.places for one in found])) == list(range(2_000))
    for one in found:
        inside = np.ones(len(frame), dtype=bool)
        for condition in one.text.replace("(", "").replace(")", "").split(" and "):
            inside &= selected(frame, condition)
        assert (inside[one.places]).mean() > 0.99 and inside.sum() <= len(one.places) * 1.01  # bounds are rounded


def selected(frame: pd.DataFrame, condition: str) -> np.ndarray:
    """The rows of one condition, read as a user reads it."""
    or_null = condition.endswith(" or null")
    words = condition.removesuffix(" or null").split(" ")
    name = next(word for word in words if word in frame.columns)
    values = frame[name]
    missing = values.isna().to_numpy()
    if "=" in words or "≠" in words:
        inside = missing if words[-1] == "null" else (values == words[-1]).to_numpy()
        return ~inside if "≠" in words else inside
    inside = np.ones(len(frame), dtype=bool)
    if "≤" in words:
        inside &= (values <= float(words[-1])).to_numpy()
    if "<" in words:
        inside &= (values > float(words[0])).to_numpy()
    if ">" in words:
        inside &= (values > float(words[-1])).to_numpy()
    return inside | missing if or_null else inside & ~missing


@pytest.mark.parametrize("metric", ["log_loss", "brier", "accuracy", "mae", "rmse"])
def test_the_mean_error_of_rows_is_the_metric(metric: str) -> None:
    for classes in (2, 3) if metric in ("log_loss", "brier", "accuracy") else (0,):
        labels, predicted = R.integers(0, 2, 50), R.random(50)
        if classes == 3:
            labels, predicted = R.integers(0, 3, 50), R.dirichlet([1, 1, 1], 50)
        task = "classification" if classes else "regression"
        judged = Judged(task, tuple(range(classes)) or None, labels, predicted, 0.4, np.array(0.5))
        mean = erring.losses(judged, metric).mean()
        value = {"accuracy": 1 - mean, "rmse": mean**0.5}.get(metric, mean)
        assert metrics.score(metric, labels, predicted, threshold=0.4) == pytest.approx(value, abs=1e-12)
        part = np.arange(20, 35)
        region = regions.Region("part", part)
        (one,) = erring.judge(judged, [region], np.arange(10, 50), metric, level=0.9, groups=None, seed=0)
        rest = np.r_[10:20, 35:50]
        expected = [metrics.score(metric, labels[of], predicted[of], threshold=0.4) for of in (part, rest)]
        assert [one.estimate, one.rest] == pytest.approx(expected, abs=1e-12)


def test_rows_of_a_group_are_in_one_half_and_noise_has_no_clear_slice(ctx: LocalContext) -> None:
    groups = R.integers(0, 40, 500)
    first, second = erring.halves(500, groups, 1)
    assert sorted([*first, *second]) == list(range(500)) and not set(groups[first]) & set(groups[second])
    found = run(ctx, columns=["at"], depth=1, metric="accuracy", plots=False)
    assert found.conclusion.startswith("No slice is clearly worse than the rest.")
    with pytest.raises(StepError, match="cannot be divided"):
        run(ctx, min_rows=1_500)
