"""Run ``optuna.tune``. In: parameters. Out: a study, its best parameters and model, its trials and their front."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from e2i.catalog.artifacts import Report, Study
from e2i.catalog.context import ChildRun, StepContext
from e2i.errors import StepError
from e2i.estimators import algorithms, recipe_choices, recipe_space, saved
from e2i.estimators.space import ordered
from e2i.tools.optuna import (
    Scalar,
    TuneOutputs,
    TuneParams,
    choosing,
    options,
    ranges,
    report,
    search,
    tables,
    warming,
)
from e2i.tools.optuna.choosing import Goals
from e2i.tools.optuna.connector import GuardedOptuna
from e2i.tools.optuna.objective import Models
from e2i.tools.optuna.rows import TrialRows


async def tune(params: TuneParams, ctx: StepContext) -> TuneOutputs:
    """Search, or resume the search of an earlier attempt; every trial becomes a child run.

    Raises StepError with the reasons when no trial was completed, and ToolUnavailable when the storage fails.
    """
    from threadpoolctl import threadpool_limits

    rows = TrialRows(params, ctx)
    _check(params, rows.schema.task)
    sought = choosing.goals(params.metric, params.direction, params.metrics, rows.schema.task)
    watched = rows.watched(sought.names)
    plan = _plan(params, sought, 0 if watched is None else watched[0], rows.request.seed)
    algorithms.check(params.algorithm, rows.schema.task, {**recipe_choices.split(plan.space)[0], **params.fixed})
    name = _name(params, ctx.key("study"))
    tuner = ctx.connect(GuardedOptuna)
    known = await _known(params, plan, sought, tuner, ctx)
    models = Models(sought.directions)
    objective = rows.objective(sought.names, models, watched)
    with threadpool_limits(
        limits=1, user_api="blas"
    ):  # trials share the cores, and sums keep their order on any machine
        trials = await tuner.optimize(
            name,
            objective,
            plan,
            timeout=params.timeout,
            progress=lambda done: ctx.progress(done, params.trials, f"{done} of {params.trials} trials"),
            about={"e2i.metric": ",".join(sought.names), "e2i.algorithm": params.algorithm},
            known=known,
        )
        best, front = choosing.best(trials, sought, params.choose, hint="check `space` and `fixed`, or raise `timeout`")
        best_params: dict[str, Scalar] = objective.chosen(best)
        choices = recipe_choices.split(best.params)[1]
        fitted = models.of(best.number) or objective.again(best) or rows.fit(best_params, choices)
    for trial in trials:
        ctx.child(_child(trial, sought))
    for warning in (*rows.warnings(fitted), *_warnings(trials, plan, sum(map(len, known.values())))):
        ctx.warn(warning)
    values = dict(zip(sought.names, map(float, best.values), strict=True))
    for metric, value in values.items():
        ctx.metric(f"best_{metric}", value)
    for parameter, chosen in (*best_params.items(), *choices.items()):
        ctx.param(parameter, "null" if chosen is None else chosen)
    if params.device != "cpu":
        ctx.param("device", fitted.prepared.loss.device)
    title = f"Search of {params.algorithm} for {params.target}"
    found = report.Found(title, trials, best, front, sought, plan)
    folder = report.write(ctx.scratch / "search", found, plots=params.plots)
    page = ctx.keep(folder, Report, media_type="text/html", title=title, entry=report.ENTRY)
    ctx.attach("search", page)
    return TuneOutputs(
        study=Study(digest=_digest(name, trials), name=name, trials=len(trials)),
        best_params=best_params,
        best_value=float(best.values[0]),
        best_values=values,
        best_recipe=rows.recipe(choices),
        model=saved.keep_model(fitted, ctx),
        trials=ctx.table(tables.of_trials(trials, sought, list(plan.space))),
        front=ctx.table(tables.of_front(front, best, sought, list(plan.space))),
        report=page,
    )


def _check(params: TuneParams, task: str) -> None:
    """Raise StepError for what planning would have found, had the parameters been known."""
    given = params.model_dump()
    for problem in (
        *ranges.check(given),
        *recipe_space.check(given),
        *options.check(given, options.metrics(given), task),
    ):
        if problem.severity == "error":
            where = ".".join(map(str, problem.path))
            raise StepError(f"{where}: {problem.message}", code=problem.code, hint=problem.hint)


def _plan(params: TuneParams, sought: Goals, watched: int, seed: int) -> search.Plan:
    space = params.space or algorithms.of(params.algorithm).space
    return search.Plan(
        space=ordered({name: dimension for name, dimension in space.items() if name not in params.fixed}),
        trials=params.trials,
        directions=sought.directions,
        sampler=params.sampler,
        pruner=params.pruner,
        watched=watched,
        parallel=params.parallel,
        seed=seed,
        fixed=params.fixed,
        stop=sought.stop(params.stop),
    )


async def _known(
    params: TuneParams, plan: search.Plan, sought: Goals, tuner: GuardedOptuna, ctx: StepContext
) -> Mapping[str, Any]:
    """Return the trials of other studies that the sampler is to know, by study."""
    found: dict[str, Any] = {}
    for given in params.warm_start:
        name = given.name if isinstance(given, Study) else given
        trials = await tuner.trials_of(name, ",".join(sought.names), sought.directions)
        found[name] = trials[: given.trials] if isinstance(given, Study) else trials
        usable = warming.known(found[name], plan)
        if len(usable) < len(found[name]):
            ctx.warn(
                f"the sampler knows {len(usable)} of {len(found[name])} trials of the study {name!r}: the others were "
                "not completed, or have other parameters than `space` and `fixed`"
            )
        found[name] = usable
    return found


def _name(params: TuneParams, key: str) -> str:
    """Return the study's name: readable, a valid file name, and unique for each different input."""
    title = params.study or f"{params.target}-{params.algorithm}"
    return f"{re.sub(r'[^A-Za-z0-9_.-]+', '_', title)[:100]}-{key[:10]}"


def _warnings(trials: Sequence[Any], plan: search.Plan, known: int) -> Iterator[str]:
    """Yield what makes the search less than it seems: trials that tie, and proposals that cannot use any result."""
    values = [tuple(trial.values) for trial in trials if trial.state.name == "COMPLETE"]
    if len(values) > 2 and len(set(values)) == 1 and plan.space:
        yield (
            f"all {len(values)} trials have the same value, {', '.join(f'{value:.6g}' for value in values[0])}: the "
            "ranges in `space` do not matter for this target; set others, or scale the target"
        )
    guided = len(trials) - max(search.STARTUP - known, plan.parallel)
    if plan.sampler in ("tpe", "multivariate_tpe") and guided < len(trials) / 2 and len(trials) > 4:
        yield (
            f"only {max(guided, 0)} of {len(trials)} trials were proposed with knowledge of others: raise `trials`, or "
            f"lower `parallel` (now {plan.parallel})"
        )


def _child(trial: Any, sought: Goals) -> ChildRun:
    return ChildRun(
        name=f"trial-{trial.number:04d}",
        status="failed" if trial.state.name == "FAIL" else "finished",
        started_ms=int(trial.datetime_start.timestamp() * 1000),
        ended_ms=int(trial.datetime_complete.timestamp() * 1000),
        params={name: "null" if value is None else value for name, value in trial.params.items()},
        metrics={} if trial.values is None else dict(zip(sought.names, trial.values, strict=True)),
    )


def _digest(name: str, trials: Sequence[Any]) -> str:
    """Return a digest of a study from its trials and their results."""
    content = [(trial.number, trial.state.name, trial.values, sorted(trial.params.items())) for trial in trials]
    return "sha256:" + hashlib.sha256(json.dumps([name, content]).encode()).hexdigest()
