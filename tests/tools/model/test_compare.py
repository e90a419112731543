"""Comparisons of models: paired, equal to the resampled metrics of scikit-learn, and right about noise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn import metrics as theirs

from context import LocalContext
from e2i.catalog.artifacts import Model
from e2i.errors import StepError
from e2i.estimators import intervals, metrics
from e2i.tools.model import comparing, tables
from e2i.tools.model.actions import compare, train
from e2i.tools.model.evaluation import Judged
from e2i.tools.model.params.comparing import CompareOutputs, CompareParams
from e2i.tools.model.params.training import TrainParams
from learning import others, table

R = np.random.default_rng(5)
LABELS = R.integers(0, 2, 200)
GROUPS = np.arange(200) // 4


def judged(noise: float, seed: int = 0) -> Judged:
    predicted = 1 / (1 + np.exp(-(LABELS * 2 - 1 + np.random.default_rng(seed).normal(0, noise, 200))))
    return Judged("classification", (0, 1), LABELS, predicted, 0.5, np.array([0.5, 0.5]))


def differ(one: Judged, other: Judged, groups: np.ndarray | None = None, level: float = 0.95) -> Any:
    rows = {"one": one, "other": other}
    values = {name: metrics.evaluate("classification", given.labels, given.predicted) for name, given in rows.items()}
    found = comparing.differ(rows, values, "other", level=level, groups=groups, seed=3)
    return {difference.metric: difference for difference in found}


@pytest.mark.parametrize("groups", [np.arange(200), GROUPS])
def test_resamples_of_both_models_are_the_same_and_measured_as_scikit_learn_does(groups: np.ndarray) -> None:
    one, other = judged(1.0), judged(2.0, 1)
    found = differ(one, other, groups, level=0.9)
    drawn = [intervals.draws(rows.measurable(), groups=groups, seed=3) for rows in (one, other)]
    weights = next(iter(intervals.resamples(200, groups, 3)))
    measures = {"roc_auc": theirs.roc_auc_score, "log_loss": theirs.log_loss, "brier": theirs.brier_score_loss}
    for name, measure in measures.items():
        change = drawn[0][name] - drawn[1][name]
        for index in range(10):
            pair = [measure(LABELS, rows.predicted, sample_weight=weights[index]) for rows in (one, other)]
            assert change[index] == pytest.approx(pair[0] - pair[1], abs=1e-9)
        assert found[name].difference == pytest.approx(
            measure(LABELS, one.predicted) - measure(LABELS, other.predicted), abs=1e-9
        )
        assert (found[name].low, found[name].high) == pytest.approx(tuple(np.quantile(change, [0.05, 0.95])))
        assert found[name].better_share == ((change > 0) if name == "roc_auc" else (change < 0)).mean()
        assert found[name].sign == 1


def test_a_model_equals_itself_and_a_paired_interval_is_narrow() -> None:
    one = judged(1.5)
    same = differ(one, one)["log_loss"]
    assert (same.difference, same.low, same.high, same.better_share, same.sign) == (0, 0, 0, 0.5, 0)
    near = Judged("classification", (0, 1), LABELS, one.predicted * 0.98 + 0.01, 0.5, one.constant)
    paired = differ(one, near)["log_loss"]
    alone = intervals.bootstrap("classification", LABELS, one.predicted)["log_loss"]
    assert paired.high - paired.low < 0.1 * (alone[1] - alone[0])


@pytest.mark.slow
def test_comparisons_of_noise_are_rarely_decided() -> None:
    """Two models that are equally good: at 95 % about one in twenty comparisons is decided."""
    decided = [differ(judged(2.0, seed), judged(2.0, seed + 1_000))["brier"].sign != 0 for seed in range(60)]
    assert sum(decided) <= 8


@pytest.fixture
def models(ctx: LocalContext) -> dict[str, Model]:
    def fitted(features: list[str], target: str = "binary") -> Model:
        given = {"features": features, "params": {"n_estimators": 10}, "exclude": others(target)}
        return train(TrainParams(table=ctx.table(table(300)), target=target, **given), ctx).model

    return {"all": fitted(["a", "b", "kind"]), "less": fitted(["a"]), "amount": fitted(["a"], "amount")}


def run(ctx: LocalContext, models: Any, **params: Any) -> CompareOutputs:
    return compare(CompareParams(models=models, table=ctx.table(table(300, seed=1)), **params), ctx)


def test_the_conclusion_says_which_model_is_better(ctx: LocalContext, models: dict[str, Model]) -> None:
    found = run(ctx, {name: models[name] for name in ("all", "less")})
    assert found.worse == ["less"] and found.better == []
    assert found.conclusion.startswith("less is worse than all: roc_auc 0.") and "(95% interval -0." in found.conclusion
    frame = ctx.frame(found.differences)
    assert list(frame.columns) == list(tables.DIFFERENCES) and set(frame["metric"]) >= {"roc_auc", "log_loss", "f1"}
    assert ctx.metrics["difference"] == found.metrics["less"]["roc_auc"] - found.metrics["all"]["roc_auc"]
    text = (ctx.open(found.report) / "index.html").read_text("utf-8")
    assert found.conclusion in text and text.count("<img") == 1


def test_several_models_and_what_cannot_be_compared(ctx: LocalContext, models: dict[str, Model]) -> None:
    three = run(ctx, [models["less"], models["all"], models["less"]], reference="XGBoost 2", plots=False)
    assert three.worse == ["XGBoost 1", "XGBoost 3"] and "hold together at 95%" in three.conclusion
    with pytest.raises(StepError, match="predicts amount"):
        run(ctx, {"one": models["all"], "two": models["amount"]})
    with pytest.raises(StepError, match="no model is named 'three'"):
        run(ctx, {"one": models["all"], "two": models["less"]}, reference="three")
