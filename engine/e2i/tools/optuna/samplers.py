"""Make the study in memory of a search. In: options, distributions and known trials. Out: an Optuna study."""

from __future__ import annotations

import itertools
import math
import random
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

    _check_same_kinds(space, known)
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
                seed=seed, scramble=True, warn_independent_sampling=False, warn_asynchronous_seeding=False
            )
        case "grid":
            sampler = _grid(space, plan.seed, known)
        case "cmaes":
            sampler = _cmaes(seed)
        case _:
            assert_never(plan.sampler)
    # The name is fixed because Hyperband derives the bracket of a trial from it.
    made = optuna.create_study(study_name="search", direction=plan.direction, sampler=sampler, pruner=_pruner(plan))
    made.add_trials(known)
    return made


def _check_same_kinds(space: Mapping[str, Any], known: Sequence[Any]) -> None:
    """Raise StepError when a study cannot hold the new trials: it keeps one type, and one list of choices, a name."""
    from optuna.distributions import check_distribution_compatibility

    earlier = {name: found for trial in known for name, found in trial.distributions.items()}
    for name in space.keys() & earlier.keys():
        try:
            check_distribution_compatibility(earlier[name], space[name])
        except ValueError as error:
            raise StepError(
                f"the study has trials of another search space, in which {name!r} is {earlier[name]}",
                code="study-changed",
                hint="set another name of the study, or the space that it was begun with",
            ) from error


def trials(plan: Plan, space: Mapping[str, Any], known: Sequence[Any]) -> int:
    """Return the number of trials that a search ends with: a grid ends when each combination was tried."""
    if plan.sampler != "grid":
        return plan.trials
    values = _values(space)
    tried = {_key(trial.params, space) for trial in known if _is_of(trial.params, values)}
    return min(plan.trials, len(known) + math.prod(map(len, values.values())) - len(tried))


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


def _grid(space: Mapping[str, Any], seed: int, known: Sequence[Any]) -> Any:
    from optuna.samplers import BaseSampler

    combinations = list(itertools.product(*_values(space).values()))
    random.Random(seed).shuffle(combinations)
    tried = {_key(trial.params, space) for trial in known}
    listed = (dict(zip(space, values, strict=True)) for values in combinations)
    untried = (params for params in listed if _key(params, space) not in tried)

    class Grid(BaseSampler):  # type: ignore[misc]  # optuna has no types here
        """Proposes each combination once, also after the trials of another search, which Optuna's own does not."""

        def __init__(self) -> None:
            self.chosen: dict[int, Mapping[str, Any]] = {}

        def before_trial(self, study: Any, trial: Any) -> None:
            self.chosen[trial.number] = next(untried)

        def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
            return {}

        def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:
            return {}

        def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
            return self.chosen[trial.number][param_name]

    return Grid()


def _key(params: Mapping[str, Any], space: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(repr(params.get(name)) for name in space)


def _is_of(params: Mapping[str, Any], values: Mapping[str, Sequence[Any]]) -> bool:
    return all(name in params and params[name] in listed for name, listed in values.items())


def _values(space: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return the values of each parameter of a finite space. Raises StepError for a range without steps."""
    found: dict[str, list[Any]] = {}
    size = 1
    for name, dimension in space.items():
        listed = _listed(name, dimension)
        size *= len(listed)
        if size > LARGEST_GRID:
            raise StepError(
                f"the grid has more than {LARGEST_GRID:,} combinations",
                code="bad-space",
                hint="set larger steps, or choose another sampler",
            )
        found[name] = list(listed)
    return found


def _listed(name: str, dimension: Any) -> Sequence[Any]:
    if hasattr(dimension, "choices"):
        choices: Sequence[Any] = dimension.choices
        return choices
    if dimension.step is None:
        raise StepError(
            f"a grid needs a finite number of values, and {name!r} is a range of numbers without a step",
            code="bad-space",
            hint=f"list the values of {name!r}, give it a `step`, or choose another sampler",
        )
    if isinstance(dimension.low, int):
        return range(dimension.low, dimension.high + 1, dimension.step)
    count = math.floor((dimension.high - dimension.low) / dimension.step + 1e-9) + 1
    return [float(dimension.low + number * dimension.step) for number in range(min(count, LARGEST_GRID + 1))]


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
