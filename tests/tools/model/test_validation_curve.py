"""Validation curves: the figures of single trainings, paired differences, and a conclusion that follows them."""

from __future__ import annotations

from typing import Any

import pytest

from context import LocalContext
from e2i.errors import StepError
from e2i.tools.model import tables
from e2i.tools.model.actions import evaluate, train, validation_curve
from e2i.tools.model.params.judging import EvaluateParams
from e2i.tools.model.params.training import TrainParams
from e2i.tools.model.params.validating import ValidationCurveOutputs, ValidationCurveParams
from learning import others, table


def run(ctx: LocalContext, values: tuple[Any, ...], **params: Any) -> ValidationCurveOutputs:
    given: dict[str, Any] = {
        "table": ctx.table(table(300)),
        "held_out": ctx.table(table(300, seed=1)),
        "target": "binary",
        "exclude": others("binary"),
        "params": {"n_estimators": 10},
        "parameter": "max_depth",
        "plots": False,
    }
    return validation_curve(ValidationCurveParams(values=values, **(given | params)), ctx)


def test_each_value_has_the_figures_of_one_training(ctx: LocalContext) -> None:
    found = run(ctx, (1, 3, 12), plots=True)
    curve = ctx.frame(found.curve)
    assert list(curve.columns) == list(tables.VALIDATION)
    for depth in (1, 12):
        own = curve[curve["value"] == str(depth)].set_index("metric")
        params = {"n_estimators": 10, "max_depth": depth}
        fitted = train(
            TrainParams(table=ctx.table(table(300)), target="binary", exclude=others("binary"), params=params), ctx
        )
        judged = evaluate(
            EvaluateParams(model=fitted.model, table=ctx.table(table(300, seed=1)), plots=False, seed=7), ctx
        )
        for name in ("roc_auc", "log_loss", "f1"):
            assert own.loc[name, "train"] == pytest.approx(fitted.metrics[f"train_{name}"])
            assert own.loc[name, "held_out"] == pytest.approx(judged.metrics[name])
            assert own.loc[name, "low"] == pytest.approx(judged.intervals[name].low)
    auc = curve[curve["metric"] == "roc_auc"].set_index("value")
    assert found.best == int(auc["held_out"].idxmax())
    assert auc.loc[str(found.best)].isna()["worse_share"] and auc["worse_share"].dropna().between(0.4, 1).all()
    assert auc.loc["12", "train"] > auc.loc["1", "train"]
    text = (ctx.open(found.report) / "index.html").read_text("utf-8")
    assert found.conclusion.startswith(f"max_depth {found.best} has the best held-out roc_auc, 0.")
    assert found.conclusion in text and text.count("<img") == 1


def test_the_conclusion_names_clear_differences_and_ends(ctx: LocalContext) -> None:
    rates = run(ctx, (0.0001, 0.3), parameter="learning_rate", metric="log_loss")
    assert rates.best == 0.3 and "Every other value is clearly worse. It is at an end" in rates.conclusion
    same = run(ctx, (5, 6), parameter="max_delta_step", metric="log_loss", target="binary")
    assert same.best == 5 and "Not clearly worse on these rows: max_delta_step 6." in same.conclusion
    with pytest.raises(StepError, match="XGBoost has no parameter 'alpha'"):
        run(ctx, (1, 2), parameter="alpha")
