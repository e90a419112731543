"""Make the study in memory of a search. In: options, distributions and known trials. Out: an Optuna study."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, assert_never

from e2i.errors import StepError, ToolUnavailable

if TYPE_CHECKING:
    from e2i.tools.optuna.search import Plan

LARGEST_GRID = 1_000_000
"""Combinations of a grid that are listed; more cannot be tried."""


def study(plan: Plan, space: Mapping[str, Any], known: Sequence[Any]) -> Any:
    """Return a study in memory that holds the ``known`` trials.

    Proposals are spread away from those in flight (the constant liar of TPE). Raises StepError for a space that the
    sampler cannot search, ToolUnavailable when its library is missing.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    seed = plan.seed + len(known)  # a sampler that begins again must not repeat its first proposals
    match plan.sampler:
        case "tpe":
            sampler: Any = optuna.samplers.TPESampler(seed=seed, constant_liar=plan.parallel > 1)
        case "random":
            sampler = optuna.samplers.RandomSampler(seed=seed)
        case "qmc":
            sampler = optuna.samplers.QMCSampler(
                seed=plan.seed, scramble=True, warn_independent_sampling=False, warn_asynchronous_seeding=False
            )
        case "grid":
            sampler = _grid(space, seed)
        case "cmaes":
            sampler = _cmaes(seed)
        case _:
            assert_never(plan.sampler)
    # The name is fixed because Hyperband derives the bracket of a trial from it.
    made = optuna.create_study(study_name="search", direction=plan.direction, sampler=sampler, pruner=_pruner(plan))
    made.add_trials(known)
    return made


def trials(plan: Plan, space: Mapping[str, Any]) -> int:
    """Return the number of trials that a search ends with: a grid ends when each combination was tried."""
    if plan.sampler != "grid":
        return plan.trials
    return min(plan.trials, math.prod(len(values) for values in _values(space).values()))


def _pruner(plan: Plan) -> Any:
    from optuna import pruners

    match plan.pruner:
        case "none":
            return pruners.NopPruner()
        case "median":
            return pruners.MedianPruner()
        case "hyperband":
            return pruners.HyperbandPruner()
        case "successive_halving":
            return pruners.SuccessiveHalvingPruner()
        case _:
            assert_never(plan.pruner)


def _grid(space: Mapping[str, Any], seed: int) -> Any:
    from optuna.samplers import GridSampler

    class Grid(GridSampler):
        """Ends no study: the search counts the combinations itself."""

        def after_trial(self, study: Any, trial: Any, state: Any, values: Any) -> None:
            return

    return Grid(_values(space), seed=seed)


def _values(space: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return the values of each parameter of a finite space. Raises StepError for a range without steps."""
    found: dict[str, list[Any]] = {}
    for name, dimension in space.items():
        if hasattr(dimension, "choices"):
            found[name] = list(dimension.choices)
            continue
        if dimension.step is None:
            raise StepError(
                f"a grid needs a finite number of values, and {name!r} is a range of numbers without a step",
                code="bad-space",
                hint=f"list the values of {name!r}, give it a `step`, or choose another sampler",
            )
        count = round((dimension.high - dimension.low) / dimension.step) + 1
        if count > LARGEST_GRID:
            raise StepError(f"the grid of {name!r} has {count:,} values", code="bad-space", hint="set a larger `step`")
        kind = type(dimension.low)
        found[name] = [kind(dimension.low + number * dimension.step) for number in range(count)]
    return found


def _cmaes(seed: int) -> Any:
    from optuna.samplers import CmaEsSampler

    if find_spec("cmaes") is None:
        raise ToolUnavailable(
            "optuna",
            "the sampler cmaes needs the package cmaes, which is not installed",
            code="tool-missing",
            hint='pip install "e2i[optuna]", or choose the sampler tpe',
        )
    return CmaEsSampler(seed=seed, warn_independent_sampling=False)
