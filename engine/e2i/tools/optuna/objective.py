"""Evaluate a trial. In: a trial's parameters. Out: the metrics of a model fitted with them on one thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any

from msgspec import Struct, field

from e2i.errors import StepError
from e2i.estimators import algorithms, fitting, learning, metrics, recipe_choices
from e2i.estimators.options import EarlyStop
from e2i.estimators.rounds import USABLE, EarlyStopping, Watch, WatchedMetric, typical
from e2i.tools.optuna.front import dominates

Rows = Callable[[Mapping[str, Any]], Sequence[fitting.Prepared]]
"""Returns the prepared rows of a trial, one for each split, by the choices of its recipe. Several threads call it."""
REPORT_EVERY = 10
"""Number of rounds between two reports to the pruner."""


class Models:
    """The fitted models of the trials that no other one dominates, so that the best need not be fitted again.

    Safe to use from several threads at once.
    """

    def __init__(self, directions: Sequence[str]) -> None:
        self._signs = [-1.0 if direction == "maximize" else 1.0 for direction in directions]
        self._kept: dict[tuple[float, ...], tuple[int, fitting.Fitted]] = {}
        self._lock = threading.Lock()

    def add(self, number: int, values: Sequence[float], fitted: fitting.Fitted) -> None:
        """Keep the model of a trial as long as no other trial is better; of equal trials the first."""
        cost = tuple(sign * value for sign, value in zip(self._signs, values, strict=True))
        with self._lock:
            if any(dominates(other, cost) for other in self._kept):
                return
            self._kept = {other: found for other, found in self._kept.items() if not dominates(cost, other)}
            if cost not in self._kept or number < self._kept[cost][0]:
                self._kept[cost] = (number, fitted)

    def of(self, number: int) -> fitting.Fitted | None:
        """Return the model of a trial; None when it is not kept."""
        return next((fitted for found, fitted in self._kept.values() if found == number), None)


class Objective(Struct, frozen=True, eq=False):
    """Fits and evaluates one trial. Safe to call from several threads at once: the prepared tables are only read."""

    prepared: fitting.Prepared
    metrics: tuple[str, ...]
    fixed: Mapping[str, Any]
    seed: int
    models: Models
    watched: WatchedMetric | None = None
    """The metric that is reported on the way; None: none is."""
    early: EarlyStop | None = None
    """Stops the fit by the validation rows; None: none."""
    kept: dict[int, int] = field(default_factory=dict)
    """By the number of a trial, its best number of rounds."""
    rows: Rows | None = None
    """The rows by the choices of a recipe; None: ``prepared`` always."""

    def __call__(self, trial: Any) -> tuple[float, ...]:
        """Evaluate the trial. Raises StepError when it fails, optuna.TrialPruned when it is pruned."""
        import optuna

        pruning = None if self.watched is None else Pruning(trial, self.watched)
        stopping = self._stopping()
        fitted = self.fit(trial.params, _both(pruning, stopping))
        if pruning is not None and pruning.pruned:
            raise optuna.TrialPruned
        if stopping is not None:
            self.kept[trial.number] = stopping.keep or 0
        held_out = fitted.prepared.validation
        assert held_out is not None
        predicted = fitted.scorer.output(held_out.matrix)
        values = tuple(
            metrics.score(metric, held_out.labels, predicted, groups=held_out.groups) for metric in self.metrics
        )
        self.models.add(trial.number, values, fitted)
        return values

    def chosen(self, best: Any) -> dict[str, Any]:
        """Return the hyperparameters of the best trial, with those that are fixed and, if it was stopped early, its
        number of rounds. A trial of an earlier attempt is fitted again.
        """
        params = {**self.fixed, **recipe_choices.split(best.params)[0]}
        if self.early is None:
            return params
        if best.number not in self.kept:
            self.again(best)
        return {**params, algorithms.of(self.prepared.algorithm).rounds: self.kept[best.number]}

    def again(self, best: Any) -> fitting.Fitted:
        """Return the model of a trial, as it was fitted in the trial."""
        stopping = self._stopping()
        fitted = self.fit(best.params, stopping)
        if stopping is not None:
            self.kept[best.number] = stopping.keep or 0
        return fitted

    def _stopping(self) -> EarlyStopping | None:
        """Return what stops a fit early, by the metric of the pruner if there is one."""
        found = learning.watch(self.early, self.prepared.schema.task, self.prepared.loss)
        if found is None or self.watched is None or found.metric == self.watched:
            return found
        return EarlyStopping(self.watched, found.patience)

    def fit(self, params: Mapping[str, Any], watch: Watch | None = None) -> fitting.Fitted:
        """Return the model of a trial with these parameters."""
        own, choices = recipe_choices.split(params)
        prepared = self.rows(choices)[0] if self.rows is not None and choices else self.prepared
        return fitting.fit(prepared, {**self.fixed, **own}, seed=self.seed, threads=1, watch=watch)


class FoldsObjective(Struct, frozen=True, eq=False):
    """Fits and judges one trial in each split of folds. Safe to call from several threads at once."""

    splits: Sequence[fitting.Prepared]
    metrics: tuple[str, ...]
    fixed: Mapping[str, Any]
    seed: int
    watched: int | None = None
    """The position of the metric whose mean is reported after each split; None: none is."""
    stop: EarlyStop | None = None
    """Stops the fit of each split by its tested rows; None: none."""
    kept: dict[int, list[int]] = field(default_factory=dict)
    """By the number of a trial, the best number of rounds in each split."""
    rows: Rows | None = None
    """The rows of each split by the choices of a recipe; None: ``splits`` always."""

    def __call__(self, trial: Any) -> tuple[float, ...]:
        """Return the means over the splits. Raises StepError when a fit fails, optuna.TrialPruned when it is pruned."""
        import optuna

        found: list[tuple[float, ...]] = []
        kept: list[int] = []
        splits = self._of(trial.params)
        for number, prepared in enumerate(splits, start=1):
            fitted, rounds = self._fit(prepared, trial.params)
            kept.append(rounds)
            held_out = prepared.validation
            assert held_out is not None
            predicted = fitted.scorer.output(held_out.matrix)
            groups = held_out.groups
            found.append(tuple(metrics.score(name, held_out.labels, predicted, groups=groups) for name in self.metrics))
            if self.watched is not None:
                trial.report(fmean(values[self.watched] for values in found), number)
                if number < len(splits) and trial.should_prune():
                    raise optuna.TrialPruned
        self.kept[trial.number] = kept
        return tuple(map(fmean, zip(*found, strict=True)))

    def chosen(self, best: Any) -> dict[str, Any]:
        """Return the hyperparameters of the best trial for all rows: with early stopping, a typical number of rounds.

        The splits of a trial of an earlier attempt are fitted again.
        """
        params = {**self.fixed, **recipe_choices.split(best.params)[0]}
        if self.stop is None:
            return params
        kept = self.kept.get(best.number) or [self._fit(one, best.params)[1] for one in self._of(best.params)]
        return {**params, algorithms.of(self.splits[0].algorithm).rounds: typical(kept)}

    def again(self, best: Any) -> None:
        """Return nothing: the model of a trial is fitted to all rows, not to those of a split."""

    def _of(self, params: Mapping[str, Any]) -> Sequence[fitting.Prepared]:
        choices = recipe_choices.split(params)[1]
        return self.rows(choices) if self.rows is not None and choices else self.splits

    def _fit(self, prepared: fitting.Prepared, params: Mapping[str, Any]) -> tuple[fitting.Fitted, int]:
        """Return the model of a split and its rounds; 0 without early stopping."""
        watch = learning.watch(self.stop, prepared.schema.task, prepared.loss)
        own = {**self.fixed, **recipe_choices.split(params)[0]}
        fitted = fitting.fit(prepared, own, seed=self.seed, threads=1, watch=watch)
        return fitted, (watch and watch.keep) or 0


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


class Both(Struct):
    """Reports rounds to a pruner, and stops early."""

    pruning: Pruning
    stopping: EarlyStopping

    @property
    def metric(self) -> WatchedMetric:
        """Return the metric, which both have."""
        return self.stopping.metric

    @property
    def keep(self) -> int | None:
        """Return the best number of rounds."""
        return self.stopping.keep

    def stop(self, done: int, value: float) -> bool:
        """Return True when the trial is pruned, or has not improved for long."""
        is_last = self.stopping.stop(done, value)
        return self.pruning.stop(done, value) or is_last


def _both(pruning: Pruning | None, stopping: EarlyStopping | None) -> Watch | None:
    if pruning is not None and stopping is not None:
        return Both(pruning, stopping)
    return pruning or stopping


def watched_metric(names: Sequence[str], shape: str) -> tuple[int, WatchedMetric]:
    """Return the first metric that is computed round by round, and its position. Raises StepError if none is."""
    for position, name in enumerate(names):
        for usable in USABLE[shape]:
            if name == usable:
                return position, usable
    what = f"{names[0]} is" if len(names) == 1 else f"{' and '.join(names)} are"
    raise StepError(
        f"{what} not computed round by round for this target, so no trial can be pruned",
        code="wrong-metric",
        hint=f"use {' or '.join(USABLE[shape])}, or leave `pruner` out",
    )
