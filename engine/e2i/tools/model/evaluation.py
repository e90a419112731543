"""Judge a model on a table. In: a model and rows. Out: its metrics, their intervals, and those of a constant answer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from msgspec import Struct
from msgspec.structs import replace

from e2i.catalog.artifacts import Model
from e2i.catalog.context import StepContext
from e2i.errors import StepError
from e2i.estimators import details, intervals, metrics, ranking, saved, sketch
from e2i.estimators.algorithms import Task
from e2i.estimators.intervals import Interval
from e2i.estimators.metrics import Rows
from e2i.tools.model import decisions
from e2i.tools.model.decisions import Decisions
from e2i.tools.model.params.fields import CONFIDENCE

if TYPE_CHECKING:
    import pandas as pd

    from e2i.estimators.scoring import Matrix, Scorer
    from e2i.estimators.thresholds import Decided
    from e2i.tools.model.params.costs import Costs

FEW_GROUPS = 10
"""Groups below which their bootstrap is known to give intervals that are too narrow."""
BOUNDED = ("log_loss", "brier", "accuracy", "rmse", "mae", "ndcg")
"""Metrics whose value for a constant answer is a figure to beat."""


class Judged(Struct, frozen=True, eq=False):
    """Rows with their labels and predictions. ``classes`` is None for regression, else the positive one of two last.

    ``constant`` is the constant answer: the training mean, or the training shares of the classes. ``quantile`` is the
    level of the quantile that a regression predicts.
    """

    task: Task
    classes: Sequence[Any] | None
    labels: Matrix
    predicted: Matrix
    threshold: float
    constant: Matrix
    quantile: float | None = None
    decisions: Decisions = Decisions()
    queries: Matrix | None = None
    """The number of each row's query, of a ranking."""

    @property
    def positive(self) -> str | None:
        """Return the positive class of two."""
        return str(self.classes[1]) if self.classes is not None and len(self.classes) == 2 else None

    def measurable(self) -> Rows:
        """Return the input of the metrics."""
        return metrics.rows_of(self.task, self.labels, self.predicted, self.threshold, self.quantile, self.queries)

    def part(self, places: Matrix) -> Judged:
        """Return some of the rows, by their positions."""
        return replace(
            self,
            labels=self.labels[places],
            predicted=self.predicted[places],
            decisions=self.decisions.part(places),
            queries=None if self.queries is None else ranking.renumbered(self.queries[places]),
        )


class Measured(Struct, frozen=True):
    """Metrics of a model, their intervals, and the metrics of the constant answer. ``level``: that of the intervals."""

    metrics: dict[str, float]
    intervals: dict[str, Interval]
    baseline: dict[str, float]
    level: float | None

    def warnings(self, rows: Judged, groups: Matrix | None = None) -> list[str]:
        """Return a warning for each metric in which the model is worse than the constant answer, and one for intervals
        of few groups.
        """
        found = self._lost(rows)
        if (cost := self.metrics.get("cost", 0.0)) > (idle := self.baseline.get("cost", math.inf)):
            found.append(f"the mean cost {cost:.4g} is higher than {idle:.4g}, that of one decision for all rows")
        if groups is not None and self.intervals and int(groups.max()) + 1 < FEW_GROUPS:
            found.append(f"the intervals are drawn from {int(groups.max()) + 1} groups only, and are too narrow")
        return found

    def _lost(self, rows: Judged) -> list[str]:
        constant = "the training mean" if rows.classes is None else "the training shares of the classes"
        if rows.queries is not None:
            constant = "a constant"
        return [
            f"{name} {self.metrics[name]:.4g} is worse than {self.baseline[name]:.4g}, which {constant} as the answer "
            "to every row would reach"
            for name in intervals.worse(self.metrics, self.baseline)
        ]

    def recorded(self) -> dict[str, float]:
        """Return the metrics for trackers: each with its bounds, and the baselines that can be compared."""
        bounds = {
            f"{name}_{side}": value
            for name, interval in self.intervals.items()
            for side, value in zip(("low", "high"), interval, strict=True)
        }
        baselines = {f"baseline_{name}": self.baseline[name] for name in BOUNDED if name in self.baseline}
        return self.metrics | bounds | baselines


def judge(
    scorer: Scorer,
    frame: pd.DataFrame,
    model: Model,
    *,
    positive: Any = None,
    threshold: float | None = None,
    quantile: float | None = None,
    costs: Costs | None = None,
) -> Judged:
    """Return the rows with labels and predictions. Raises StepError when the table does not match the model."""
    import numpy as np

    from e2i.estimators import schema

    classes: Sequence[Any] | None = scorer.manifest["classes"]
    labels = schema.labels(frame, model.target, classes)
    predicted, own = saved.predict(scorer, frame), scorer.threshold
    constant = np.asarray(scorer.manifest["baseline"])
    if classes is None:
        constant = constant[0]
    if positive is not None:
        ordered = schema.ordered(tuple(classes) if classes else None, positive, model.target)
        if list(ordered) != list(classes or ()):
            classes, labels, predicted, constant = ordered, 1 - labels, 1.0 - predicted, constant[::-1]
            own = math.nextafter(1.0 - own, 2.0)  # a probability of exactly the threshold is of the other class
    chosen = own if threshold is None else threshold
    queries = ranking.of_model(scorer.manifest, frame)
    found = Judged(model.task, classes, labels, predicted, chosen, constant, quantile, queries=queries)
    return replace(found, decisions=_decisions(found, scorer, frame, costs))


def _decisions(rows: Judged, scorer: Scorer, frame: pd.DataFrame, costs: Costs | None) -> Decisions:
    """Return the costs of the decisions, and the coverage of the model's intervals. Raises StepError."""
    if costs is not None and rows.positive is None:
        raise StepError("costs are of decisions between two classes", code="wrong-task", hint="leave `costs` out")
    turned = rows.classes is not None and list(rows.classes) != list(scorer.manifest["classes"] or ())
    own, predicted = (1 - rows.labels, 1.0 - rows.predicted) if turned else (rows.labels, rows.predicted)
    covered = decisions.covered(scorer, frame, own, predicted)
    if costs is None:
        return Decisions(covered)
    is_own = not turned and rows.threshold == scorer.threshold
    limits = cast("Mapping[Decided, str]", scorer.manifest.get("constraint", {}) if is_own else {})
    found = decisions.costly(rows.labels, rows.measurable().decided, decisions.costs_of(costs, frame), limits)
    return Decisions({**found.values, **covered}, found.idle)


def measure(rows: Judged, *, level: float | None, groups: Matrix | None, seed: int) -> Measured:
    """Return the metrics with bootstrap intervals of that level, or without any. ``groups``: as of ``bootstrap``."""
    found = metrics.evaluate(rows.task, rows.labels, rows.predicted, threshold=rows.threshold, groups=rows.queries)
    found |= details.describe(rows.measurable())
    found |= rows.decisions.means()
    constant = intervals.baseline(rows.task, rows.labels, rows.constant, threshold=rows.threshold, queries=rows.queries)
    constant |= {} if rows.decisions.idle is None else {"cost": rows.decisions.idle}
    bounds: dict[str, Interval] = {}
    if level is not None and len(rows.labels) > 1:
        bounds = intervals.bootstrap(
            rows.task,
            rows.labels,
            rows.predicted,
            threshold=rows.threshold,
            quantile=rows.quantile,
            queries=rows.queries,
            level=level,
            groups=groups,
            seed=seed,
        )
        bounds |= intervals.of_means(rows.decisions.values, level=level, groups=groups, seed=seed)
    return Measured(found, {name: bounds[name] for name in found if name in bounds}, constant, level)


def require(
    rows: Judged, found: Measured, at_least: Mapping[str, float], at_most: Mapping[str, float], **drawn: Any
) -> None:
    """Raise StepError for metrics that do not reach their limits, or whose interval does not. ``drawn``: as of
    ``measure``, for intervals of another level than the measured ones.
    """
    missed = []
    for limits, sign in ((at_least, 1.0), (at_most, -1.0)):
        level = limits.get(CONFIDENCE)
        judged = found if level in (None, found.level) else measure(rows, level=level, **drawn)
        for name, limit in limits.items():
            if name == CONFIDENCE:
                continue
            bounds = judged.intervals.get(name)
            value = found.metrics.get(name) if level is None else bounds and bounds[0 if sign > 0 else 1]
            if value is None or sign * value < sign * limit:
                missed.append(_missed(name, value, limit, level, sign))
    if missed:
        raise StepError("; ".join(missed), code="limit-missed", hint="improve the model, or change the limit")


def _missed(name: str, value: float | None, limit: float, level: float | None, sign: float) -> str:
    side = "lower" if sign > 0 else "upper"
    what = name if level is None else f"the {side} bound of the {level:.0%} interval of {name}"
    wanted = f"{'at least' if sign > 0 else 'at most'} {limit:g}"
    return f"{what} is {'not defined' if value is None else f'{value:.4g}'}, not {wanted}"


def groups(frame: pd.DataFrame, column: str) -> Matrix:
    """Return the number of each row's group. Times are grouped by day. Raises StepError when the column is absent."""
    import pandas as pd

    if column not in frame.columns:
        raise StepError(
            f"the table has no column {column!r}",
            code="unknown-column",
            hint=f"columns: {', '.join(str(name) for name in frame.columns[:40])}",
        )
    values = frame[column]
    if pd.api.types.is_datetime64_any_dtype(values):
        values = values.dt.floor("D")
    codes: Matrix = pd.factorize(values, use_na_sentinel=False)[0]
    count = int(codes.max()) + 1
    if count < 2:
        raise StepError(
            f"all rows are of one group of {column!r}, so nothing can be said of other groups",
            code="one-group",
            hint="name another column, or leave `group` out",
        )
    return codes


def trained_on(model: Model, scorer: Scorer, frame: pd.DataFrame, ctx: StepContext) -> list[str]:
    """Return a warning when the model was trained on some of the rows. Two equal rows by chance are not counted."""
    from e2i.estimators import schema

    labels = schema.labels(frame, model.target, scorer.manifest["classes"])
    share = _known_share(ctx.open(model), scorer, frame, labels)
    if share <= sketch.SHARED_ROWS:
        return []
    ctx.metric("training_rows", share)
    return [f"{share:.0%} of the rows were in the training table, so the metrics are too good"]


def _known_share(folder: Path, scorer: Scorer, frame: pd.DataFrame, labels: Matrix) -> float:
    """Return the share of the rows that a model was trained on; of an ensemble, the largest of its members."""
    from e2i.estimators.scoring import MEMBERS

    known = sketch.load(folder)
    own = 0.0
    if known is not None:
        own = sketch.share(known, sketch.hashes(frame, scorer.manifest["features"], labels))
    members = enumerate(scorer.members)
    return max(own, *(_known_share(folder / MEMBERS / str(place), one, frame, labels) for place, one in members), 0.0)
