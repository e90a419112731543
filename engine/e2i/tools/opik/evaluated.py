"""What an evaluation gives: means, and the scores of each case."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct


class ScoredCase(Struct, frozen=True):
    """What one case was given: its output, and a score for each metric that did not fail."""

    number: int
    output: Any
    scores: dict[str, float]


class Evaluated(Struct, frozen=True):
    """The result of an evaluation."""

    means: dict[str, float]
    experiment: str
    """Name of the experiment in Opik."""
    cases: Sequence[ScoredCase] = ()
    """The cases in their order."""
    again: bool = False
    """True when the experiment was complete already, so that nothing was evaluated again."""
