"""Warn of parameters that train on other shares of the classes than the table has. In: parameters. Out: warnings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

PARAMETERS = ("class_weight", "scale_pos_weight", "is_unbalance", "auto_class_weights")


def warnings(params: Mapping[str, Any], classes: Sequence[Any] | None) -> list[str]:
    """Return a warning when a parameter, or a range to search, changes the weights of the classes."""
    found = [name for name in PARAMETERS if _reweighs(params.get(name))]
    if not found or classes is None:
        return []
    return [
        f"{', '.join(found)} changes the weights of the classes: the model's probabilities are then not the shares "
        "that occur, and log_loss and brier are worse"
    ]


def _reweighs(value: Any) -> bool:
    return value is True or value not in (None, False, 1, "None")
