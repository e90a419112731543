"""Evaluate trials of a search for effects. In: live tables, outcomes, treatments. Out: the score of an estimator.

The models that judge a trial are fitted to the validation rows once, whatever the trials are.
"""

from __future__ import annotations

import threading
from typing import Any

from msgspec import Struct, field

from e2i.documents import Values
from e2i.errors import StepError
from e2i.estimators import arrays, live_effects
from e2i.tools.optuna.trials import Features, Make


class Rows(Struct, frozen=True, eq=False):
    """Rows of one table with their outcomes and treatments, each of shape (rows,)."""

    table: Any
    outcome: Any
    treatment: Any


class EffectRecipe(Struct, frozen=True):
    """How to make an estimator of effects: an algorithm of the registry, or a program's own function."""

    algorithm: str | Make
    seed: int
    is_discrete: bool = True

    @property
    def name(self) -> str:
        return self.algorithm if isinstance(self.algorithm, str) else getattr(self.algorithm, "__name__", "model")

    def make(self, params: Values, threads: int = 1) -> Any:
        if not isinstance(self.algorithm, str):
            return self.algorithm(**params)
        return live_effects.make(self.algorithm, params, self.seed, is_discrete=self.is_discrete, threads=threads)

    def fit(self, params: Values, table: Any, labels: Any, arguments: Values, features: Features) -> Any:
        """Return an estimator fitted with these parameters; ``treatment`` is among the ``arguments``.

        Raises StepError for other ``features`` than those of the search.
        """
        given = dict(arguments)
        if "treatment" not in given:
            raise StepError("`treatment` is missing", code="bad-call", hint="call fit(X, y, treatment=t)")
        rows = read(table, labels, given.pop("treatment"), ("X", "y", "treatment"))
        features.check(rows.table, "X", "the table of the search")
        try:
            return self.make(params).fit(rows.outcome, rows.treatment, X=rows.table, **given)
        except (ValueError, TypeError, AttributeError) as error:
            raise StepError(f"{self.name}: {error}", code="fit-failed") from error


class EffectData(Struct, frozen=True, eq=False):
    """The rows of a search."""

    train: Rows
    validation: Rows
    features: Features
    shape: str = "effect"

    @property
    def is_discrete(self) -> bool:
        """True for a treatment of 0 and 1, False for an amount."""
        return {*self.train.treatment.tolist(), *self.validation.treatment.tolist()} <= {0.0, 1.0}


class EffectObjective(Struct, frozen=True, eq=False):
    """Fits and judges one trial. Safe to call from several threads at once."""

    recipe: EffectRecipe
    data: EffectData
    metrics: tuple[str, ...]
    judges: dict[str, Any] = field(default_factory=dict)
    lock: Any = field(default_factory=threading.Lock)

    def __call__(self, trial: Any) -> tuple[float, ...]:
        """Evaluate the trial. Raises StepError when it fails."""
        rows = self.data.train
        try:
            fitted = self.recipe.make(trial.params).fit(rows.outcome, rows.treatment, X=rows.table)
            return tuple(float(self._judge(metric)(fitted)) for metric in self.metrics)
        except StepError:
            raise
        except Exception as error:  # a library's or the program's own code: the trial fails, the search goes on
            text = " ".join(str(error).split())[:300]
            raise StepError(f"{type(error).__name__}: {text}", code="fit-failed") from error

    def _judge(self, metric: str) -> Any:
        rows, found = self.data.validation, self.judges
        with self.lock:
            if metric not in found:
                is_discrete = self.data.is_discrete
                found[metric] = live_effects.judge(
                    metric, rows.table, rows.outcome, rows.treatment, self.recipe.seed, is_discrete=is_discrete
                )
            return found[metric]


def data(train: tuple[Any, Any], validation: tuple[Any, Any], treatment: Any) -> EffectData:
    """Return the rows of a search. Raises StepError for what are not numbers, and for other lengths."""
    if not isinstance(treatment, tuple | list) or len(treatment) != 2:
        raise StepError(
            f"`treatment` is {treatment!r:.80}, not the treatments of the training and of the validation rows",
            code="bad-call",
            hint="such as treatment=(t_train, t_val)",
        )
    rows = read(*train, treatment[0], ("X_train", "y_train", "treatment[0]"))
    held = read(*validation, treatment[1], ("X_val", "y_val", "treatment[1]"))
    features = Features.of(rows.table)
    features.check(held.table, "X_val", "`X_train`")
    for part, name in ((rows, "treatment[0]"), (held, "treatment[1]")):
        if len(set(part.treatment.tolist())) < 2:
            raise StepError(
                f"`{name}` has one value only, so there is nothing to compare", code="no-variation", hint="check it"
            )
    return EffectData(rows, held, features)


def read(table: Any, outcome: Any, treatment: Any, names: tuple[str, str, str]) -> Rows:
    """Return rows of numbers. ``names`` are the arguments, for errors. Raises StepError."""
    import numpy as np
    import pandas as pd

    rows = arrays.features(table, names[0])
    try:
        matrix = np.asarray(rows, dtype=np.float64)
    except (TypeError, ValueError):
        matrix = np.full((1, 1), np.nan)
    if not np.isfinite(matrix).all():
        raise StepError(
            f"`{names[0]}` has texts, or missing or infinite values, which estimators of effects do not take",
            code="bad-features",
            hint="encode texts as numbers, and fill or remove missing values",
        )
    numbers = [
        arrays.numbers(arrays.labels(given, name, len(rows)), name)
        for given, name in ((outcome, names[1]), (treatment, names[2]))
    ]
    framed = pd.DataFrame(matrix, columns=list(rows.columns)) if isinstance(rows, pd.DataFrame) else matrix
    return Rows(framed, *numbers)
