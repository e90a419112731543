"""Metrics of single classes are those of scikit-learn, each class against the rest."""

from __future__ import annotations

from typing import Any

import pytest
from sklearn.metrics import average_precision_score, precision_recall_fscore_support, roc_auc_score

from context import LocalContext
from e2i.estimators import saved
from e2i.tools.model import tables
from e2i.tools.model.actions import evaluate, train
from e2i.tools.model.params.judging import EvaluateParams
from e2i.tools.model.params.training import TrainParams
from learning import others, table


def test_each_class_has_the_figures_of_scikit_learn_in_the_table_and_on_the_page(ctx: LocalContext) -> None:
    def judged(target: str, **more: Any) -> Any:
        given = {"params": {"n_estimators": 12}, "exclude": others(target)}
        model = train(TrainParams(table=ctx.table(table(300)), target=target, **given), ctx).model
        found = evaluate(EvaluateParams(model=model, table=ctx.table(held_out), plots=False, **more), ctx)
        return model, found, ctx.frame(found.classes)

    held_out = table(200, seed=1)
    model, found, classes = judged("three")
    assert list(classes.columns) == list(tables.CLASSES) and list(classes["class"].unique()) == [
        "high",
        "low",
        "middle",
    ]
    assert (classes["low"] <= classes["estimate"]).all() and (classes["estimate"] <= classes["high"]).all()
    scorer = saved.open_model(model, ctx)
    shares = scorer.predict(held_out)
    decided = scorer.columns(shares)["prediction"]
    oracle = precision_recall_fscore_support(held_out["three"], decided, labels=["high", "low", "middle"])
    for place, label in enumerate(["high", "low", "middle"]):
        own = classes[classes["class"] == label].set_index("metric")
        truth = held_out["three"] == label
        wanted = {
            **{name: oracle[index][place] for index, name in enumerate(("precision", "recall", "f1"))},
            "roc_auc": roc_auc_score(truth, shares[:, place]),
            "average_precision": average_precision_score(truth, shares[:, place]),
        }
        assert own["estimate"].to_dict() == pytest.approx(wanted, abs=1e-9)
        assert set(own["rows"]) == {int(truth.sum())} and set(own["decided"]) == {int((decided == label).sum())}
    assert "<h2>Classes</h2>" in (ctx.open(found.report) / "index.html").read_text("utf-8")
    assert judged("three", interval=None)[2]["low"].isna().all()
    for target in ("binary", "amount"):
        assert judged(target, interval=None)[2].empty
