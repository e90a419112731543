"""Run ``optuna.tune``. In: parameters. Out: a study, its best parameters and its trials."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from e2i.catalog.artifacts import Study
from e2i.catalog.context import ChildRun, StepContext
from e2i.errors import StepError
from e2i.estimators import algorithms, metrics, reweighting
from e2i.estimators.algorithms import ALGORITHMS
from e2i.tools.optuna import Scalar, TuneOutputs, TuneParams, search
from e2i.tools.optuna.connector import GuardedOptuna
from e2i.tools.optuna.objective import Objective

if TYPE_CHECKING:
    import pandas as pd


async def tune(params: TuneParams, ctx: StepContext) -> TuneOutputs:
    """Search, or resume the search of an earlier attempt; every trial becomes a child run.

    Raises StepError with the reasons when no trial was completed, and ToolUnavailable when the storage fails.
    """
    from threadpoolctl import threadpool_limits

    from e2i.estimators import fitting

    prepared = fitting.prepare(
        ctx.frame(params.train),
        ctx.frame(params.validation),
        params.target,
        params.algorithm,
        task=params.task,
        features=params.features,
        exclude=params.exclude,
        positive=params.positive,
        max_categories=params.max_categories,
        threads=ctx.threads,
    )
    held_out = prepared.validation
    if prepared.schema.classes is not None and held_out is not None and len(set(held_out.labels.tolist())) < 2:
        raise StepError(
            f"the validation table has {len(held_out.labels)} rows of one class, so no trial can be judged",
            code="bad-validation",
            hint="check the split; a table for tuning needs rows of every class",
        )
    for warning in reweighting.warnings({**params.fixed, **(params.space or {})}, prepared.schema.classes):
        ctx.warn(warning)
    space = params.space or ALGORITHMS[params.algorithm].space
    space = {name: dimension for name, dimension in space.items() if name not in params.fixed}
    algorithms.check(params.algorithm, prepared.schema.task, {**space, **params.fixed})
    metric = metrics.choose(params.metric, prepared.schema.task)
    seed = ctx.seed if params.seed is None else params.seed
    plan = search.Plan(
        space=space,
        trials=params.trials,
        direction=params.direction or metrics.METRICS[metric].direction,
        sampler=params.sampler,
        pruner=params.pruner,
        parallel=params.parallel,
        seed=seed,
    )
    name = _name(params, ctx.key("study"))
    tuner = ctx.connect(GuardedOptuna)
    with threadpool_limits(
        limits=1, user_api="blas"
    ):  # trials share the cores, and sums keep their order on any machine
        trials = await tuner.optimize(
            name,
            Objective(prepared, metric, params.fixed, seed, prune=params.pruner != "none"),
            plan,
            timeout=params.timeout,
            progress=lambda done: ctx.progress(done, params.trials, f"{done} of {params.trials} trials"),
        )
    for trial in trials:
        ctx.child(_child(trial, metric))
    best = search.best(trials, plan.direction, hint="check `space` and `fixed`, or raise `timeout`")
    for warning in (*prepared.warnings, *_warnings(trials, plan)):
        ctx.warn(warning)
    ctx.metric(f"best_{metric}", best.value)
    best_params: dict[str, Scalar] = {**params.fixed, **best.params}
    for parameter, value in best_params.items():
        ctx.param(parameter, "null" if value is None else value)
    return TuneOutputs(
        study=Study(digest=_digest(name, trials), name=name, trials=len(trials)),
        best_params=best_params,
        best_value=best.value,
        trials=ctx.table(_table(trials, list(space))),
    )


def _name(params: TuneParams, key: str) -> str:
    """Return the study's name: readable, a valid file name, and unique for each different input."""
    title = params.study or f"{params.target}-{params.algorithm}"
    return f"{re.sub(r'[^A-Za-z0-9_.-]+', '_', title)[:100]}-{key[:10]}"


def _warnings(trials: Sequence[Any], plan: search.Plan) -> Iterator[str]:
    """Yield what makes the search less than it seems: trials that tie, and proposals that cannot use any result."""
    values = [trial.value for trial in trials if trial.state.name == "COMPLETE"]
    if len(values) > 2 and len(set(values)) == 1 and plan.space:
        yield (
            f"all {len(values)} trials have the same value, {values[0]:.6g}: the ranges in `space` do not matter for "
            "this target; set others, or scale the target"
        )
    guided = len(trials) - max(search.STARTUP, plan.parallel)
    if plan.sampler == "tpe" and guided < len(trials) / 2 and len(trials) > 4:
        yield (
            f"only {max(guided, 0)} of {len(trials)} trials were proposed with knowledge of others: raise `trials`, or "
            f"lower `parallel` (now {plan.parallel})"
        )


def _child(trial: Any, metric: str) -> ChildRun:
    return ChildRun(
        name=f"trial-{trial.number:04d}",
        status="failed" if trial.state.name == "FAIL" else "finished",
        started_ms=int(trial.datetime_start.timestamp() * 1000),
        ended_ms=int(trial.datetime_complete.timestamp() * 1000),
        params={name: "null" if value is None else value for name, value in trial.params.items()},
        metrics={} if trial.value is None else {metric: trial.value},
    )


def _table(trials: Sequence[Any], names: Sequence[str]) -> pd.DataFrame:
    """Return one row per trial. A parameter with values of several types is converted to text."""
    import pandas as pd

    columns: dict[str, Any] = {
        "number": [trial.number for trial in trials],
        "state": [trial.state.name.lower() for trial in trials],
        "value": pd.array([trial.value for trial in trials], dtype="Float64"),
    }
    for name in names:
        values = [trial.params.get(name) for trial in trials]
        kinds = {type(value) for value in values if value is not None}
        mixed = len(kinds) > 1
        columns[f"params_{name}"] = [str(value) if mixed and value is not None else value for value in values]
    columns["reason"] = pd.array([trial.user_attrs.get("reason") for trial in trials], dtype="string")
    return pd.DataFrame(columns)


def _digest(name: str, trials: Sequence[Any]) -> str:
    """Return a digest of a study from its trials and their results."""
    content = [(trial.number, trial.state.name, trial.value, sorted(trial.params.items())) for trial in trials]
    return "sha256:" + hashlib.sha256(json.dumps([name, content]).encode()).hexdigest()
