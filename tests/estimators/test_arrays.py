"""A program's tables and labels, read in any form."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from scipy import sparse

from e2i.errors import StepError
from e2i.estimators import arrays

FRAME = pd.DataFrame({"a": [1.0, 2.0], "b": [0.0, 1.0]})


@pytest.mark.parametrize(
    "form",
    [FRAME, pl.DataFrame(FRAME), pl.LazyFrame(FRAME), pa.Table.from_pandas(FRAME), pl.DataFrame(FRAME).to_arrow()],
)
def test_frames_become_frames_of_pandas(form: Any) -> None:
    pd.testing.assert_frame_equal(pd.DataFrame(arrays.features(form, "X")), FRAME)
    assert arrays.names(arrays.features(form, "X"), ["x", "y"]) == ["a", "b"]


@pytest.mark.parametrize("form", [FRAME.to_numpy(), FRAME.to_numpy().tolist(), sparse.csr_matrix(FRAME.to_numpy())])
def test_arrays_have_the_names_of_the_model(form: Any) -> None:
    found = arrays.features(form, "X")
    assert np.array_equal(found, FRAME.to_numpy())
    assert arrays.names(found) == ["f0", "f1"] and arrays.names(found, ["x", "y"]) == ["x", "y"]


@pytest.mark.parametrize("form", [[], [1, 2], np.zeros((0, 2)), np.zeros((2, 0)), FRAME.a])
def test_what_is_no_table_is_refused(form: Any) -> None:
    with pytest.raises(StepError, match="`X_val`"):
        arrays.features(form, "X_val")


@pytest.mark.parametrize(
    "form", [["a", "b"], pd.Series(["a", "b"]), pl.Series(["a", "b"]), pa.array(["a", "b"]), np.array([["a"], ["b"]])]
)
def test_labels_have_any_form(form: Any) -> None:
    found = arrays.labels(form, "y", 2)
    assert found.tolist() == ["a", "b"]
    assert arrays.positions(found, arrays.classes_of(found, "y"), "y").tolist() == [0, 1]


def test_labels_that_do_not_fit_are_refused() -> None:
    for form, said in ((["a"], "2 rows"), ([1, None], "missing in 1 of 2"), ([[1, 2], [3, 4]], "2 rows")):
        with pytest.raises(StepError, match=said):
            arrays.labels(form, "y", 2)
    with pytest.raises(StepError, match="several types"):
        arrays.classes_of(np.array(["a", 1], dtype=object), "y")
    with pytest.raises(StepError, match="labels that the training labels lack: c"):
        arrays.positions(np.array(["a", "c"]), np.array(["a", "b"]), "y")
    with pytest.raises(StepError, match="must be numeric"):
        arrays.numbers(np.array(["a"]), "y")
    with pytest.raises(StepError, match="infinite"):
        arrays.numbers(np.array([np.inf]), "y")
