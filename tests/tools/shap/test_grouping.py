"""Features followed through pipelines: where each column of the encoded rows comes from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, PolynomialFeatures, StandardScaler

from e2i.tools.shap import grouping

FRAME = pd.DataFrame({"a": [1.0, 2.0, 4.0, 8.0], "k": ["x", "y", "z", "x"], "b": [0.5, 0.1, 0.9, 0.3]})


@pytest.mark.parametrize(
    ("before", "sources"),
    [
        (make_column_transformer((OneHotEncoder(), ["k"]), remainder="passthrough"), [1, 1, 1, 0, 2]),
        (make_column_transformer((OneHotEncoder(drop="first"), [1]), remainder="drop"), [1, 1]),
        (make_column_transformer((StandardScaler(), ["b", "a"]), (OrdinalEncoder(), ["k"])), [2, 0, 1]),
        (
            ColumnTransformer(
                [("n", make_pipeline(SimpleImputer(), StandardScaler()), slice(0, 1)), ("k", OneHotEncoder(), ["k"])]
            ),
            [0, 1, 1, 1],
        ),
        (make_column_transformer((OneHotEncoder(sparse_output=True), ["k"]), ("drop", ["a"])), [1, 1, 1]),
    ],
)
def test_columns_are_followed_to_their_features(before: Any, sources: list[int]) -> None:
    model = make_pipeline(before, Ridge()).fit(FRAME, range(4))
    last, rows, found = grouping.split(model, FRAME)
    assert isinstance(last, Ridge) and list(found or ()) == sources and rows.shape == (4, len(sources))


@pytest.mark.parametrize("mixing", [PCA(1), PolynomialFeatures(), SimpleImputer(add_indicator=True)])
def test_a_step_that_mixes_features_cannot_be_followed(mixing: Any) -> None:
    model = make_pipeline(mixing, Ridge()).fit(FRAME[["a", "b"]], range(4))
    assert grouping.split(model, FRAME[["a", "b"]])[2] is None


def test_columns_of_one_feature_are_added_up() -> None:
    values = np.arange(12.0).reshape(2, 6)
    assert grouping.summed(values, [1, 1, 0, 2, 2, 2], 3, 1).tolist() == [[2.0, 1.0, 12.0], [8.0, 13.0, 30.0]]
    assert grouping.summed(values, range(6), 6, 1) is values
    pairs = np.ones((1, 3, 3))
    once = grouping.summed(pairs, [0, 0, 1], 2, 1)
    assert grouping.summed(once, [0, 0, 1], 2, 2).tolist() == [[[4.0, 2.0], [2.0, 1.0]]]
