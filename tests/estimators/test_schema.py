"""Deriving a schema from a training table, and refusing unusable columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from e2i.errors import StepError
from e2i.estimators import schema
from learning import others, table


def learn(frame: pd.DataFrame, target: str = "binary", algorithm: str = "XGBoost", **options: Any) -> schema.Schema:
    return schema.learn(frame, target, algorithm, **{"exclude": others(target), **options})


def test_times_and_nested_values_are_refused_with_the_fix() -> None:
    frame = table(50).assign(when=pd.Timestamp("2024-01-01"), parts=[[1]] * 50)
    with pytest.raises(StepError, match=r"when \(datetime64\[.*\), parts \(mixed\)") as caught:
        learn(frame)
    assert caught.value.hint is not None and "exclude: [when, parts]" in caught.value.hint
    assert "when" not in learn(frame, exclude=[*others("binary"), "when", "parts"]).names


def test_text_that_names_each_row_is_refused_unless_it_is_asked_for() -> None:
    frame = table(300).assign(key=[f"H{number:04d}" for number in range(300)])
    with pytest.raises(StepError, match=r"key \(looks like an identifier\)"):
        learn(frame)
    assert learn(frame, exclude=(), features=["b", "key"]).names == ("b", "key")


def test_the_target_is_never_a_feature() -> None:
    assert "binary" not in learn(table(50)).names
    with pytest.raises(StepError, match="is among the features"):
        learn(table(50), features=["b", "binary"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"binary": 1}, "only one class"),
        ({"binary": [None, *[1, 0] * 25][:50]}, "missing in 1 of 50 rows"),
    ],
)
def test_a_useless_target_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(StepError, match=message):
        learn(table(50).assign(**change))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"exclude": ["nothing"]}, "no column 'nothing'"),
        ({"features": ["b", "nothing"]}, "no column 'nothing'"),
        ({"exclude": ["a", "b", "count", "flag", "kind", *others("binary")]}, "no feature is left"),
    ],
)
def test_wrong_columns_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(StepError, match=message):
        learn(table(50), **options)


@pytest.mark.parametrize(
    ("values", "task"),
    [
        (["a", "b", "a"], "classification"),
        ([True, False, True], "classification"),
        ([0, 1, 1], "classification"),
        ([0.5, 1.5, 2.5], "regression"),
        ([1, 2, 3], "regression"),
    ],
)
def test_the_task_follows_from_the_target(values: list[Any], task: str) -> None:
    assert schema.infer_task(pd.Series(values)) == task


def test_categories_come_from_the_training_table_alone_and_the_rarest_are_left_out() -> None:
    frame = table(50).assign(kind=[f"c{n}" for n in range(50)])
    derived = learn(frame, exclude=(), features=["kind"])
    assert len(derived.features[0]["categories"]) == 50
    codes = derived.encode(pd.DataFrame({"kind": ["c0", "other", None]}))
    assert codes[0, 0] == 0.0 and np.isnan(codes[1:, 0]).all()


def test_linear_features_are_filled_and_standardised_by_training_statistics() -> None:
    frame = table(200)
    derived = learn(frame, algorithm="LogisticRegression")
    encoded = derived.encode(frame)
    assert encoded.shape == (200, 4 + 4)
    assert np.allclose(encoded[:, :4].mean(axis=0), 0.0) and np.allclose(encoded[:, :4].std(axis=0), 1.0)
    assert derived.features[0]["fill"] == pytest.approx(frame["a"].median(), abs=1e-6)


def test_infinite_and_textual_numbers_are_refused_by_name() -> None:
    derived = learn(table(50))
    with pytest.raises(StepError, match="'b' contains infinite"):
        derived.encode(table(50).assign(b=np.inf))
    with pytest.raises(StepError, match="'b' must be numeric"):
        derived.encode(table(50).assign(b="much"))


def test_every_numeric_type_is_read_alike() -> None:
    frame = table(50)
    derived = learn(frame)
    exact = derived.encode(frame)
    loose = frame.assign(
        count=frame["count"].astype("Int64"), flag=frame["flag"].astype(object), b=frame["b"].astype("Float64")
    )
    assert np.array_equal(derived.encode(loose), exact, equal_nan=True)
    assert np.array_equal(derived.encode(frame.astype({"kind": "category"})), exact, equal_nan=True)


def test_labels_unknown_to_the_training_table_are_named() -> None:
    derived = learn(table(100), "three", task="classification")
    with pytest.raises(StepError, match="classes that the training table lacks: enormous"):
        derived.labels(pd.DataFrame({"three": ["low", "enormous"]}))
