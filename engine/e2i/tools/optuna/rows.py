"""Prepare the rows that trials are fitted to and judged by. In: parameters and tables. Out: an objective."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from e2i.catalog.artifacts import Recipe
from e2i.catalog.context import StepContext
from e2i.errors import StepError
from e2i.estimators import fitting, recipe_choices, recipes, reweighting
from e2i.estimators.request import Request, codes
from e2i.estimators.rounds import WatchedMetric
from e2i.estimators.schema import Schema
from e2i.tools.optuna.chosen_rows import ChosenRows
from e2i.tools.optuna.objective import FoldsObjective, Models, Objective, watched_metric
from e2i.tools.optuna.parameters import TuneParams

if TYPE_CHECKING:
    from e2i.estimators.folding import Roles

Watched = tuple[int, WatchedMetric | None]
"""The position of the metric that trials report on the way, and its name when it is computed round by round."""


class TrialRows:
    """The prepared rows of a search: one pair of training and validation rows, or one for each split of folds.

    Raises StepError for rows that no trial can be judged by.
    """

    def __init__(self, params: TuneParams, ctx: StepContext) -> None:
        from e2i.estimators import folding

        self._params, self._threads = params, ctx.threads
        self.request = Request.of(params, ctx.seed if params.seed is None else params.seed)
        self._frame = ctx.frame(params.train)
        self._groups = None
        self._splits: Sequence[Roles] = ()
        self._validation = None if params.validation is None else ctx.frame(params.validation)
        if params.folds is not None:
            self._splits = folding.read(params.folds, params.train, ctx)
            by = params.folds.by
            self._groups = None if by is None else codes(self._frame[by])
        self._prepared = self._prepare(self.request)
        self._chosen = ChosenRows(lambda choices: self._prepare(self.with_choices(choices)))

    @property
    def schema(self) -> Schema:
        """What the rows are, which is the same in every split but for categories."""
        return self._prepared[0].schema

    def watched(self, names: Sequence[str]) -> Watched | None:
        """Return what trials report to the pruner; None without one. Raises StepError when no metric can be."""
        if self._params.pruner == "none":
            return None
        return (0, None) if self._params.folds is not None else watched_metric(names, self.schema.shape)

    def objective(self, names: tuple[str, ...], models: Models, watched: Watched | None) -> Objective | FoldsObjective:
        """Return what evaluates a trial. With folds, no model of a trial is kept: none is fitted to all rows."""
        fixed, seed = self._params.fixed, self.request.seed
        if self._params.folds is not None:
            position, stop = None if watched is None else watched[0], self._params.early_stopping
            return FoldsObjective(self._prepared, names, fixed, seed, position, stop, rows=self.of)
        on_the_way = None if watched is None else watched[1]
        return Objective(
            self._prepared[0], names, fixed, seed, models, on_the_way, self._params.early_stopping, rows=self.of
        )

    def of(self, choices: Mapping[str, Any]) -> Sequence[fitting.Prepared]:
        """Return the rows with these choices of the recipe, which is fitted in each split."""
        return self._chosen(choices)

    def with_choices(self, choices: Mapping[str, Any]) -> Request:
        """Return the request with these choices of the recipe."""
        found = self.recipe(choices)
        return self.request if found is None else replace(self.request, recipe=tuple(recipes.steps_of(found)))

    def recipe(self, choices: Mapping[str, Any]) -> Recipe | None:
        """Return the recipe with these choices; None without a recipe. Raises StepError for a value it refuses."""
        return recipe_choices.refined(self._params.prepare, choices)

    def fit(self, chosen: Mapping[str, Any], choices: Mapping[str, Any]) -> fitting.Fitted:
        """Return the model with these hyperparameters and choices of the recipe, fitted to all rows to train."""
        prepared = self._prepared[0] if not choices else self.of(choices)[0]
        if self._params.folds is not None:
            prepared = self.with_choices(choices).prepare(self._frame, None, threads=self._threads, groups=self._groups)
        return fitting.fit(prepared, chosen, seed=self.request.seed, threads=1)

    def warnings(self, fitted: fitting.Fitted) -> Iterator[str]:
        """Yield what the user should know of the rows, and of parameters that weigh classes."""
        by_option = {"class_weight": self._params.class_weight}
        chosen = {**by_option, **self._params.fixed, **(self._params.space or {})}
        yield from reweighting.warnings(chosen, self.schema.classes)
        yield from fitted.prepared.warnings

    def _prepare(self, request: Request) -> Sequence[fitting.Prepared]:
        if self._params.folds is None:
            return [self._validated(request, self._validation)]
        return request.in_splits(self._frame, self._splits, threads=self._threads, groups=self._groups)

    def _validated(self, request: Request, validation: Any) -> fitting.Prepared:
        prepared = request.prepare(self._frame, validation, threads=self._threads)
        held_out = prepared.validation
        if prepared.schema.classes is not None and held_out is not None and len(set(held_out.labels.tolist())) < 2:
            raise StepError(
                f"the validation table has {len(held_out.labels)} rows of one class, so no trial can be judged",
                code="bad-validation",
                hint="check the split; a table for tuning needs rows of every class",
            )
        return prepared
