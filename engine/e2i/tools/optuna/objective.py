"""Evaluate a trial. In: a trial's parameters. Out: the metric of a model fitted with them on one thread."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from e2i.errors import StepError
from e2i.estimators import fitting, metrics
from e2i.estimators.rounds import WatchedMetric

REPORT_EVERY = 10
"""Number of rounds between two reports to the pruner."""


class Objective(Struct, frozen=True, eq=False):
    """Fits and evaluates one trial. Safe to call from several threads at once: the prepared tables are only read."""

    prepared: fitting.Prepared
    metric: str
    fixed: Mapping[str, Any]
    seed: int
    prune: bool

    def __call__(self, trial: Any) -> float:
        """Evaluate the trial. Raises StepError when it fails, optuna.TrialPruned when it is pruned."""
        import optuna

        watch = Pruning(trial, _watched(self.metric)) if self.prune else None
        fitted = fitting.fit(self.prepared, {**self.fixed, **trial.params}, seed=self.seed, threads=1, watch=watch)
        if watch is not None and watch.pruned:
            raise optuna.TrialPruned
        held_out = self.prepared.validation
        assert held_out is not None
        return metrics.score(self.metric, held_out.labels, fitted.scorer.output(held_out.matrix))


class Pruning(Struct):
    """Reports a trial's metric during training, and stops the trial when it is behind."""

    trial: Any
    metric: WatchedMetric
    pruned: bool = False
    keep: None = None

    def stop(self, done: int, value: float) -> bool:
        if (done + 1) % REPORT_EVERY == 0:
            self.trial.report(value, done)
            self.pruned = bool(self.trial.should_prune())
        return self.pruned


def _watched(metric: str) -> WatchedMetric:
    match metric:
        case "roc_auc" | "log_loss" | "rmse" | "mae":
            return metric
        case _:
            raise StepError(
                f"{metric} is not computed round by round, so it cannot be used to prune trials",
                code="wrong-metric",
                hint="use metric roc_auc, log_loss, rmse or mae, or set `pruner: none`",
            )
