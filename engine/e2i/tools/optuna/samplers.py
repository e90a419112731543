"""Make the study in memory of a search. In: options, distributions and known trials. Out: an Optuna study."""

from __future__ import annotations

import itertools
import math
import random
import warnings
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, assert_never

from e2i.errors import StepError, ToolUnavailable
from e2i.estimators.space import Choices, Dimension, FloatRange, IntRange, is_active
from e2i.tools.optuna import pruners

if TYPE_CHECKING:
    from e2i.tools.optuna.search import Plan

NAME = "search"
"""Name of every study in memory: Hyperband derives the bracket of a trial from it."""
LARGEST_GRID = 1_000_000
"""Combinations of a grid that are listed; more cannot be tried."""


def study(plan: Plan, known: Sequence[Any]) -> Any:
    """Return a study in memory that holds the ``known`` trials.

    Proposals are spread away from those in flight (the constant liar of TPE). Raises StepError for a space that the
    sampler cannot search, ToolUnavailable when its library is missing.
    """
    import optuna

    _check_same_kinds(distributions(plan.space), known)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    made = optuna.create_study(
        study_name=NAME, directions=plan.directions, sampler=_sampler(plan, known), pruner=pruners.make(plan.pruner)
    )
    made.add_trials(known)
    return made


def _sampler(plan: Plan, known: Sequence[Any]) -> Any:
    from optuna import samplers

    seed = plan.seed + len(known)  # a sampler that begins again must not repeat its first proposals
    liar = plan.parallel > 1
    match plan.sampler:
        case "tpe":
            return samplers.TPESampler(seed=seed, constant_liar=liar)
        case "multivariate_tpe":
            group = any(dimension.when for dimension in plan.space.values())
            return samplers.TPESampler(seed=seed, constant_liar=liar, multivariate=True, group=group)
        case "random":
            return samplers.RandomSampler(seed=seed)
        case "qmc":
            return samplers.QMCSampler(
                seed=seed, scramble=True, warn_independent_sampling=False, warn_asynchronous_seeding=False
            )
        case "grid":
            return _grid(plan, known)
        case "cmaes":
            return _cmaes(plan, seed)
        case "gp":
            return _gp(seed)
        case _:
            assert_never(plan.sampler)


def distributions(space: Mapping[str, Dimension]) -> dict[str, Any]:
    """Return Optuna's form of each range."""
    return {name: _distribution(dimension) for name, dimension in space.items()}


def _distribution(dimension: Dimension) -> Any:
    """Return Optuna's form of a range. One whose steps miss its end is as long as the steps, which Optuna warns of."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    match dimension:
        case IntRange(low=low, high=high, step=step, log=log):
            return IntDistribution(low, high - (high - low) % step, step=step, log=log)
        case FloatRange(low=low, high=high, step=step, log=log):
            return FloatDistribution(low, high if step is None else _last(low, high, step), step=step, log=log)
        case Choices(choices=choices):
            return CategoricalDistribution(choices)
        case _:
            assert_never(dimension)


def _last(low: float, high: float, step: float) -> float:
    first, end, distance = (Decimal(str(value)) for value in (low, high, step))
    return float(first + (end - first) // distance * distance)


def ask(study: Any, plan: Plan) -> Any:
    """Return a new trial (optuna Trial) with a value of each range that is searched in it."""
    trial = study.ask()
    chosen = dict(plan.fixed)
    for name, dimension in plan.space.items():
        if is_active(dimension, chosen):
            chosen[name] = _suggest(trial, name, dimension)
    return trial


def _suggest(trial: Any, name: str, dimension: Dimension) -> Any:
    form = _distribution(dimension)
    match dimension:
        case IntRange():
            return trial.suggest_int(name, form.low, form.high, step=form.step, log=form.log)
        case FloatRange():
            return trial.suggest_float(name, form.low, form.high, step=form.step, log=form.log)
        case Choices(choices=choices):
            return trial.suggest_categorical(name, choices)
        case _:
            assert_never(dimension)


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


def trials(plan: Plan, known: Sequence[Any], own: int) -> int:
    """Return the number of trials that a search ends with: a grid ends when each combination was tried.

    ``own`` of the ``known`` trials count as the search's own.
    """
    if plan.sampler != "grid":
        return plan.trials
    listed = {_key(params, plan) for params in combinations(plan)}
    tried = {_key(trial.params, plan) for trial in known} & listed
    return min(plan.trials, own + len(listed) - len(tried))


def _grid(plan: Plan, known: Sequence[Any]) -> Any:
    from optuna.samplers import BaseSampler

    listed = combinations(plan)
    random.Random(plan.seed).shuffle(listed)
    tried = {_key(trial.params, plan) for trial in known}
    untried = (params for params in listed if _key(params, plan) not in tried)

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


def _key(params: Mapping[str, Any], plan: Plan) -> tuple[tuple[str, str], ...]:
    return tuple((name, repr(params[name])) for name in plan.space if name in params)


def combinations(plan: Plan) -> list[dict[str, Any]]:
    """Return each combination of a finite space once, in the order of the ranges.

    Raises StepError for a range without steps, and for more than LARGEST_GRID combinations.
    """
    values = {name: _listed(name, dimension) for name, dimension in plan.space.items()}
    certain = math.prod(len(values[name]) for name, dimension in plan.space.items() if not dimension.when)
    found: list[dict[str, Any]] = [{}]
    for name, dimension in plan.space.items():
        if certain > LARGEST_GRID or len(found) > LARGEST_GRID:
            raise StepError(
                f"the grid has more than {LARGEST_GRID:,} combinations",
                code="bad-space",
                hint="set larger steps, or choose another sampler",
            )
        found = list(itertools.islice(_wider(found, plan, name, dimension, values[name]), LARGEST_GRID + 1))
    return found


def _wider(
    found: Sequence[Mapping[str, Any]], plan: Plan, name: str, dimension: Dimension, values: Sequence[Any]
) -> Iterator[dict[str, Any]]:
    for params in found:
        if is_active(dimension, {**plan.fixed, **params}):
            yield from ({**params, name: value} for value in values)
        else:
            yield dict(params)


def _listed(name: str, dimension: Dimension) -> Sequence[Any]:
    if isinstance(dimension, Choices):
        return dimension.choices
    if dimension.step is None:
        raise StepError(
            f"a grid needs a finite number of values, and {name!r} is a range of numbers without a step",
            code="bad-space",
            hint=f"list the values of {name!r}, give it a `step`, or choose another sampler",
        )
    if isinstance(dimension, IntRange):
        return range(dimension.low, dimension.high + 1, dimension.step)
    count = math.floor((dimension.high - dimension.low) / dimension.step + 1e-9) + 1
    return [float(dimension.low + number * dimension.step) for number in range(min(count, LARGEST_GRID + 1))]


def _cmaes(plan: Plan, seed: int) -> Any:
    from optuna.samplers import CmaEsSampler

    if len(plan.directions) > 1:
        raise StepError(
            "cmaes searches by one metric",
            code="bad-search",
            hint="choose the sampler tpe, or one metric",
        )
    if find_spec("cmaes") is None:
        raise _missing("cmaes", "cmaes", "optuna")
    return CmaEsSampler(seed=seed, warn_independent_sampling=False)


def _gp(seed: int) -> Any:
    from optuna.samplers import GPSampler

    if find_spec("torch") is None:
        raise _missing("gp", "torch", "optuna-gp")
    return GPSampler(seed=seed)


def _missing(sampler: str, package: str, extra: str) -> ToolUnavailable:
    return ToolUnavailable(
        "optuna",
        f"the sampler {sampler} needs the package {package}, which is not installed",
        code="tool-missing",
        hint=f'pip install "e2i[{extra}]", or choose the sampler tpe',
    )
