"""Decide after each training round whether to continue: early stopping, and pruning of trials.

In: the validation metric of each round. Out: whether to stop, and how many rounds to keep.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, Protocol

from msgspec import Struct

WatchedMetric = Literal["log_loss", "roc_auc", "rmse", "mae", "ndcg"]
"""Metrics that the boosting libraries compute round by round themselves."""


USABLE: dict[str, tuple[WatchedMetric, ...]] = {
    "regression": ("rmse", "mae"),
    "binary": ("log_loss", "roc_auc"),
    "multiclass": ("log_loss",),
    "ranking": ("ndcg",),
}
"""For each shape of a target, the metrics that all boosting libraries compute alike round by round."""


RISING: tuple[WatchedMetric, ...] = ("roc_auc", "ndcg")
"""Metrics that are better when they are higher."""


def usable_of(task: str | None) -> tuple[WatchedMetric, ...]:
    """Return the metrics of rounds that a target of this task may have; its classes may be two."""
    return USABLE["binary" if task not in USABLE else task]


class Watch(Protocol):
    """Receives the validation metric after each round (from 0)."""

    @property
    def metric(self) -> WatchedMetric: ...

    @property
    def keep(self) -> int | None:
        """Rounds to keep; None keeps all."""

    def stop(self, done: int, value: float) -> bool:
        """Return True when round ``done`` is the last."""


def typical(kept: Iterable[int]) -> int:
    """Return the rounds of a model of all rows from the best ones of each split: their median, of two the lower."""
    from statistics import median_low  # with random numbers and fractions, which a plan does not need

    return median_low(kept)


class EarlyStopping(Struct):
    """Stops after ``patience`` rounds without improvement and keeps the best."""

    metric: WatchedMetric
    patience: int
    best: float = float("nan")
    best_round: int = -1

    @property
    def keep(self) -> int | None:
        return self.best_round + 1 if self.best_round >= 0 else None

    def stop(self, done: int, value: float) -> bool:
        better = value > self.best if self.metric in RISING else value < self.best
        if self.best_round < 0 or better:
            self.best, self.best_round = value, done
        return done - self.best_round >= self.patience
