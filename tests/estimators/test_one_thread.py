"""What scikit-learn fits is the same with one BLAS thread and with several."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from e2i.estimators import fitting
from e2i.estimators.one_thread import one_thread


def rows() -> pd.DataFrame:
    chance = np.random.default_rng(3)
    matrix = chance.normal(size=(24_000, 40))
    frame = pd.DataFrame(matrix, columns=[f"x{number}" for number in range(40)])
    return frame.assign(y=matrix[:, :5].sum(axis=1) + chance.normal(size=len(frame)))


def blas() -> set[int]:
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


@pytest.mark.parametrize(
    ("algorithm", "params"),
    [
        ("Lasso", {"alpha": 0.01}), ("ElasticNet", {"alpha": 0.01}), ("LinearRegression", {}), ("Ridge", {}),
    ],
)  # fmt: skip
def test_a_model_does_not_depend_on_the_number_of_threads(algorithm: str, params: dict[str, Any]) -> None:
    frame, found = rows(), []
    for threads in (1, 2):
        with threadpool_limits(limits=threads, user_api="blas"):
            prepared = fitting.prepare(frame, None, "y", algorithm, suspicions=False)
            found.append(fitting.fit(prepared, params, seed=1, threads=threads).scorer.native.coef_)
    np.testing.assert_array_equal(*found)


def test_the_last_one_to_leave_lifts_the_limit() -> None:
    with threadpool_limits(limits=2, user_api="blas"):
        before = blas()
        first, second = one_thread(), one_thread()
        first.__enter__()
        second.__enter__()
        assert blas() == {1}
        first.__exit__(None, None, None)
        assert blas() == {1}
        second.__exit__(None, None, None)
        assert blas() == before
