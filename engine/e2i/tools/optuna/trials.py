"""Evaluate trials of a program's search. In: live tables and a trial's parameters. Out: the metric of an estimator."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from e2i.catalog.extensible import Named
from e2i.documents import Values
from e2i.errors import StepError
from e2i.estimators import algorithms, arrays, live, making
from e2i.estimators.algorithms import Task
from e2i.estimators.effect_algorithms import EFFECT_METRICS
from e2i.estimators.metrics import METRICS
from e2i.estimators.rounds import WatchedMetric
from e2i.tools.optuna.objective import Pruning

Make = Callable[..., Any]
"""Takes parameters by name, returns an estimator that is not fitted."""


class Features(Struct, frozen=True):
    """The features that a search began with: their names, which arrays do not have, and their number."""

    names: tuple[str, ...] | None
    count: int

    @classmethod
    def of(cls, rows: Any) -> Features:
        return cls(tuple(arrays.names(rows)) if hasattr(rows, "columns") else None, rows.shape[1])

    def check(self, rows: Any, name: str, other: str) -> None:
        """Raise StepError for a table with other features, or with these in another order."""
        arrays.same_columns(rows, name, self.names, other)
        if rows.shape[1] != self.count:
            raise StepError(
                f"{other} has {self.count} features and `{name}` has {rows.shape[1]}",
                code="bad-features",
                hint="pass the same columns in the same order",
            )


class Recipe(Struct, frozen=True):
    """How to make an estimator: an algorithm of the registry, or a program's own function."""

    algorithm: str | Make
    task: Task
    seed: int

    @property
    def name(self) -> str:
        own = isinstance(self.algorithm, str)
        return str(self.algorithm) if own else getattr(self.algorithm, "__name__", "model")

    @property
    def about(self) -> str:
        """What a study of the algorithm is about: of a preset also what it stands for, as the settings may change."""
        definition = self.algorithm.definition if isinstance(self.algorithm, Named) else None
        return self.name if definition is None else f"{self.name} {json.dumps(definition, sort_keys=True)}"

    def make(self, params: Values, threads: int | None = None) -> Any:
        if isinstance(self.algorithm, str):
            return making.make(self.algorithm, self.task, params, self.seed, threads)
        return self.algorithm(**params)

    def fit(
        self,
        params: Values,
        table: Any,
        labels: Any,
        arguments: Values,
        features: Features,
    ) -> Any:
        """Return an estimator fitted with these parameters. ``arguments`` are those of its own ``fit``.

        Raises StepError for other ``features`` than those of the search.
        """
        rows = arrays.features(table, "X")
        features.check(rows, "X", "the table of the search")
        found = arrays.labels(labels, "y", len(rows))
        if not isinstance(self.algorithm, str):
            return self.algorithm(**params).fit(table, labels, **arguments)
        is_forest = algorithms.of(self.algorithm).family == "forest"  # others use all cores by themselves
        estimator = prepared(self.make(params, len(os.sched_getaffinity(0)) if is_forest else None), rows)
        if self.task == "classification":
            estimator = live.with_labels(estimator, arrays.classes_of(found, "y"))
        else:
            found = arrays.numbers(found, "y")
        return making.fit(estimator, rows, found, arguments)


class Data(Struct, frozen=True, eq=False):
    """Tables and labels of a search. ``places`` are positions in ``classes``, or a target of regression."""

    train: Any
    validation: Any
    labels: Any
    """The labels of training as the program gave them, for estimators of its own."""
    train_places: Any
    places: Any
    classes: Any
    features: Features

    @property
    def shape(self) -> str:
        if self.classes is None:
            return "regression"
        return "binary" if len(self.classes) == 2 else "multiclass"


class LiveObjective(Struct, frozen=True, eq=False):
    """Fits and evaluates one trial."""

    recipe: Recipe
    data: Data
    metrics: tuple[str, ...]
    threads: int
    watched: WatchedMetric | None
    """The metric that is reported on the way; None: none is."""

    def __call__(self, trial: Any) -> tuple[float, ...]:
        """Evaluate the trial. Raises StepError when it fails, optuna.TrialPruned when it is pruned."""
        try:
            return self._evaluate(trial)
        except StepError:
            raise
        except Exception as error:  # a library's or the program's own code: the trial fails, the search goes on
            if type(error).__name__ == "TrialPruned":
                raise
            text = " ".join(str(error).split())[:300]
            raise StepError(f"{type(error).__name__}: {text}", code="fit-failed") from error

    def _evaluate(self, trial: Any) -> tuple[float, ...]:
        import optuna

        data = self.data
        estimator = prepared(self.recipe.make(trial.params, self.threads), data.train)
        by_position = data.classes is None or self._knows_positions(estimator)
        labels = data.train_places if by_position else data.labels
        arguments: dict[str, Any] = {}
        watch = None
        if self.watched is not None:
            watch = Pruning(trial, self.watched)
            estimator, watching = making.watched(estimator, watch, data.shape)
            arguments = dict(watching)
            held_out = data.places if by_position or data.classes is None else data.classes[data.places]
            arguments |= making.validation_argument(estimator, data.validation, held_out)
        fitted = making.fit(estimator, data.train, labels, arguments)
        if watch is not None and watch.pruned:
            raise optuna.TrialPruned
        return tuple(
            live.measure(fitted, metric, data.validation, data.places, data.classes) for metric in self.metrics
        )

    def _knows_positions(self, estimator: Any) -> bool:
        return isinstance(self.recipe.algorithm, str) or live.library_of(estimator) == "xgboost"


def read(train: Any, labels: Any, validation: Any, held_out: Any, task: Task, own: bool) -> Data:
    """Return the data of a search. Tables stay as they are for a program's ``own`` estimators. Raises StepError."""
    rows, held_rows = arrays.features(train, "X_train"), arrays.features(validation, "X_val")
    features = Features.of(rows)
    features.check(held_rows, "X_val", "`X_train`")
    found = arrays.labels(labels, "y_train", len(rows))
    held_found = arrays.labels(held_out, "y_val", len(held_rows))
    table, held_table = (train, validation) if own else (rows, held_rows)
    if task == "regression":
        target, held_target = arrays.numbers(found, "y_train"), arrays.numbers(held_found, "y_val")
        return Data(table, held_table, labels, target, held_target, None, features)
    classes = arrays.classes_of(found, "y_train")
    places = arrays.positions(held_found, classes, "y_val")
    if len(set(places.tolist())) < 2:
        raise StepError(
            f"`y_val` has {len(places):,} rows of one class, so no trial can be judged",
            code="bad-validation",
            hint="check the split",
        )
    return Data(table, held_table, labels, arrays.positions(found, classes, "y_train"), places, classes, features)


def prepared(estimator: Any, table: Any) -> Any:
    """Return the estimator, which knows the text columns of the table where its library must be told of them.

    Raises StepError where the library takes no texts.
    """
    texts = _texts(table)
    if not texts or live.library_of(estimator) not in ("xgboost", "lightgbm", "catboost", "sklearn"):
        return estimator
    if live.library_of(estimator) == "catboost":
        return estimator if estimator.get_params().get("cat_features") else estimator.set_params(cat_features=texts)
    if live.library_of(estimator) == "sklearn":
        if not type(estimator).__module__.startswith(("sklearn.ensemble", "sklearn.linear_model")):
            return estimator
        hint = "encode them, or pass a callable that makes a Pipeline with an encoder as `algorithm`"
    elif not (texts := [name for name in texts if str(table[name].dtype) != "category"]):
        return estimator
    else:
        hint = "make them columns of the type category"
    raise StepError(
        f"{type(estimator).__name__} takes no texts, and these columns have them: {', '.join(map(str, texts[:10]))}",
        code="bad-features",
        hint=hint,
    )


def _texts(table: Any) -> list[Any]:
    if not hasattr(table, "dtypes") or not hasattr(table, "columns") or not hasattr(table, "iloc"):
        return []
    kinds = {name: str(kind) for name, kind in table.dtypes.items()}
    return [name for name, kind in kinds.items() if kind in ("object", "str", "category") or kind.startswith("string")]


def metric_named(metric: str) -> str:
    """Return the catalogue's name of a metric; ``auc`` is ``roc_auc``. Raises StepError for an unknown one."""
    from typing import get_args

    from e2i.estimators.metrics import MetricName
    from e2i.spec import suggest

    name = str(metric).lower()
    name = "roc_auc" if name == "auc" else name
    if name in get_args(MetricName) or name in EFFECT_METRICS:
        return name
    known = ["auc", *get_args(MetricName), *EFFECT_METRICS]
    raise StepError(
        f"there is no metric {metric!r}", code="wrong-metric", hint=suggest.hint(name, known, most=len(known))
    )


def task_of(metric: str) -> str:
    """Return what a metric judges: classification, regression or effect."""
    return "effect" if metric in EFFECT_METRICS else METRICS[metric].task


def direction_of(metric: str, direction: str | None) -> Any:
    """Return the direction of a metric. Raises StepError when ``direction`` is another one; None takes the metric's."""
    right = "maximize" if metric in EFFECT_METRICS else METRICS[metric].direction
    if direction is None:
        return right
    if not isinstance(direction, str):
        raise StepError(
            f"`direction` is of the type {type(direction).__name__}, not a text",
            code="wrong-direction",
            hint="maximize or minimize",
        )
    if direction == right:
        return right
    if direction not in ("maximize", "minimize"):
        raise StepError(f"{direction!r} is not a direction", code="wrong-direction", hint="maximize or minimize")
    better = "higher" if right == "maximize" else "lower"
    raise StepError(
        f"{metric} is better when it is {better}, so it cannot be used to {direction}",
        code="wrong-direction",
        hint=f'set direction="{right}"',
    )
