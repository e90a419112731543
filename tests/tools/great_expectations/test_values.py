"""Values of every kind become JSON of bounded size."""

import json
from datetime import date
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from e2i.tools.great_expectations.values import LONGEST, MOST, plain


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float64(1.5), 1.5),
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (float("inf"), "inf"),
        (float("nan"), "nan"),
        (pd.Timestamp("2024-01-01", tz="UTC"), "2024-01-01T00:00:00+00:00"),
        (date(2024, 1, 1), "2024-01-01"),
        (pd.NaT, "NaT"),
        (np.datetime64("2024-01-01T00:00:00", "ns"), "2024-01-01T00:00:00.000000000"),
        (np.array([1, 2]), "[1 2]"),
        (None, None),
        (Decimal("1.10"), "1.10"),
        ((1, [np.int8(2)]), [1, [2]]),
        ({1: np.float64(2)}, {"1": 2.0}),
        ("x" * 500, "x" * (LONGEST - 1) + "…"),
        (list(range(500)), list(range(MOST))),
    ],
)
def test_a_value_becomes_json_of_bounded_size(value: object, expected: object) -> None:
    got = plain(value)
    assert got == expected
    assert type(got) is type(expected)
    json.dumps(got, allow_nan=False)
