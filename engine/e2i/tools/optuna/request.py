"""Read a program's call of a search. In: its arguments. Out: what is sought, how estimators are made, the options."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, cast, get_args

from msgspec import Struct
from msgspec.structs import replace
from pydantic import TypeAdapter, ValidationError

from e2i.catalog.extensible import Source
from e2i.errors import StepError
from e2i.estimators import algorithms, live, live_effects, making
from e2i.estimators.algorithms import ALGORITHMS, Task
from e2i.estimators.effect_algorithms import EFFECT_METRICS, LIVE
from e2i.estimators.space import Dimension, ordered
from e2i.spec import suggest
from e2i.tools.optuna import pruners, search, spaces, treating, trials
from e2i.tools.optuna.choosing import Goals
from e2i.tools.optuna.objective import watched_metric
from e2i.tools.optuna.rules import Choose, Constraint, Knee, Stopping, Weights
from e2i.tools.optuna.treating import EffectData, EffectRecipe
from e2i.tools.optuna.trials import Data, Make, Recipe, direction_of, metric_named, task_of

T = TypeVar("T")
SEEDS = 2**31
MOST_PARALLEL = 64


class Request(Struct, frozen=True, eq=False):
    """A program's call, as it was made. ``direction`` None is the metric's own."""

    algorithm: str | Make
    search_space: Mapping[str, Any]
    train: tuple[Any, Any]
    """Table and labels of training."""
    validation: tuple[Any, Any]
    n_trials: int
    metric: str | Sequence[str]
    """One metric, or several, for a Pareto front."""
    direction: str | None
    timeout: float | None
    study_name: str | None
    sampler: str
    pruner: str | None
    seed: int | None
    treatment: Any = None
    """The treatments of both tables, for effects."""
    choose: Mapping[str, Any] | None = None
    stop: Mapping[str, Any] | None = None
    warm_start: Sequence[str] = ()
    parallel: int = 1
    source: Source | None = None
    """Where algorithms are looked up that plug-ins and settings add."""


def goals(request: Request) -> Goals:
    """Return the metrics of the search. Raises StepError for an unknown one, and for metrics of different tasks."""
    given = [request.metric] if isinstance(request.metric, str) else request.metric
    if not isinstance(given, Sequence) or not given or not all(isinstance(name, str) for name in given):
        raise StepError(
            f"`metric` is {request.metric!r:.80}, neither a name nor a list of names",
            code="wrong-metric",
            hint='such as metric="auc", or metric=["auc", "brier"]',
        )
    names = tuple(metric_named(name) for name in given)
    if of_queries := [name for name in names if task_of(name) == "ranking"]:
        raise StepError(
            f"{of_queries[0]} is judged within queries, which a search of estimators does not have",
            code="wrong-metric",
            hint="search a ranking by optuna.tune in a spec",
        )
    if len(names) == 1:
        return Goals(names, (direction_of(names[0], request.direction),))
    if request.direction is not None:
        raise StepError(
            "`direction` is for one metric", code="wrong-direction", hint="leave it out: each metric has its own"
        )
    if len({task_of(name) for name in names}) > 1 or len(set(names)) < len(names):
        raise StepError(
            f"{', '.join(names)} cannot be searched by together",
            code="wrong-metric",
            hint="name each metric once, all of classification, of regression or of effects",
        )
    return Goals(names, tuple(direction_of(name, None) for name in names))


def choose(request: Request, sought: Goals) -> Choose | None:
    """Return the rule that takes a trial of the Pareto front. Raises StepError for a wrong one."""
    rule: Choose | None = _part(TypeAdapter(Choose), "choose", request.choose)
    named: set[str] = set()
    match rule:
        case Weights(weights=weights):
            named = {*weights}
        case Constraint(best=best, at_least=least, at_most=most):
            named = {best, *least, *most}
        case None | Knee():
            pass
    if (rule is not None and len(sought.names) == 1) or not named <= {*sought.names}:
        raise StepError(
            f"`choose` is about {', '.join(sorted(named)) or 'several metrics'}, and the search is by "
            f"{', '.join(sought.names)}",
            code="bad-search",
            hint='name several metrics in `metric`, such as metric=["auc", "brier"]',
        )
    return rule


def read(request: Request, sought: Goals) -> tuple[Recipe, Data] | tuple[EffectRecipe, EffectData]:
    """Return how estimators are made, and their rows. Raises StepError."""
    task = task_of(sought.names[0])
    made = recipe(request, task)
    if isinstance(made, EffectRecipe):
        rows = treating.data(request.train, request.validation, request.treatment)
        if isinstance(made.algorithm, str):
            live_effects.check_treatment(made.algorithm, is_discrete=rows.is_discrete)
        return replace(made, is_discrete=rows.is_discrete), rows
    own = not isinstance(made.algorithm, str)
    data = trials.read(*request.train, *request.validation, made.task, own)
    if not own:  # what every trial would fail by is no trial
        trials.prepared(made.make({}), data.train)
    return made, data


def recipe(request: Request, task: str) -> Recipe | EffectRecipe:
    """Return how estimators are made. Raises StepError for an unknown algorithm or parameter."""
    seed = secrets.randbelow(SEEDS) if request.seed is None else seed_of(request.seed)
    is_effect = request.treatment is not None
    if is_effect != (task == "effect"):
        raise StepError(
            f"`treatment` is for metrics of effects: {', '.join(EFFECT_METRICS)}",
            code="wrong-metric" if is_effect else "bad-call",
            hint='set metric="r_score"' if is_effect else "pass treatment=(t_train, t_val), or choose another metric",
        )
    if callable(request.algorithm):
        return (
            EffectRecipe(request.algorithm, seed) if is_effect else Recipe(request.algorithm, cast("Task", task), seed)
        )
    if not isinstance(request.algorithm, str):
        raise StepError(
            f"`algorithm` is {request.algorithm!r:.80}, neither a name nor a callable",
            code="unknown-algorithm",
            hint=f"algorithms: {', '.join(ALGORITHMS)}, or a callable that makes an estimator of parameters",
        )
    name = live.named(request.algorithm, request.source)
    if is_effect != (name in LIVE):
        able = LIVE if is_effect else tuple(ALGORITHMS)
        raise StepError(
            f"{name} does not estimate effects" if is_effect else f"{name} estimates effects of a treatment",
            code="wrong-task",
            hint=f"algorithms for effects: {', '.join(able)}"
            if is_effect
            else 'pass treatment=(t_train, t_val) and metric="r_score"',
        )
    space = request.search_space if isinstance(request.search_space, Mapping) else {}
    if is_effect:
        live_effects.check(name, space)
        return EffectRecipe(name, seed)
    making.check(name, cast("Task", task), space)
    return Recipe(name, cast("Task", task), seed)


def seed_of(given: Any) -> int:
    """Return the seed as a number of Python. Raises StepError."""
    seed = -1 if isinstance(given, bool) or not hasattr(given, "__index__") else given.__index__()
    if not 0 <= seed < SEEDS:
        raise StepError(
            f"the seed {given!r:.80} is not between 0 and {SEEDS - 1:,}",
            code="bad-seed",
            hint="such as seed=3, or None",
        )
    return int(seed)


def plan(request: Request, recipe: Recipe | EffectRecipe, goals: Goals, shape: str) -> search.Plan:
    """Return the options of the search. Raises StepError for a wrong one."""
    pruner: Any = _one_of("pruner", "none" if request.pruner is None else request.pruner, get_args(pruners.Pruner))
    known = algorithms.known(recipe.algorithm)
    without = isinstance(recipe, EffectRecipe) or (known is not None and not known.rounds)
    if pruner != "none" and without:
        able = ", ".join(name for name, found in ALGORITHMS.items() if found.rounds)
        raise StepError(
            f"{recipe.name} does not train in rounds, so its trials cannot be pruned",
            code="no-rounds",
            hint=f"leave `pruner` out, or use one of {able}",
        )
    if isinstance(request.n_trials, bool) or not isinstance(request.n_trials, int) or request.n_trials < 1:
        raise StepError(
            f"`n_trials` is {request.n_trials!r:.80}, not a number of trials from 1",
            code="bad-trials",
            hint="such as n_trials=50",
        )
    watched = 0 if pruner == "none" else watched_metric(goals.names, shape)[0]
    return search.Plan(
        space=_space(request.search_space),
        trials=request.n_trials,
        directions=goals.directions,
        sampler=_one_of("sampler", request.sampler, get_args(search.Sampler)),
        pruner=pruner,
        watched=watched,
        parallel=_parallel(request.parallel),
        seed=recipe.seed,
        stop=goals.stop(_part(Stopping, "stop", request.stop)),
    )


def seconds(timeout: Any) -> float:
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not timeout > 0:
        raise StepError(
            f"`timeout` is {timeout!r}, not a number of seconds above 0",
            code="bad-timeout",
            hint="such as timeout=600, or None for no limit",
        )
    return float(timeout)


def _space(given: Any) -> dict[str, Dimension]:
    space = spaces.read(given)
    for name, dimension in space.items():
        if unknown := [other for other in dimension.when or () if other not in space]:
            raise StepError(
                f"the search space of {name!r}: `when` names {unknown[0]!r}, which is not searched",
                code="bad-space",
                hint=suggest.hint(unknown[0], space) or f"parameters: {', '.join(space)}",
            )
    try:
        return ordered(space)
    except ValueError as error:
        raise StepError(f"the search space has {error}", code="bad-space", hint="remove one of them") from error


def _parallel(given: Any) -> int:
    if isinstance(given, bool) or not isinstance(given, int) or not 1 <= given <= MOST_PARALLEL:
        raise StepError(
            f"`parallel` is {given!r:.80}, not a number of trials from 1 to {MOST_PARALLEL}",
            code="bad-call",
            hint="such as parallel=4",
        )
    return given


def _part(kind: Any, argument: str, given: Any) -> Any:
    """Return a rule that is written as in a spec. Raises StepError that says what is wrong with it."""
    if given is None:
        return None
    try:
        return (kind if isinstance(kind, TypeAdapter) else TypeAdapter(kind)).validate_python(given)
    except ValidationError as error:
        found = error.errors()[0]
        where = ".".join(map(str, (argument, *found["loc"])))
        message = str(found["msg"]).removeprefix("Value error, ")
        raise StepError(f"`{where}`: {message}", code="bad-search", hint="write it as in `optuna.tune`") from error


def _one_of(argument: str, value: Any, known: Sequence[str]) -> Any:
    if not isinstance(value, str):
        raise StepError(
            f"`{argument}` is of the type {type(value).__name__}, not a text",
            code=f"unknown-{argument}",
            hint=f"choose from: {', '.join(known)}",
        )
    folded = "".join(sign for sign in str(value).casefold() if sign.isalnum())
    for name in known:
        if folded == name.replace("_", ""):
            return name
    raise StepError(
        f"there is no {argument} {value!r}",
        code=f"unknown-{argument}",
        hint=suggest.hint(str(value), known) or f"choose from: {', '.join(known)}",
    )
