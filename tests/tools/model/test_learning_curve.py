"""Learning curves: nested draws, the same figures as fits by hand, and a conclusion that follows the curve."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from context import LocalContext
from e2i.errors import StepError
from e2i.tools.model import learning_curve as growing
from e2i.tools.model import tables
from e2i.tools.model.actions import evaluate, learning_curve, train
from e2i.tools.model.params.judging import EvaluateParams
from e2i.tools.model.params.learning import LearningCurveOutputs, LearningCurveParams
from e2i.tools.model.params.training import TrainParams
from learning import others, table

R = np.random.default_rng(4)


def run(ctx: LocalContext, target: str = "binary", **params: Any) -> LearningCurveOutputs:
    frame, held_out = table(300).assign(who=np.arange(300) // 3), table(300, seed=1)
    given: dict[str, Any] = {
        "table": ctx.table(frame),
        "held_out": ctx.table(held_out.assign(who=0)),
        "target": target,
        "exclude": [*others(target), "who"],
        "algorithm": "LogisticRegression" if target != "amount" else "Ridge",
        "shares": (0.2, 1.0),
        "repeats": 2,
        "plots": False,
    }
    return learning_curve(LearningCurveParams(**(given | params)), ctx)


def test_larger_draws_contain_smaller_ones_and_keep_the_classes() -> None:
    labels = (R.random(500) < 0.1).astype(int)
    small, large = (growing.draw(labels, True, None, share, 3) for share in (0.1, 0.5))
    assert set(small) <= set(large) and (len(small), len(large)) == (50, 250)
    assert abs(labels[small].sum() - labels.sum() / 10) <= 1 and abs(labels[large].sum() - labels.sum() / 2) <= 1
    assert list(growing.draw(labels, True, None, 1.0, 3)) == list(range(500))
    assert list(growing.draw(labels, True, None, 0.1, 4)) != list(small)
    groups = np.arange(500) // 10
    few, many = (growing.draw(labels, True, groups, share, 3) for share in (0.1, 0.5))
    assert set(few) <= set(many) and len(few) == 50 and not set(groups[few]) & set(np.delete(groups, few))
    numbers = growing.draw(R.normal(size=100), False, None, 0.25, 1)
    assert len(numbers) == 25 and list(numbers) == sorted(set(numbers))


def test_the_whole_table_has_the_figures_of_one_training(ctx: LocalContext) -> None:
    found = run(ctx, plots=True)
    curve = ctx.frame(found.curve)
    assert list(curve.columns) == list(tables.CURVE)
    whole = curve[curve["share"] == 1.0].set_index("metric")
    trained = TrainParams(
        table=ctx.table(table(300)), target="binary", exclude=others("binary"), algorithm="LogisticRegression"
    )
    fitted = train(trained, ctx)
    judged = evaluate(
        EvaluateParams(model=fitted.model, table=ctx.table(table(300, seed=1)), interval=None, plots=False), ctx
    )
    for name in ("roc_auc", "log_loss", "f1"):
        assert whole.loc[name, "train"] == pytest.approx(fitted.metrics[f"train_{name}"], abs=1e-9)
        assert whole.loc[name, "held_out"] == pytest.approx(judged.metrics[name], abs=1e-9)
    assert (whole["fits"] == 1).all() and whole["held_out_sd"].isna().all()
    part = curve[curve["share"] == 0.2].set_index("metric")
    assert (part["fits"] == 2).all() and (part["rows"] == 60).all() and part["held_out_sd"].notna().all()
    assert found.conclusion.startswith("The curve ") and "with 60 rows and" in found.conclusion
    assert found.conclusion.endswith("The best constant answer has 0.5 on the held-out rows.")
    assert ctx.metrics["held_out_roc_auc"] == whole.loc["roc_auc", "held_out"]
    text = (ctx.open(found.report) / "index.html").read_text("utf-8")
    assert text.count("<img") == 1 and "roc_auc by training rows" in text


def test_groups_regressions_and_rows_that_are_known(ctx: LocalContext) -> None:
    amount = run(ctx, "amount", group="who", metric="mae")
    assert "mae is" in amount.conclusion
    assert (ctx.frame(amount.curve)["rows"] == [60] * 4 + [300] * 4).all()
    run(ctx, "amount", held_out=ctx.table(table(300).assign(who=0)), repeats=1)
    assert any("held-out rows are training rows too" in warning for warning in ctx.warned)
    rare = table(300).assign(three="low")
    rare.loc[:1, "three"] = "high"
    with pytest.raises(StepError, match="lack a class"):
        run(ctx, "three", table=ctx.table(rare.assign(who=np.arange(300) // 3)), group="who", repeats=5)


@pytest.mark.parametrize(("last", "word"), [(0.9, "still improves"), (0.801, "is flat")])
def test_the_conclusion_compares_the_gain_with_the_spread(last: float, word: str) -> None:
    points = [
        growing.Point(0.5, 50, 3, "roc_auc", 1.0, 0.0, 0.8, 0.01),
        growing.Point(1.0, 100, 1, "roc_auc", 1.0, None, last, None),
    ]
    assert word in growing.conclusion(points)
    losses = [
        growing.Point(p.share, p.rows, p.fits, "log_loss", 0, None, 1 - p.held_out, p.held_out_sd) for p in points
    ]
    assert word in growing.conclusion(losses)
