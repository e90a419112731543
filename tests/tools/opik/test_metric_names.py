"""The names of metrics that a spec may use are those that the SDK has."""

from __future__ import annotations

from typing import get_args

from e2i.tools.opik import Heuristic
from e2i.tools.opik.metrics import heuristics


def test_every_metric_of_the_sdk_can_be_named_and_no_other() -> None:
    assert get_args(Heuristic) == tuple(heuristics())
