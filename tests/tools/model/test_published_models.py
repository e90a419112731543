"""Published figures of models are found again by the actions of the model tool, on data that other packages ship."""

from __future__ import annotations

import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer

from context import LocalContext
from e2i.estimators import saved
from e2i.tools.data.actions import folds
from e2i.tools.data.folding import FoldsParams
from e2i.tools.model.actions import cross_validate, train
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
