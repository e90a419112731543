"""Prepare the rows of a model as an action asks for it. In: an action's parameters and tables. Out: prepared rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

from msgspec import Struct
from msgspec.structs import replace

from e2i.catalog.artifacts import Recipe
from e2i.errors import StepError
from e2i.estimators.algorithms import AlgorithmName, Task
from e2i.estimators.folding import TEST, TRAIN
from e2i.estimators.options import DeviceName, FitOptions, ObjectiveName, Options, RankedFitOptions, TransformName
from e2i.estimators.recipes import Operation

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from e2i.estimators.fitting import Prepared
    from e2i.estimators.folding import Roles
    from e2i.estimators.scoring import Matrix


class Asked(Protocol):
    """The parameters that the actions which fit models have in common."""

    @property
    def target(self) -> str: ...
    @property
    def algorithm(self) -> AlgorithmName: ...
    @property
    def prepare(self) -> Recipe | None: ...
    @property
    def features(self) -> tuple[str, ...] | None: ...
    @property
    def exclude(self) -> tuple[str, ...]: ...
    @property
    def task(self) -> Task | None: ...
    @property
    def positive(self) -> bool | int | float | str | None: ...
    @property
    def max_categories(self) -> int: ...
    @property
    def weights(self) -> str | None: ...
    @property
    def class_weight(self) -> Literal["balanced"] | dict[str, float] | None: ...
    @property
    def target_transform(self) -> TransformName | None: ...
    @property
    def objective(self) -> ObjectiveName | None: ...
    @property
    def quantiles(self) -> tuple[float, ...] | None: ...
    @property
    def huber_delta(self) -> float: ...
    @property
    def tweedie_power(self) -> float: ...
    @property
    def monotone(self) -> dict[str, Literal[-1, 1]] | None: ...
    @property
    def device(self) -> DeviceName: ...


class Request(Struct, frozen=True):
    """The model that is asked for, without its rows and its hyperparameters."""

    target: str
    algorithm: AlgorithmName
    recipe: tuple[Operation, ...]
    features: tuple[str, ...] | None
    exclude: tuple[str, ...]
    task: Task | None
    positive: Any
    max_categories: int
    options: Options
    seed: int

    @classmethod
    def of(cls, params: Asked, seed: int) -> Request:
        """Return the request of an action's parameters. ``seed`` is that of the fit."""
        from e2i.estimators import recipes

        return cls(
            params.target,
            params.algorithm,
            () if params.prepare is None else tuple(recipes.steps_of(params.prepare)),
            params.features,
            params.exclude,
            params.task or ("ranking" if params.objective == "rank" else None),
            params.positive,
            params.max_categories,
            _options(params),
            seed,
        )

    def prepare(
        self,
        train: pd.DataFrame,
        validation: pd.DataFrame | None,
        *,
        threads: int,
        groups: Matrix | None = None,
        suspicions: bool = True,
        sketched: bool = True,
    ) -> Prepared:
        """Return the rows in the form of the algorithm's library. Raises StepError."""
        from e2i.estimators import fitting

        return fitting.prepare(
            train,
            validation,
            self.target,
            self.algorithm,
            task=self.task,
            features=self.features,
            exclude=self.exclude,
            positive=self.positive,
            max_categories=self.max_categories,
            threads=threads,
            recipe=self.recipe,
            seed=self.seed,
            groups=groups,
            options=self.options,
            suspicions=suspicions,
            sketched=sketched,
        )

    def in_splits(
        self, frame: pd.DataFrame, splits: Sequence[Roles], *, threads: int, groups: Matrix | None = None
    ) -> list[Prepared]:
        """Return the rows of each split: the recipe is fitted to the trained rows, the tested ones are to validate.

        Raises StepError for a split that lacks a class: its model could not be compared with the others.
        """
        import numpy as np

        from e2i.estimators import schema

        task, classes = schema.goal(frame, self.target, self.algorithm, task=self.task, positive=self.positive)
        settled = replace(self, task=task)  # few rows could look like another task
        found = []
        for split in splits:
            train, test = np.flatnonzero(split == TRAIN), np.flatnonzero(split == TEST)
            own = None if groups is None else groups[train]
            rows = frame.iloc[train]
            require_classes(rows[self.target], classes, "training rows")
            held_out = frame.iloc[test]
            if classes is not None and held_out[self.target].nunique() < 2:
                raise lacking_class("tested rows")
            found.append(settled.prepare(rows, held_out, threads=threads, groups=own, suspicions=False, sketched=False))
        return found


def _options(params: Asked) -> Options:
    """Return how the model learns. ``group`` of other actions is the unit of their intervals, not a query."""
    names = Options.__struct_fields__ if isinstance(params, RankedFitOptions) else FitOptions.model_fields
    return Options(**{name: getattr(params, name) for name in names})


def require_classes(labels: pd.Series[Any], classes: Sequence[Any] | None, what: str) -> None:
    """Raise StepError when rows of a split lack a class of the table."""
    if classes is not None and labels.nunique() < len(classes):
        raise lacking_class(what)


def lacking_class(what: str) -> StepError:
    """Return the error of a split whose rows lack a class of the table."""
    return StepError(
        f"the {what} of a split lack a class of the table",
        code="bad-target",
        hint="use strategy stratified or stratified_group in data.folds, or fewer folds",
    )


def codes(column: pd.Series[Any]) -> npt.NDArray[np.intp]:
    """Return a number for each value of a column, for ``groups``."""
    import pandas as pd

    found: npt.NDArray[np.intp] = pd.factorize(column)[0]
    return found
