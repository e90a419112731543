"""Disparities between groups: equal to fairlearn's, with intervals, and a gate that fails the step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as theirs

from context import LocalContext
from e2i.catalog.artifacts import Model
from e2i.errors import StepError
from e2i.tools.model import fairness as judging
from e2i.tools.model import slicing, tables
from e2i.tools.model.actions import fairness, train
from e2i.tools.model.evaluation import Judged
from e2i.tools.model.params.inspecting import FairnessOutputs, FairnessParams
from e2i.tools.model.params.training import TrainParams
from learning import others, table

R = np.random.default_rng(11)
LABELS = R.integers(0, 2, 400)
GROUPS = R.choice(["a", "b", "c"], 400, p=[0.5, 0.3, 0.2])
PREDICTED = np.clip(0.25 * LABELS + 0.7 * R.random(400) + 0.1 * (GROUPS == "b"), 0, 1)
FAIRLEARN = {
    "demographic_parity_difference": 0.14974182444061956,
    "demographic_parity_ratio": 0.7379518072289157,
    "equal_opportunity_difference": 0.19956140350877194,
    "equalized_odds_difference": 0.19956140350877194,
    "equalized_odds_ratio": 0.7188160676532769,
    "precision_difference": 0.06770833333333337,
    "accuracy_difference": 0.10039198606271771,
}
"""Of these rows by fairlearn 0.15.0: its functions of these names, and ``MetricFrame(…).difference()``."""
FAIRLEARN_MAE = (0.050194598462211026, 0.8714261711959614)
"""``difference()`` and ``ratio()`` of the mean absolute error of the probabilities."""


def apart(rows: Judged, groups: np.ndarray = GROUPS, level: float = 0.95) -> dict[str, judging.Apart]:
    slices = slicing.cut(pd.DataFrame({"group": groups}), ["group"])
    measured, found = judging.measure(rows, slices, level=level, groups=None, seed=1)
    assert [one.value for one in measured] == [one.value for one in slices]
    return {one.metric: one for one in found}


def test_disparities_are_those_of_fairlearn() -> None:
    binary = Judged("classification", (0, 1), LABELS, PREDICTED, 0.5, np.array([0.5, 0.5]))
    found = apart(binary)
    assert {name: one.estimate for name, one in found.items()} == pytest.approx(FAIRLEARN, abs=1e-9)
    for one in found.values():
        low, high = one.bounds(0.9) or (0, 0)
        assert low < high and one.lowest != one.highest
    numbers = Judged("regression", None, LABELS.astype(float), PREDICTED, 0.5, np.array(0.5))
    regression = apart(numbers)
    assert (regression["mae_difference"].estimate, regression["mae_ratio"].estimate) == pytest.approx(FAIRLEARN_MAE)
    many = Judged(
        "classification", ("x", "y", "z"), R.integers(0, 3, 400), R.dirichlet([1, 1, 1], 400), 0.5, np.ones(3) / 3
    )
    shares = [theirs.accuracy_score(many.labels[g == GROUPS], many.predicted[g == GROUPS].argmax(1)) for g in "abc"]
    assert {name: one.estimate for name, one in apart(many).items()} == pytest.approx(
        {"accuracy_difference": max(shares) - min(shares)}
    )


def test_a_rate_that_a_group_does_not_have_is_not_compared() -> None:
    labels = np.where(GROUPS == "c", 0, LABELS)
    rows = Judged("classification", (0, 1), labels, PREDICTED, 0.5, np.array([0.5, 0.5]))
    recalls = [theirs.recall_score(labels[g == GROUPS], PREDICTED[g == GROUPS] >= 0.5) for g in "ab"]
    found = apart(rows)["equal_opportunity_difference"]
    assert found.estimate == pytest.approx(abs(recalls[0] - recalls[1])) and found.bounds(0.9) is not None
    alone = apart(rows, np.full(400, "a"))
    assert alone == {}


@pytest.fixture
def model(ctx: LocalContext) -> Model:
    given = TrainParams(
        table=ctx.table(table(300)), target="binary", params={"n_estimators": 10}, exclude=others("binary")
    )
    return train(given, ctx).model


def run(ctx: LocalContext, model: Model, **params: Any) -> FairnessOutputs:
    return fairness(FairnessParams(model=model, table=ctx.table(table(300, seed=1)), **params), ctx)


def test_it_reports_groups_and_fails_beyond_a_limit(ctx: LocalContext, model: Model) -> None:
    found = run(ctx, model, by=["kind", "flag"], min_rows=60, plots=True)
    assert any("fewer than 60 rows are not compared: (null)" in warning for warning in ctx.warned)
    disparities, groups = ctx.frame(found.disparities), ctx.frame(found.groups)
    assert list(disparities.columns) == list(tables.DISPARITIES) and list(groups.columns) == list(tables.SLICES)
    assert set(disparities["by"]) == {"kind", "flag"} and set(groups["value"]) == {"w", "x", "y", "z", "true", "false"}
    parity = disparities[disparities["metric"] == "demographic_parity_difference"]
    assert found.worst["demographic_parity_difference"] == parity["estimate"].max()
    assert ctx.metrics["demographic_parity_difference"] == parity["estimate"].max()
    assert parity.set_index("by").loc["kind", "highest"] == "x"
    text = (ctx.open(found.report) / "index.html").read_text("utf-8")
    assert text.count("<img") == 2 and "positive class: 1" in text


def test_limits_are_a_gate(ctx: LocalContext, model: Model) -> None:
    with pytest.raises(
        StepError, match=r"demographic_parity_difference by kind is 0\.\d+, not at most 0\.1 .*highest x"
    ):
        run(ctx, model, by=["kind"], plots=False, at_most={"demographic_parity_difference": 0.1})
    with pytest.raises(StepError, match=r"the bound of the 90% interval of demographic_parity_ratio .* at least 0\.9"):
        run(ctx, model, by=["kind"], plots=False, at_least={"demographic_parity_ratio": 0.9, "confidence": 0.9})
    with pytest.raises(StepError, match="fewer than two groups"):
        run(ctx, model, by=["kind"], plots=False, min_rows=90, at_most={"accuracy_difference": 0.9})
    with pytest.raises(ValueError, match=r"at_most takes .*not demographic_parity_ratio"):
        run(ctx, model, by=["kind"], at_most={"demographic_parity_ratio": 0.9})
