"""The interface of the modules that fit with one library.

In: an algorithm. Out: its module, imported on first use.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from msgspec import Struct

from e2i.estimators.algorithm import Hyperparameters
from e2i.estimators.algorithms import Algorithm
from e2i.estimators.learning import Loss
from e2i.estimators.rounds import Watch
from e2i.estimators.schema import Schema

if TYPE_CHECKING:
    from e2i.estimators.scoring import Matrix
    from e2i.estimators.targets import Transformation


class Encoded(Struct, frozen=True, eq=False):
    """Rows in a library's form, with their labels and, unless all are alike, their weights in a fit."""

    matrix: Any
    labels: Matrix
    weights: Matrix | None = None
    groups: Matrix | None = None
    """The number of each row's query, of a ranking."""

    def by_query(self) -> tuple[Encoded, Matrix]:
        """Return the rows with those of one query together, and the number of rows of each query, in that order.

        Raises TypeError for rows without queries.
        """
        import numpy as np

        if self.groups is None:
            raise TypeError("the rows have no queries")
        order = np.argsort(self.groups, kind="stable")
        matrix = self.matrix.iloc[order] if hasattr(self.matrix, "iloc") else self.matrix[order]
        return Encoded(matrix, self.labels[order], None, self.groups[order]), np.bincount(self.groups)

    def learned(self, about: Transformation | None) -> Encoded:
        """Return the rows with a transformed target."""
        if about is None:
            return self
        from e2i.estimators.targets import transformed

        return Encoded(self.matrix, transformed(self.labels, about), self.weights)

    def standardised(self, center: float, scale: float) -> Encoded:
        """Return the rows with ``center`` subtracted from the target, divided by ``scale``."""
        if scale == 1.0 and not center:
            return self
        return Encoded(self.matrix, (self.labels - center) / scale, self.weights)


class Library(Protocol):
    """Protocol of the modules of ``e2i.estimators`` that fit with one library. ``FILE`` is the saved file's name."""

    FILE: str

    def prepare(self, schema: Schema, train: Encoded, validation: Encoded | None, threads: int) -> Any:
        """Return data that fits of equal rows can share; safe to use from several threads."""

    def fit(
        self,
        algorithm: str,
        schema: Schema,
        data: Any,
        params: Hyperparameters,
        loss: Loss,
        *,
        seed: int,
        threads: int,
        watch: Watch | None,
    ) -> Any:
        """Return the library's fitted model. Raises StepError when the library refuses the data or a parameter."""

    def save(self, native: Any, path: Path) -> None:
        """Write the model; equal models give equal bytes."""


def library(algorithm: Algorithm) -> Library:
    """Return the module that fits the algorithm."""
    return cast("Library", import_module(algorithm.module))
