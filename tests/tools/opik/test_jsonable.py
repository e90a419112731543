from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2i.tools.opik.jsonable import DEEPEST, LARGEST, bounded, jsonable


class Silent:
    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.int64(3), 3),
        (np.float32("nan"), "nan"),
        (float("inf"), "inf"),
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00+00:00"),
        (b"abc", "(3 bytes)"),
        ((1, {2}), [1, [2]]),
        ({1: None}, {"1": None}),
        (np.zeros((2, 3)), "ndarray (2, 3)"),
        (Silent(), "Silent (without text: RuntimeError)"),
    ],
)
def test_values_become_json(value: Any, expected: Any) -> None:
    assert jsonable(value) == expected


def test_what_holds_itself_ends() -> None:
    endless: dict[str, Any] = {}
    endless["again"] = endless
    assert json.dumps(jsonable(endless)).count("again") >= DEEPEST


@given(st.dictionaries(st.text(), st.recursive(st.floats() | st.text() | st.none(), st.lists), max_size=5))
def test_anything_is_json_within_the_limit(value: dict[str, Any]) -> None:
    assert len(json.dumps(bounded(jsonable(value)), allow_nan=False)) <= 2 * LARGEST
